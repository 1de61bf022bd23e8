"""
Finds and ends the child processes of a round, also orphaned ones.

Shared and kept connections are spared until the end.
"""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from remotestatus_playbook.protocol import OPENING

_PR_SET_CHILD_SUBREAPER = 36


class ChildProcesses:
    """
    All descendants that are started from now on.

    Sockets of shared connections lie in the round's private directory, or in `control` when they outlive the round.
    """

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.control: Path | None = None
        _adopt_orphans()
        self.not_ours = {process.pid for process in psutil.Process().children(recursive=True)}
        self._starting = threading.Lock()

    def start_apart(self, start: Callable[[], "subprocess.Popen[bytes]"]) -> "subprocess.Popen[bytes]":
        """Start a process that is not Ansible's, from any thread; the caller has to end it."""
        with self._starting:
            process = start()
            self.not_ours.add(process.pid)
        return process

    def kill_all_but_connections(self) -> None:
        """Kill what Ansible started, except the shared connections, which outlive a single attempt."""
        with self._starting:
            for process in self._descendants():
                with suppress(psutil.Error):
                    if not self._is_shared_connection(process):
                        process.kill()

    def end(self) -> None:
        """End what is left, the shared connections."""
        processes = self._descendants()
        for process in processes:
            with suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(processes, timeout=2)[1]:
            with suppress(psutil.Error):
                process.kill()
        self.collect()

    def collect(self) -> None:
        """Reap ended children, so that no zombies stay. While Ansible runs, ansible-runner does that."""
        for process in self._descendants(ended=True):
            with suppress(OSError):
                os.waitpid(process.pid, os.WNOHANG)

    def _descendants(self, *, ended: bool = False) -> list[psutil.Process]:
        """The descendants of this round that run, or that have ended and were not reaped."""
        found, not_ours = [], set(self.not_ours)
        for process in psutil.Process().children(recursive=True):  # parents come before their children
            with suppress(psutil.Error):
                if process.pid in not_ours or process.ppid() in not_ours:
                    not_ours.add(process.pid)
                elif (process.status() == psutil.STATUS_ZOMBIE) is ended:
                    found.append(process)
        return found

    def _is_shared_connection(self, process: psutil.Process) -> bool:
        # A master that `ssh` put in the background is renamed: "ssh: /path/of/its/socket [mux]".
        words = process.cmdline()
        line = " ".join(words)
        if "-W" in words and str(self.workdir) in line:
            # The ssh -W below a kept connection, or below the connection to a further proxy, is an orphan by now; it
            # ends with that connection.
            return self.control is not None or OPENING in process.environ()
        return ("ControlMaster=yes" in line or "[mux]" in line) and any(
            str(place) in line for place in (self.workdir, self.control) if place
        )


def _adopt_orphans() -> None:
    """Become the subreaper of Ansible's orphans (Linux: prctl(2)), so that they can be ended."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
