"""
A finished round, and what is kept of each.
"""

from dataclasses import dataclass
from datetime import datetime


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


@dataclass(frozen=True, slots=True)
class Sample:
    """One connect time: when, and how many milliseconds."""

    at: datetime
    connect_ms: int
