"""
Turns numbers into the shapes of small SVG charts: the bar of days, the share of statuses, the chart of log-in times.

Days, counts and samples come in; path data and coordinates go out. Colours and text are the templates' part. A day's
height tells its status, so that a bar can be read without its colours.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from statistics import median

from remotestatus.model.days import DAY_LETTERS, DayShare, PastDays
from remotestatus.model.rounds import Sample
from remotestatus.model.statuses import APPEARANCES

HEIGHTS = {"none": 1, **{word: appearance.bar for word, appearance in APPEARANCES.items()}}
"""The height of a day with this status, of 16."""


@dataclass(frozen=True, slots=True)
class DayCell:
    """One UTC day of the bar: a word of HEIGHTS, and how long the remote was down, degraded and observed."""

    day: date
    word: str
    down: timedelta = timedelta()
    degraded: timedelta = timedelta()
    observed: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Slot:
    """The connect times of one stretch of time, in milliseconds."""

    started_at: datetime
    looks: int
    """How often it was measured."""
    fastest: int
    median: int
    slowest: int


@dataclass(frozen=True, slots=True)
class Chart:
    """
    Connect times over time, in a chart `WIDTH` by `HEIGHT` large: a band from fastest to slowest, and the median.

    `top_ms` is the time at the chart's upper edge. Where nothing was measured, line and band are interrupted.
    """

    slots: tuple[Slot, ...]
    line: str
    band: str
    top_ms: int
    first_at: datetime
    last_at: datetime
    fastest: int
    median: int
    slowest: int


WIDTH, HEIGHT = 720, 120
SLOTS = 40


def day_paths(days: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Paths of a bar of days, oldest first, each day one unit wide: pairs of a word and the path of its days."""
    paths: dict[str, list[str]] = {}
    left = 0
    for word, run in groupby(days):
        width = sum(1 for _ in run)
        height = HEIGHTS[word]
        paths.setdefault(word, []).append(f"M{left} 16v-{height}h{width}v{height}z")
        left += width
    return tuple((word, "".join(parts)) for word, parts in paths.items())


@lru_cache(maxsize=1024)
def letter_paths(letters: str) -> tuple[tuple[str, str], ...]:
    """The same of letters. Cached: most remotes of a fleet have the same days."""
    return day_paths([DAY_LETTERS[letter] for letter in letters])


def day_cells(past: PastDays) -> tuple[DayCell, ...]:
    """The last days up to today, oldest first; days without any observation too."""
    shares = {share.day: share for share in past.troubled}
    first = past.today - timedelta(days=len(past.letters) - 1)
    return tuple(
        _day_cell(day, DAY_LETTERS[letter], shares.get(day))
        for place, letter in enumerate(past.letters)
        if (day := first + timedelta(days=place))
    )


def troubled_days(past: PastDays) -> tuple[tuple[int, DayCell], ...]:
    """The days that were not only up, oldest first, each with its place in the bar."""
    first = past.today - timedelta(days=len(past.letters) - 1)
    places = (((share.day - first).days, share) for share in past.troubled)
    return tuple(
        (place, _day_cell(share.day, DAY_LETTERS[past.letters[place]], share)) for place, share in places if place >= 0
    )


def _day_cell(day: date, word: str, share: DayShare | None) -> DayCell:
    if share is None:
        return DayCell(day, word)
    return DayCell(
        day,
        word,
        timedelta(seconds=round(share.down)),
        timedelta(seconds=round(share.degraded)),
        timedelta(seconds=round(share.counted)),
    )


def shares(counts: Mapping[str, int], width: int = 1000) -> tuple[tuple[str, float, float], ...]:
    """Parts of one line as (word, left, width); what is not zero keeps a visible width."""
    total = sum(counts.values())
    if not total:
        return ()
    least = 8.0
    raw = {word: max(least, width * count / total) for word, count in counts.items() if count}
    scale = width / sum(raw.values())
    left = 0.0
    parts = []
    for word, part in raw.items():
        parts.append((word, round(left, 1), round(part * scale, 1)))
        left += part * scale
    return tuple(parts)


def draw_chart(samples: Sequence[Sample]) -> Chart | None:
    """Draw connect times, oldest first; None when there are fewer than two."""
    if len(samples) < 2:
        return None
    slots = tuple(_slots(samples))
    times = [sample.connect_ms for sample in samples]
    slowest = max(times)
    top = _round_up(slowest)
    first, last = samples[0].at, samples[-1].at
    seconds = max(1.0, (last - first).total_seconds())
    line, band = [], []
    for stretch in _unbroken(slots, timedelta(seconds=seconds / SLOTS)):
        points = [(WIDTH * (slot.started_at - first).total_seconds() / seconds, slot) for slot in stretch]
        if len(points) == 1:
            # One slot alone is drawn as a short dash.
            left, slot = points[0]
            points = [(max(0.0, left - 2), slot), (min(float(WIDTH), left + 2), slot)]
        line.append("M" + "L".join(f"{x:.0f} {_y(slot.median, top)}" for x, slot in points))
        upper = "L".join(f"{x:.0f} {_y(slot.slowest, top)}" for x, slot in points)
        lower = "L".join(f"{x:.0f} {_y(slot.fastest, top)}" for x, slot in reversed(points))
        band.append(f"M{upper}L{lower}z")
    return Chart(slots, "".join(line), "".join(band), top, first, last, min(times), round(median(times)), slowest)


def _slots(samples: Sequence[Sample]) -> Iterator[Slot]:
    first = samples[0].at
    seconds = (samples[-1].at - first).total_seconds()
    if len(samples) <= SLOTS or seconds <= 0:
        for sample in samples:
            yield Slot(sample.at, 1, sample.connect_ms, sample.connect_ms, sample.connect_ms)
        return
    width = seconds / (SLOTS - 1)
    for number, group in groupby(samples, lambda sample: int((sample.at - first).total_seconds() / width)):
        times = [sample.connect_ms for sample in group]
        started_at = first + timedelta(seconds=number * width)
        yield Slot(started_at, len(times), min(times), round(median(times)), max(times))


def _unbroken(slots: Iterable[Slot], width: timedelta) -> Iterator[list[Slot]]:
    stretch: list[Slot] = []
    for slot in slots:
        if stretch and slot.started_at - stretch[-1].started_at > width * 2.5:
            yield stretch
            stretch = []
        stretch.append(slot)
    if stretch:
        yield stretch


def _y(milliseconds: int, top: int) -> str:
    return f"{HEIGHT - HEIGHT * milliseconds / top:.0f}"


def _round_up(milliseconds: int) -> int:
    """The next of 10, 20, 50, 100, 200, 500, ... above."""
    step = 10
    while True:
        for factor in (1, 2, 5):
            if milliseconds <= step * factor:
                return step * factor
        step *= 10
