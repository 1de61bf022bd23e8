"""
Stops a command on a signal: gracefully on the first, at once on the second.

Inside `with stop_on_signal() as stop`, a first SIGTERM, SIGINT or SIGHUP makes `stop.asked()` true; the command polls
it and ends gracefully. A second one raises an exception in the command, so that its processes and files are still
removed. PID 1 of a container has no default handlers for these signals, so it needs these.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class EndedAtOnce(SystemExit):
    """The second signal came. The exit code is a shell's: 128 and the signal's number."""


class Stop:
    """Whether a signal asked to stop, and which one."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def asked(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """The exit code of a command that was stopped early: 143 for SIGTERM, 130 for Ctrl-C."""
        return 128 + (self.signal or 0)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until a signal asks to stop."""
        end = time.monotonic() + seconds
        while not self.asked() and (left := end - time.monotonic()) > 0:
            time.sleep(min(0.25, left))

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.signal is not None:
            raise EndedAtOnce(128 + number)
        self.signal = signal.Signals(number)


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Handle the signals inside the `with`, and restore their handlers after it."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        # A signal that the caller ignores (nohup) stays ignored.
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, stop._note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
