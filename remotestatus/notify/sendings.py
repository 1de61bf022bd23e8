"""Attempts to reach destinations: their outcome, and running them in parallel under one deadline."""

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
    """A receiver with its Apprise service, and all pieces of its URL that may be secret."""

    service_name: str
    service: object = field(repr=False, compare=False)
    secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    The outcome of one sending; `name` is for people.

    `goes_on`: the messages are tried at once in another form. `dropped`: they are dropped, because the destination
    accepts others but refuses these in every form.
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
        """Whether a retry will hardly help."""
        return not self.taken and self.failure is not Failure.PASSING

    @property
    def failed(self) -> bool:
        """Whether it was not taken in any form."""
        return not self.taken and not self.goes_on


def run_together(
    keys: Iterable[str], work: Callable[[str], Iterable[Outcome]], deadline: float
) -> Iterable[tuple[str, Outcome | Attempt]]:
    """
    Run all sendings in parallel and yield each outcome when known; hanging ones are abandoned.

    An error or a timeout is an Attempt too.
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
