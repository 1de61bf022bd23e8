"""
How long a subject spent in each status, by day.
"""

from dataclasses import dataclass
from datetime import date

from remotestatus.model.statuses import Status


@dataclass(frozen=True, slots=True)
class DayShare:
    """Seconds of one UTC day that a subject spent in each status."""

    day: date
    up: float = 0.0
    degraded: float = 0.0
    down: float = 0.0
    unknown: float = 0.0
    maintenance: float = 0.0

    @property
    def counted(self) -> float:
        """Seconds that count for or against uptime."""
        return self.up + self.degraded + self.down

    @property
    def worst(self) -> Status | None:
        """The worst status of the day that lasted, or None when nothing was observed."""
        if self.down:
            return Status.DOWN
        if self.degraded:
            return Status.DEGRADED
        if self.up:
            return Status.UP
        return Status.UNKNOWN if self.unknown else None
