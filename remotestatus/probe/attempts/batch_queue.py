"""
Gives the next batch to the next free place (checker or worker).

If a place fails, its batch goes to another one that may probe it. Thread-safe.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from threading import Condition

from remotestatus.probe.attempts.batches import Batch

SPARED_SECONDS = 20.0
"""Seconds for which the last batches are left to faster places; a frozen worker is noticed sooner."""

_WAKE_SECONDS = 0.1


class BatchQueue:
    """The batches that are left in one pass over a fleet."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        waiting = list(batches)
        self.lost = [batch for batch in waiting if not batch.places]
        """Batches without a place that is left, or allowed."""
        self._waiting = [batch for batch in waiting if batch.places]
        self._running: list[Batch] = []
        self._gone: set[str] = set()
        self._changed = Condition()

    def names(self) -> frozenset[str]:
        """The remotes that are still to be probed."""
        with self._changed:
            return frozenset(name for batch in self._waiting for name in batch.names)

    def take(self, place: str, given_up: Callable[[], bool], *, seldom: bool = False) -> Batch | None:
        """
        Wait for the next batch for a place; None when there will be none.

        A `seldom` place, which starts slowly, first gets all batches of its own, then an equal share of the others; the
        last ones are left to faster places for some seconds.
        """
        ends = time.monotonic() + SPARED_SECONDS
        with self._changed:
            while not given_up():
                mine = [batch for batch in self._waiting if place in batch.places]
                share = self._share(place, mine, least=time.monotonic() > ends) if seldom else mine[:1]
                if share:
                    names = tuple(name for batch in share for name in batch.names)
                    taken = replace(share[0], names=names)
                    self._waiting = [batch for batch in self._waiting if batch not in share]
                    self._running.append(taken)
                    return taken
                if not mine and not any(place in batch.places for batch in self._running):
                    return None
                self._changed.wait(_WAKE_SECONDS)
            return None

    def _share(self, place: str, mine: Sequence[Batch], *, least: bool) -> Sequence[Batch]:
        """The batches that a place takes at once: at least one with `least`."""
        if alone := [batch for batch in mine if batch.places - self._gone == {place}]:
            return alone
        everywhere = {one for batch in mine for one in batch.places - self._gone}
        return mine[: max(int(least), len(mine) // max(1, len(everywhere)))]

    def finish(self, batch: Batch) -> None:
        """Mark a batch as answered."""
        with self._changed:
            self._running.remove(batch)
            self._changed.notify_all()

    def give_back(self, batch: Batch, place: str) -> bool:
        """
        Return the batch of a failed place to the others. True if the same place has to retry it, because it is the only
        one; otherwise it gets no more batches.
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
        """Remove a place: the others get the batches that wait for it."""
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
