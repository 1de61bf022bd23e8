"""
Attempts to reach destinations: what became of them, and how they run at the same time under one deadline.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from remotestatus.model.notification import Receiver
from remotestatus.notify.failures import Failure

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination(Receiver):
    """A receiver with its service: Apprise's own, which has its URL, and all pieces of that which may be secret."""

    service_name: str
    service: object = field(repr=False, compare=False)
    secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    What became of one sending; `name` is for people.

    `goes_on` means that the same messages are tried in another form at once. `dropped` means that they are given up,
    because the destination takes others and refuses these in every form.
    """

    destination: str
    taken: bool
    error: str = ""
    failure: Failure = Failure.PASSING
    name: str = ""
    goes_on: bool = False
    dropped: bool = False

    @property
    def permanent(self) -> bool:
        """Whether trying again will hardly help."""
        return not self.taken and self.failure is not Failure.PASSING

    @property
    def failed(self) -> bool:
        """Whether it was not taken in any form."""
        return not self.taken and not self.goes_on


def run_together(
    keys: Iterable[str], work: Callable[[str], Iterable[Outcome]], deadline: float
) -> Iterable[tuple[str, Outcome | Attempt]]:
    """
    Do all sendings at the same time and yield each outcome as it is known; what hangs is left behind.

    What breaks, or is not done in time, ends with an Attempt that says so.
    """
    done: queue.Queue[tuple[str, Outcome | Attempt | None]] = queue.Queue()

    def run(key: str) -> None:
        try:
            for outcome in work(key):
                done.put((key, outcome))
        except BaseException as error:
            done.put((key, Attempt(key, taken=False, error=f"Apprise failed with {type(error).__name__}")))
        finally:
            done.put((key, None))

    left = set(keys)
    for key in left:
        # A daemon: one that hangs must not keep the process from ending.
        threading.Thread(target=run, args=(key,), name="remotestatus-deliver", daemon=True).start()
    end = time.monotonic() + deadline
    while left:
        try:
            key, outcome = done.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if outcome is None:
            left.discard(key)
        else:
            yield key, outcome
    for key in sorted(left):
        yield key, Attempt(key, taken=False, error=f"no answer within {deadline:g} s")
