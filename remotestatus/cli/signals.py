"""
Stops a command cleanly when it is asked to: once to come to an end, twice to end at once.

Inside `with stop_on_signal() as stop`, a first SIGTERM, SIGINT or SIGHUP only makes `stop.asked()` true, and whoever
works asks for it and tidies up. A second one ends the work wherever it is, by an exception, so that what it started is
still ended and removed. Handlers also make the signals work as process 1 of a container, which would else ignore them.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class EndedAtOnce(SystemExit):
    """The second signal came. The exit code is a shell's: 128 and the signal's number."""


class Stop:
    """Whether somebody asked to stop, and with which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def asked(self) -> bool:
        """Whether to come to an end."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """The exit code of a command that was stopped before it had done its work: 143 for SIGTERM, 130 for Ctrl-C."""
        return 128 + (self.signal or 0)

    def wait(self, seconds: float, tick: Callable[[], None] = lambda: None) -> None:
        """Wait, but no longer than until somebody asks to stop; `tick` is called about every quarter of a second."""
        end = time.monotonic() + seconds
        while not self.asked() and (left := end - time.monotonic()) > 0:
            tick()
            time.sleep(min(0.25, left))

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.signal is not None:
            raise EndedAtOnce(128 + number)
        self.signal = signal.Signals(number)


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Take the signals as long as the `with` lasts, and give them back."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        # What whoever started us ignores (nohup) stays ignored.
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, stop._note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
