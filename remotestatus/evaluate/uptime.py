"""
Adds up how long each subject was what, day by day, and makes uptime of it.

Stretches between two looks come in; shares of UTC days come out, which history sums up. Reachable counts as up
(degraded too); what was unknown, under maintenance or not looked at counts neither way and lowers `observed` instead.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from remotestatus.model.days import DayShare
from remotestatus.model.statuses import Status

LONGEST_GAP = 2.5
"""A stretch longer than so many check intervals was not observed: the checker was away."""


@dataclass(frozen=True, slots=True)
class Uptime:
    """Share of the observed time in which a subject was reachable, and of the span that was observed, in percent."""

    percent: float | None
    observed: float


def share_out(
    last_look: datetime, now: datetime, status: Status, *, maintenance: bool, every: timedelta
) -> Iterator[DayShare]:
    """
    Credit the stretch between two looks to the status that the first one saw, split at UTC midnights.

    After a gap longer than `LONGEST_GAP` check intervals only one interval is credited. A clock that went back gives
    nothing.
    """
    end = now if now - last_look <= every * LONGEST_GAP else last_look + every
    bucket = "maintenance" if maintenance else status.value
    start = last_look
    while start < end:
        midnight = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=1)
        stop = min(end, midnight)
        yield DayShare(start.date(), **{bucket: (stop - start).total_seconds()})
        start = stop


def uptime(days: Iterable[DayShare], now: datetime, span: timedelta, first_seen: datetime) -> Uptime:
    """
    Uptime over the last `span` of whole UTC days, and how much of it was observed.

    A remote that is younger than the span is measured from the day it was first seen; `observed` still compares with
    the whole span, so that a new remote doesn't look like a long-watched one.
    """
    first_day = (now - span).date() if span > timedelta(days=1) else (now - timedelta(days=1)).date()
    counted = [day for day in days if first_day <= day.day <= now.date()]
    total = sum(day.counted for day in counted)
    reachable = sum(day.up + day.degraded for day in counted)
    observed = min(100.0, 100 * total / span.total_seconds())
    if not total:
        return Uptime(None, 0.0)
    return Uptime(round(100 * reachable / total, 3), round(observed, 1))
