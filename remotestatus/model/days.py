"""The time of a subject in each status, by day, and the lowest and highest measurement of each day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from remotestatus.model.status_words import Status

SHOWN_DAYS = 90
"""Days in the bar of a remote, today included."""

SPANS: Mapping[str, int] = {"1d": 1, "7d": 7, "30d": 30, "90d": 90}
"""The spans that uptime is given for, in days."""

DAY_LETTERS: Mapping[str, str] = {
    ".": "none", "u": "up", "g": "degraded", "d": "down", "n": "unknown", "m": "maintenance"
}  # fmt: skip
"""The status of a day in the bar, by its letter in `PastDays.letters`; `none`: not checked."""


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
    def reachable(self) -> float:
        """Seconds of those in which it could be reached."""
        return self.up + self.degraded

    @property
    def worst(self) -> Status | None:
        """The worst status with any time on the day, or None when nothing was observed."""
        if self.down:
            return Status.DOWN
        if self.degraded:
            return Status.DEGRADED
        if self.up:
            return Status.UP
        return Status.UNKNOWN if self.unknown else None


@dataclass(frozen=True, slots=True)
class PastDays:
    """
    The sums of the last days of one subject.

    `letters` has one of DAY_LETTERS for each day of the bar, the oldest first and today last. `troubled` are the days
    on which it was not only up. `counted` and `reachable` are the seconds of each of SPANS that count for or against
    uptime, and in which it could be reached.
    """

    today: date
    letters: str
    troubled: tuple[DayShare, ...] = ()
    counted: tuple[float, ...] = (0.0,) * len(SPANS)
    reachable: tuple[float, ...] = (0.0,) * len(SPANS)


@dataclass(frozen=True, slots=True)
class DayRange:
    """The lowest and highest value of one UTC day."""

    day: date
    low: float
    high: float


Ranges = Mapping[str, Sequence[DayRange]]
"""By the name of what is measured (`disk /`, `memory`, `temperature`, `clock`, `log-in`), the oldest day first."""
