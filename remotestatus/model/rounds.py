"""A finished round, and one connect time."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Round:
    """One finished round. `troubles` are sentences about what went wrong with the round itself."""

    id: int
    started_at: datetime
    finished_at: datetime
    remotes: int
    troubles: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it took, in seconds."""
        return (self.finished_at - self.started_at).total_seconds()

    def overdue_at(self, every: timedelta) -> datetime:
        """When the round after this one is overdue: half an interval and a minute after it was due."""
        return self.finished_at + every * 1.5 + timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Sample:
    """One connect time: when, and how many milliseconds."""

    at: datetime
    connect_ms: int
