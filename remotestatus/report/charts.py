"""
Computes the shapes of small SVG charts: the bar of days, the shares of statuses, the chart of log-in times.

The results are path data and coordinates. Colours, the heights of days and text are in the templates and the style
sheet.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from statistics import median
from typing import TypeVar

from remotestatus.model.days import DAY_LETTERS, DayRange, DayShare, PastDays, Ranges
from remotestatus.model.rounds import Sample

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DayCell:
    """One UTC day of the bar: a word of DAY_LETTERS, and how long the remote was down, degraded and observed."""

    day: date
    word: str
    down: timedelta = timedelta()
    degraded: timedelta = timedelta()
    observed: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Slot:
    """The connect times of one time slot, in milliseconds."""

    started_at: datetime
    looks: int
    """The number of measurements."""
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


@lru_cache(maxsize=1024)
def letter_paths(letters: str) -> tuple[tuple[str, str], ...]:
    """
    Draw a bar of days, oldest first, each one unit wide, as pairs of a word and the path of its days.

    Cached: most remotes of a fleet have the same days.
    """
    paths: dict[str, list[str]] = {}
    left = 0
    for letter, run in groupby(letters):
        word, width = DAY_LETTERS[letter], sum(1 for _ in run)
        paths.setdefault(word, []).append(f"M{left} 0h{width}v16h-{width}z")
        left += width
    return tuple((word, "".join(parts)) for word, parts in paths.items())


def troubled_days(past: PastDays) -> tuple[tuple[int, DayCell], ...]:
    """
    List the days that were not up, oldest first, each with its position in the bar.

    Today has no durations: they grow in every round, so the page would change in every round.
    """
    first = past.today - timedelta(days=len(past.letters) - 1)
    shares = {share.day: share for share in past.troubled if share.day != past.today}
    days = ((place, first + timedelta(days=place)) for place, letter in enumerate(past.letters) if letter not in "u.")
    return tuple((place, _day_cell(day, DAY_LETTERS[past.letters[place]], shares.get(day))) for place, day in days)


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
    """Divide a line into parts (word, left, width); a part that is not zero keeps a visible width."""
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
    times_and_slots = (((slot.started_at - first).total_seconds(), slot) for slot in slots)
    for points in _runs(times_and_slots, seconds, 2.5 * seconds / SLOTS):
        line.append("M" + "L".join(f"{x:.0f} {_at(slot.median, 0, top):.0f}" for x, slot in points))
        band.append(_band([(x, _at(slot.slowest, 0, top), _at(slot.fastest, 0, top)) for x, slot in points]))
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


def _round_up(milliseconds: int) -> int:
    """Return the next of 10, 20, 50, 100, 200, 500, ... above."""
    step = 10
    while True:
        for factor in (1, 2, 5):
            if milliseconds <= step * factor:
                return step * factor
        step *= 10


@dataclass(frozen=True, slots=True)
class RangeChart:
    """
    The lowest and highest value of each day, as a band in a chart `WIDTH` by `HEIGHT` large.

    `top` and `bottom` are the values at its edges; `low` and `high` the extremes, `last` the last day's highest.
    """

    label: str
    unit: str
    band: str
    top: float
    bottom: float
    first: date
    last_day: date
    low: float
    high: float
    last: float
    days: tuple[DayRange, ...]


_RANGES = (
    ("disk", "Disk", "%"),
    ("memory", "Memory", "%"),
    ("temperature", "Temperature", "°C"),
    ("clock", "Clock", "s"),
    ("log-in", "Log-in, by day", "ms"),
)
"""Each measure's first word, how a chart of it is called, and its unit."""


def draw_ranges(ranges: Ranges) -> Iterator[RangeChart]:
    """Draw measures with at least three days, as two (one is today) show no trend."""
    for word, label, unit in _RANGES:
        for measure, days in ranges.items():
            name, _, mount = measure.partition(" ")
            if name == word and len(days) > 2:
                yield _range_chart(f"{label} {mount}".strip(), unit, tuple(days))


def _range_chart(label: str, unit: str, days: tuple[DayRange, ...]) -> RangeChart:
    low, high = min(day.low for day in days), max(day.high for day in days)
    bottom, top = (0.0, 100.0) if unit == "%" else (min(0.0, low), max(high, low + 1))
    first, last = days[0].day, days[-1].day
    span = max(1, (last - first).days)
    # At least a line's width if a day has only one value.
    parts = [
        _band([(x, _at(day.high, bottom, top) - 1, _at(day.low, bottom, top) + 1) for x, day in points])
        for points in _runs((((day.day - first).days, day) for day in days), span, 2)
    ]
    return RangeChart(label, unit, "".join(parts), top, bottom, first, last, low, high, days[-1].high, days)


def _runs(values: Iterable[tuple[float, T]], span: float, gap: float) -> Iterator[list[tuple[float, T]]]:
    """
    Place values along the chart by their distance from the first: a list of points for each run without a gap.

    One value alone has two points, so that it is drawn as a short dash.
    """
    runs: list[list[tuple[float, T]]] = []
    last = -math.inf
    for distance, value in values:
        if distance - last > gap:
            runs.append([])
        runs[-1].append((WIDTH * distance / span, value))
        last = distance
    for run in runs:
        left, only = run[0]
        yield run if len(run) > 1 else [(max(0.0, left - 2), only), (min(float(WIDTH), left + 2), only)]


def _band(points: Sequence[tuple[float, float, float]]) -> str:
    """Draw the path around points that each have an upper and a lower edge."""
    upper = "L".join(f"{x:.0f} {high:.0f}" for x, high, _ in points)
    lower = "L".join(f"{x:.0f} {low:.0f}" for x, _, low in reversed(points))
    return f"M{upper}L{lower}z"


def _at(value: float, bottom: float, top: float) -> float:
    return HEIGHT - HEIGHT * (value - bottom) / (top - bottom)
