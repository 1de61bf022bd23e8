"""
Selects what is kept of a remote per day, and predicts full disks.

Only a steady trend is reported. Whether the days until a disk is full are too few is decided in `limits.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import date

from remotestatus.model.check_result import CheckResult
from remotestatus.model.days import DayRange
from remotestatus.model.facts import Facts

DISKS_KEPT = 20

FEWEST_DAYS = 5
"""Fewest days with a value for a trend."""

LONGEST_LOOK = 30
"""Days that a trend is made of."""

STEADY = 0.8
"""The share of a line's variance that a straight line has to explain (the coefficient of determination)."""

FURTHEST = 365.0
"""The longest prediction, in days."""


def kept_values(result: CheckResult) -> dict[str, float]:
    """List what is kept of one check result, by the name of the measure: percent, degrees, seconds, milliseconds."""
    facts = result.facts
    found: dict[str, float | None] = {f"disk {one.mount}": one.percent for one in (facts.disks or ())[:DISKS_KEPT]}
    found["memory"] = None if facts.memory_percent is None else round(facts.memory_percent, 1)
    found["temperature"] = facts.temperature_celsius
    found["clock"] = facts.clock_offset_seconds
    found["log-in"] = None if result.connect_ms is None else float(result.connect_ms)
    return {name: value for name, value in found.items() if value is not None}


def days_until_full(days: Sequence[DayRange], today: date, percent: float) -> float | None:
    """Predict in how many days a disk is full at the rate of the last days; None without a steady trend."""
    points = [(float((one.day - today).days), one.high) for one in days if 0 < (today - one.day).days <= LONGEST_LOOK]
    points.append((0.0, percent))
    if len(points) < FEWEST_DAYS or points[-1][0] - points[0][0] < FEWEST_DAYS - 1 or percent >= 100:
        return None
    rate = _steady_rate(points)
    if rate is None or rate <= 0:
        return None
    left = (100 - percent) / rate
    return left if left <= FURTHEST else None


def _steady_rate(points: Sequence[tuple[float, float]]) -> float | None:
    """Calculate the slope per day of the least-squares line; None if it fits badly."""
    number = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / number, sum(y for _, y in points) / number
    of_x = sum((x - mean_x) ** 2 for x, _ in points)
    of_y = sum((y - mean_y) ** 2 for _, y in points)
    both = sum((x - mean_x) * (y - mean_y) for x, y in points)
    if of_x == 0 or of_y == 0 or both * both / (of_x * of_y) < STEADY:
        return None
    return both / of_x


def disks_until_full(facts: Facts, ranges: Mapping[str, Sequence[DayRange]], today: date) -> dict[str, float]:
    """Find each disk that is filling up, by its mount point, with the days until it is full."""
    found = {
        disk.mount: days_until_full(ranges.get(f"disk {disk.mount}", ()), today, disk.percent)
        for disk in facts.disks or ()
    }
    return {mount: days for mount, days in found.items() if days is not None}
