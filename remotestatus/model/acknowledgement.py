"""
An acknowledgement, and how long it holds.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An acknowledged problem: no reminders and no escalation until `until`, or until the recovery."""

    at: datetime
    until: datetime | None = None
    note: str = ""

    def holds(self, now: datetime) -> bool:
        """Whether it still counts."""
        return self.until is None or now < self.until
