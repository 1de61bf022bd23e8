"""
Adds up how long a remote or proxy had each status, day by day, and calculates its uptime.

The time between two rounds becomes seconds per UTC day and status. Degraded counts as up, because it is reachable.
Unknown, maintenance and unchecked time does not count, and lowers `observed`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from remotestatus.model.days import DAY_LETTERS, SHOWN_DAYS, SPANS, DayShare, PastDays
from remotestatus.model.status_words import Status

LONGEST_GAP = 2.5
"""A gap longer than this many check intervals was not observed."""


@dataclass(frozen=True, slots=True)
class Uptime:
    """The share of the observed time in which it was reachable, and of the span that was observed, in percent."""

    percent: float | None
    observed: float


def share_out_time(
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


def uptimes(past: PastDays) -> Mapping[str, Uptime]:
    """
    Calculate the uptime over each of SPANS, in whole UTC days, and how much of it was observed.

    A remote that is younger than the span is measured from the day of its first round; `observed` still compares with
    the whole span, so that a new remote does not look like one that was observed for long.
    """
    return {
        span: _uptime(past.counted[place], past.reachable[place], days)
        for place, (span, days) in enumerate(SPANS.items())
    }


def _uptime(counted: float, reachable: float, days: int) -> Uptime:
    if not counted:
        return Uptime(None, 0.0)
    observed = min(100.0, 100 * counted / (days * 86400))
    return Uptime(round(100 * reachable / counted, 3), round(observed, 1))


Row = tuple[str, float, float, float, float, float]
"""A day as the history keeps it: the day in ISO 8601, and the seconds up, degraded, down, unknown, in maintenance."""


class DaySums:
    """
    Sums up the days of one subject after the other, as of `now`.

    Fast for a million days: a day that was only up makes no object.
    """

    def __init__(self, now: datetime) -> None:
        self.today = now.astimezone(UTC).date()
        longest = max(SPANS.values())
        first = self.today - timedelta(days=longest)
        self._places = {(first + timedelta(days=place)).isoformat(): place for place in range(longest + 1)}
        self._starts = tuple(longest - days for days in SPANS.values())
        self._known: dict[str, str] = {}

    def sum_up(self, rows: Iterable[Row]) -> PastDays:
        """Sum up the days of one subject, in any order. A row that is no day is skipped."""
        places = self._places
        letters = ["."] * len(places)
        counted, reachable = [0.0] * len(places), [0.0] * len(places)
        troubled: list[DayShare] = []
        for row in rows:
            try:
                place, up = places[row[0]], float(row[1])
                if row[2:] == (0.0, 0.0, 0.0, 0.0):
                    letters[place] = "u" if up else "."
                    counted[place] = reachable[place] = up
                    continue
                share = DayShare(date.fromisoformat(row[0]), up, *map(float, row[2:]))
            except (KeyError, ValueError, TypeError):
                continue
            letters[place] = _letter(share)
            counted[place], reachable[place] = share.counted, share.reachable
            troubled.append(share)
        shown = "".join(letters[-SHOWN_DAYS:])
        return PastDays(
            today=self.today,
            letters=self._known.setdefault(shown, shown),
            troubled=tuple(sorted(troubled, key=lambda share: share.day)),
            counted=tuple(sum(counted[start:]) for start in self._starts),
            reachable=tuple(sum(reachable[start:]) for start in self._starts),
        )


@lru_cache(maxsize=1)  # in a first round nobody has days
def no_days(now: datetime) -> PastDays:
    """Make the days of a subject without any history."""
    return DaySums(now).sum_up(())


def begin_today(past: PastDays, word: str) -> PastDays:
    """Begin today with `word`, a status or `maintenance`, if it has no time yet."""
    if not past.letters.endswith("."):
        return past
    return replace(past, letters=past.letters[:-1] + _LETTERS[word])


def _letter(share: DayShare) -> str:
    worst = share.worst
    if worst is not None and (share.counted or not share.maintenance):
        return _LETTERS[worst.value]
    return _LETTERS["maintenance" if share.maintenance else "none"]


_LETTERS = {word: letter for letter, word in DAY_LETTERS.items()}
