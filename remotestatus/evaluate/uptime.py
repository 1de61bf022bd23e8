"""
Adds up how long a remote or proxy had each status, day by day, and calculates its uptime.

The time between two rounds comes in; seconds per UTC day and status go out, which history sums up. Reachable counts
as up, degraded too. Time that was unknown, in maintenance or not checked counts neither way and lowers `observed`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from remotestatus.model.days import DayShare
from remotestatus.model.statuses import Status

LONGEST_GAP = 2.5
"""A time longer than so many check intervals was not observed: the checker was away."""


@dataclass(frozen=True, slots=True)
class Uptime:
    """The share of the observed time in which it was reachable, and of the span that was observed, in percent."""

    percent: float | None
    observed: float


def share_out(
    last_round: datetime, now: datetime, status: Status, *, maintenance: bool, every: timedelta
) -> Iterator[DayShare]:
    """
    Credit the time between two rounds to the status that the first one found, split at UTC midnights.

    After a gap longer than `LONGEST_GAP` check intervals only one interval is credited. A clock that was set back
    credits nothing.
    """
    end = now if now - last_round <= every * LONGEST_GAP else last_round + every
    bucket = "maintenance" if maintenance else status.value
    start = last_round
    while start < end:
        midnight = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=1)
        stop = min(end, midnight)
        yield DayShare(start.date(), **{bucket: (stop - start).total_seconds()})
        start = stop


def uptime(days: Iterable[DayShare], now: datetime, span: timedelta) -> Uptime:
    """
    Uptime over the last `span` of whole UTC days, and how much of it was observed.

    A remote that is younger than the span is measured from the day of its first round; `observed` still compares with
    the whole span, so that a new remote does not look like one that was watched for long.
    """
    first_day = (now - span).date() if span > timedelta(days=1) else (now - timedelta(days=1)).date()
    counted = [day for day in days if first_day <= day.day <= now.date()]
    total = sum(day.counted for day in counted)
    reachable = sum(day.up + day.degraded for day in counted)
    observed = min(100.0, 100 * total / span.total_seconds())
    if not total:
        return Uptime(None, 0.0)
    return Uptime(round(100 * reachable / total, 3), round(observed, 1))
