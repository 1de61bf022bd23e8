"""
Notes: what somebody wrote for the readers of the page.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Note:
    """A text for readers of the page, by `remotestatus note`: about one remote or proxy, or all (an empty `name`)."""

    id: int
    name: str
    text: str
    at: datetime
    until: datetime | None = None
