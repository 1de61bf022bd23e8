"""
The lowest and highest value of a day, of what a remote measures: what trends are made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class DayRange:
    """The lowest and highest value of one UTC day."""

    day: date
    low: float
    high: float


Ranges = Mapping[str, Sequence[DayRange]]
"""By the name of what is measured (`disk /`, `memory`, `temperature`, `clock`, `log-in`), the oldest day first."""
