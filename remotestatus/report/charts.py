"""
Turns numbers into the shapes of small SVG drawings: the bar of days, the share of statuses, the chart of times.

Days, counts and samples come in; path data and coordinates go out, without any colour or text, which the templates
and the style sheet give. Trouble stands tall and quiet days stay low, so that a bar is read without its colours.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from statistics import median

from remotestatus.model.rounds import Sample
from remotestatus.model.statuses import APPEARANCES

HEIGHTS = {"none": 1, **{word: appearance.bar for word, appearance in APPEARANCES.items()}}
"""How tall a day stands, of 16."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The connect times of one stretch of time, in milliseconds."""

    started_at: datetime
    looks: int
    fastest: int
    median: int
    slowest: int


@dataclass(frozen=True, slots=True)
class Chart:
    """
    Connect times over time, in a drawing `WIDTH` by `HEIGHT` large: a band from fastest to slowest, and the median.

    `top_ms` is what the drawing's upper edge stands for. Where nothing was measured, line and band are interrupted.
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


def day_paths(days: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Paths of a bar of days, oldest first, each day one unit wide: pairs of a day's word and its path."""
    paths: dict[str, list[str]] = {}
    left = 0
    for word, run in groupby(days):
        width = sum(1 for _ in run)
        height = HEIGHTS[word]
        paths.setdefault(word, []).append(f"M{left} 16v-{height}h{width}v{height}z")
        left += width
    return tuple((word, "".join(parts)) for word, parts in paths.items())


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
    line: list[str] = []
    band: list[str] = []
    for stretch in _unbroken(slots, timedelta(seconds=seconds / SLOTS)):
        places = [(WIDTH * (slot.started_at - first).total_seconds() / seconds, slot) for slot in stretch]
        if len(places) == 1:
            # One slot alone is drawn as a short dash.
            left, slot = places[0]
            places = [(max(0.0, left - 2), slot), (min(float(WIDTH), left + 2), slot)]
        line.append("M" + "L".join(f"{x:.0f} {_y(slot.median, top)}" for x, slot in places))
        upper = "L".join(f"{x:.0f} {_y(slot.slowest, top)}" for x, slot in places)
        lower = "L".join(f"{x:.0f} {_y(slot.fastest, top)}" for x, slot in reversed(places))
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
