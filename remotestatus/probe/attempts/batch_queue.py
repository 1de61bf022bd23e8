"""
Hands batches to the places that look: the next one to whoever is free.

Takes batches; gives each to a place that may look at it, and to another one when that place fails. Used by several
threads at once.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from threading import Condition

from remotestatus.probe.attempts.batches import Batch

SPARED_SECONDS = 20.0
"""So long are the last batches left to those who begin sooner; a worker that is frozen is found out in less."""

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

    def take(self, place: str, given_up: Callable[[], bool], *, seldom: bool = False) -> Batch | None:
        """
        The next batch for a place, as soon as there is one; None when there will be none any more.

        A place that begins `seldom`, because to begin costs it much, gets all at once that nobody else may look at,
        then an equal share of what waits; the last ones it leaves to the others for some seconds.
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
        """What a place takes at once of the batches that it may look at: one at `least`, or none."""
        if alone := [batch for batch in mine if batch.places - self._gone == {place}]:
            return alone
        everywhere = {one for batch in mine for one in batch.places - self._gone}
        return mine[: max(int(least), len(mine) // max(1, len(everywhere)))]

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
