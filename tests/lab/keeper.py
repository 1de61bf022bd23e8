"""
Starts the lab's processes and ends every one of them, whatever becomes of the test.

Two halves in one file: the `Keeper` class that a test process uses, and the small program that it starts (this very
file). The program is the parent of all that the lab runs, and the kernel hands it their orphans too (a subreaper, see
prctl(2)). The rule worth knowing: when the test process goes away in any manner, the program reads an end of file and
ends all of them by pid; so it does after its lifetime, 15 minutes.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LIFETIME = 900.0
"""Seconds after which the keeper ends everything, even if the test process still lives."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class Keeper:
    """The test process's side: asks the keeper program to start, signal and end processes."""

    def __init__(self, lifetime: float = LIFETIME) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(lifetime)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._program.pid

    def start(
        self,
        argv: list[str],
        *,
        log: Path,
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
        blocked: bool = False,
    ) -> int:
        """Start a process and return its pid; `blocked` gives it a standard output that it waits for, for ever."""
        return int(
            self._ask(
                do="start",
                argv=argv,
                log=str(log),
                environment=environment if environment is not None else dict(os.environ),
                folder=str(folder or "/"),
                blocked=blocked,
            )
        )

    def alive(self, pid: int) -> bool:
        return bool(self._ask(do="alive", pid=pid))

    def signal(self, pid: int, number: signal.Signals) -> None:
        self._ask(do="signal", pid=pid, number=int(number))

    def children(self, pid: int) -> tuple[int, ...]:
        return tuple(self._ask(do="children", pid=pid))

    def end(self, pid: int) -> None:
        """End a process of the lab and all its descendants, and return when they are gone."""
        self._ask(do="end", pid=pid)

    def at_the_end(self, argv: list[str]) -> None:
        """Run this command when all processes have been ended, also if the test process was killed."""
        self._ask(do="at the end", argv=argv)

    def remove_at_the_end(self, folder: Path) -> None:
        self._ask(do="remove at the end", folder=str(folder))

    def close(self) -> None:
        """End everything; raises AssertionError if something survived or the keeper itself had been killed."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._program.stdin.close()
        self._program.stdout.close()
        code = self._program.wait(timeout=30)
        assert code == 0, f"the lab's keeper ended with {code}: processes may be left over"

    def _ask(self, **request: Any) -> Any:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(json.dumps(request) + "\n")
        self._program.stdin.flush()
        line = self._program.stdout.readline()
        if not line:
            raise RuntimeError("the lab's keeper is gone")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]


class _Program:
    """The keeper program's side."""

    def __init__(self) -> None:
        self._started: dict[int, subprocess.Popen[bytes]] = {}
        self._last_commands: list[list[str]] = []
        self._last_folders: list[str] = []
        self._full_pipe = _full_pipe()

    def serve(self, lifetime: float) -> None:
        deadline = time.monotonic() + lifetime
        received = b""
        while time.monotonic() < deadline:
            self._reap()
            if not select.select([0], [], [], 1.0)[0]:
                continue
            chunk = os.read(0, 1 << 16)
            if not chunk:
                return
            received += chunk
            while b"\n" in received:
                line, received = received.split(b"\n", 1)
                try:
                    answer = {"result": self._do(json.loads(line))}
                except OSError as error:
                    answer = {"error": str(error)}
                os.write(1, json.dumps(answer).encode() + b"\n")

    def clear(self) -> bool:
        """End all descendants, then run the last commands; False if something survived."""
        for _ in range(100):
            left = _descendants(os.getpid())
            if not left:
                break
            _kill(left)
            self._reap()
            time.sleep(0.01)
        survivors = _descendants(os.getpid())
        for argv in reversed(self._last_commands):
            subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=20)
        for folder in self._last_folders:
            shutil.rmtree(folder, ignore_errors=True)
        return not survivors

    def _do(self, request: dict[str, Any]) -> Any:
        self._reap()
        match request["do"]:
            case "start":
                return self._start(request)
            case "alive":
                return request["pid"] in self._started
            case "signal":
                if request["pid"] in self._started:
                    os.kill(request["pid"], request["number"])
                return None
            case "children":
                return _children().get(request["pid"], [])
            case "end":
                return self._end(request["pid"])
            case "at the end":
                return self._last_commands.append(request["argv"])
            case "remove at the end":
                return self._last_folders.append(request["folder"])
            case other:
                raise OSError(f"the keeper knows no {other!r}")

    def _start(self, request: dict[str, Any]) -> int:
        with Path(request["log"]).open("ab") as log:
            process = subprocess.Popen(
                request["argv"],
                stdin=subprocess.DEVNULL,
                stdout=self._full_pipe if request["blocked"] else log,
                stderr=log,
                env=request["environment"],
                cwd=request["folder"],
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self._started[process.pid] = process
        return process.pid

    def _end(self, pid: int) -> None:
        deadline = time.monotonic() + 5
        while pid in _descendants(os.getpid()) and time.monotonic() < deadline:
            # The root last: a dead root's children would be the keeper's own, and no longer found under it.
            family = _descendants(pid)
            _kill(family)
            if not _descendants(pid):
                _kill([pid])
            time.sleep(0.002)
            self._reap()

    def _reap(self) -> None:
        """Collect the dead: those that were started here, and orphans."""
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                process = self._started.pop(pid, None)
                if process:
                    process.returncode = 0


def _full_pipe() -> int:
    """The writing end of a full pipe that nobody reads: who writes to it sleeps, without using the CPU."""
    _, end = os.pipe()
    os.set_blocking(end, False)
    for size in (1 << 16, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(end, b"\n" * size)
    os.set_blocking(end, True)
    return end


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _end_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _children() -> dict[int, list[int]]:
    """Living processes by parent (proc(5): the field after the state, behind the last parenthesis)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text(errors="replace")
            except OSError:
                continue
            state, parent = text.rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.name))
    return children


def _descendants(pid: int) -> list[int]:
    children, found, waiting = _children(), [], [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.append(child)
            waiting.append(child)
    return found


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main() -> int:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    program = _Program()
    try:
        program.serve(float(sys.argv[1]))
    finally:
        clean = program.clear()
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
