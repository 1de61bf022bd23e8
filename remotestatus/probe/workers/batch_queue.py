"""
Hands batches to the places that look: the next one to whoever is free.

Takes batches; gives each to a place that may look at it, and to another one when that place fails. Used by several
threads at once.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Condition

from remotestatus.probe.workers.parts import Batch

_WAKE_SECONDS = 0.1


class BatchQueue:
    """What is still to be looked at in one pass over a fleet."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        waiting = list(batches)
        self.lost = [batch for batch in waiting if not batch.places]
        """Batches that nobody is left to look at, or that nobody may."""
        self._waiting = [batch for batch in waiting if batch.places]
        self._running: list[Batch] = []
        self._gone: set[str] = set()
        self._changed = Condition()

    def names(self) -> frozenset[str]:
        """The remotes that are still to be looked at."""
        with self._changed:
            return frozenset(name for batch in self._waiting for name in batch.names)

    def take(self, place: str, given_up: Callable[[], bool]) -> Batch | None:
        """The next batch for a place, as soon as there is one; None when there will be none any more."""
        with self._changed:
            while not given_up():
                for batch in self._waiting:
                    if place in batch.places:
                        self._waiting.remove(batch)
                        self._running.append(batch)
                        return batch
                if not any(place in batch.places for batch in self._running):
                    return None
                self._changed.wait(_WAKE_SECONDS)
            return None

    def finish(self, batch: Batch) -> None:
        """Its answers are there."""
        with self._changed:
            self._running.remove(batch)
            self._changed.notify_all()

    def give_back(self, batch: Batch, place: str) -> bool:
        """
        A place failed at it: the others may try. True when the same place has to try once more, because it is the only
        one; otherwise it is given nothing more.
        """
        with self._changed:
            self._running.remove(batch)
            others = batch.places - {place} - self._gone
            again = not others and batch.failures == 0
            if not again:
                self._leave(place)
            if again:
                self._waiting.insert(0, replace(batch, places=frozenset({place}), failures=1))
            elif others:
                self._waiting.insert(0, replace(batch, places=others, failures=batch.failures + 1))
            else:
                self.lost.append(batch)
            self._changed.notify_all()
            return again

    def leave(self, place: str) -> None:
        """A place is given nothing more: the others may try what waits for it."""
        with self._changed:
            self._leave(place)
            self._changed.notify_all()

    def _leave(self, place: str) -> None:
        self._gone.add(place)
        kept: list[Batch] = []
        for batch in self._waiting:
            left = batch.places - self._gone
            (kept if left else self.lost).append(replace(batch, places=left))
        self._waiting = kept
