"""
Starts, breaks, repairs and stops a demo fleet, for the command line and the tests.

The fleet is a separate process, which takes commands on a socket. It ends when its caller ends, unless it is kept. A
kept fleet is found by its directory.
"""

import json
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from remotestatus.demo.layout import Layout
from remotestatus.demo.members import Fault
from remotestatus.demo.message_receiver import ReceivedMessage, read_messages
from remotestatus.demo.ports import LOOPBACK
from remotestatus.model.errors import RemotestatusError

_TIMEOUT = 30.0
READY = "ready"
"""What the fleet's process prints when all of it runs."""
_MARKER = """\
This directory was made by `remotestatus demo`. It may be deleted when no demo runs, and is overwritten by the next one.
"""


class FleetError(RemotestatusError):
    """The demo fleet cannot do what was asked; the text gives the reason and the fix."""


@dataclass(frozen=True, slots=True)
class DemoFleet:
    """A running fleet. Leaving it as a context manager stops it."""

    directory: Path
    pid: int
    _control: int
    _token: str = field(repr=False)
    _process: subprocess.Popen[str] | None = None

    @classmethod
    def start(cls, directory: Path, *, keep: bool = False) -> Self:
        """
        Starts a fleet in `directory` and returns when all of it runs, about a second later.

        `directory` is made if it is missing, and overwritten if an earlier demo made it. With `keep` the fleet runs on
        after the caller has ended, until it is stopped or a day has passed. Raises FleetError.
        """
        layout = Layout(directory)
        _check_startable(layout)
        layout.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.marker.write_text(_MARKER, encoding="utf-8")
        command = [sys.executable, "-m", "remotestatus.demo.fleet_process", str(layout.directory)]
        with layout.log.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [*command, "--keep"] if keep else command,
                stdin=subprocess.DEVNULL if keep else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # the terminal's Ctrl-C is for the caller, who then stops the fleet in order
            )
        assert process.stdout is not None
        with process.stdout as output:
            is_ready = output.readline().strip() == READY
        if not is_ready:
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=5)
            _end(process)
            raise FleetError(f"the demo fleet did not start: {_last_line(layout.log)}")
        if not keep:
            return cls._read(layout, process)
        process.wait()  # its child is the process that is kept
        return cls._read(layout, None)

    @classmethod
    def find(cls, directory: Path) -> Self:
        """Returns the fleet that was kept running in `directory`. Raises FleetError if there is none."""
        layout = Layout(directory)
        if not layout.running.exists():
            raise FleetError(f"no demo fleet runs in {directory}; start one with: remotestatus demo --keep")
        return cls._read(layout, None)

    @classmethod
    def _read(cls, layout: Layout, process: subprocess.Popen[str] | None) -> Self:
        running = json.loads(layout.running.read_text(encoding="utf-8"))
        return cls(layout.directory, running["pid"], running["control"], running["token"], process)

    @property
    def inventory(self) -> Path:
        """The folder to give to `-i`."""
        return Layout(self.directory).inventory

    @property
    def database(self) -> Path:
        """The file that keeps the fleet's history."""
        return self.directory / "history.sqlite3"

    @property
    def messages(self) -> tuple[ReceivedMessage, ...]:
        """The notifications that the fleet's own receiver has got so far, oldest first."""
        return read_messages(Layout(self.directory).messages)

    def answers(self) -> bool:
        """Whether it still runs; a fleet that was killed leaves its `fleet.json` behind."""
        try:
            self._order("greet")
        except FleetError:
            return False
        return True

    def break_down(self, name: str, fault: Fault) -> None:
        """Breaks something of a remote, or the proxy; returns when it is broken. Raises FleetError."""
        self._order("break", name, fault)

    def mend(self, name: str, fault: Fault | None = None) -> None:
        """Mends one thing or everything of a remote or the proxy; returns when it works. Raises FleetError."""
        self._order("mend", name, fault)

    def stop(self) -> None:
        """Stops the fleet, if it runs, and returns when all of it has ended."""
        with suppress(FleetError):
            self._order("stop")
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.communicate(timeout=_TIMEOUT)
            _end(self._process)
        Layout(self.directory).running.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _order(self, verb: str, name: str = "", fault: Fault | None = None) -> None:
        order = {"do": verb, "name": name, "fault": fault, "token": self._token}
        try:
            with socket.create_connection((LOOPBACK, self._control), timeout=_TIMEOUT) as control:
                control.sendall(f"{json.dumps(order)}\n".encode())
                with control.makefile(encoding="utf-8") as file:
                    answer = file.readline()
        except OSError as error:
            raise FleetError(f"the demo fleet in {self.directory} does not answer: {error}") from error
        problem = json.loads(answer)["error"] if answer else "it ended before it answered"
        if problem is not None:
            raise FleetError(problem)


def _check_startable(layout: Layout) -> None:
    if find_spec("asyncssh") is None:
        raise FleetError(
            "the demo needs asyncssh, which is not installed: install the extra `demo`, or `pip install asyncssh`"
        )
    directory = layout.directory
    if directory.exists() and not directory.is_dir():
        raise FleetError(f"{directory} is not a directory; give the demo an empty or new one")
    if directory.exists() and any(directory.iterdir()) and not layout.marker.exists():
        raise FleetError(f"{directory} holds files that are not a demo's; give the demo an empty or new directory")
    if layout.running.exists() and DemoFleet.find(directory).answers():
        raise FleetError(f"a demo fleet runs in {directory} already; stop it first, or give another directory")


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is None:
        process.kill()
    process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
