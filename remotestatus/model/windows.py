"""
Maintenance windows: those given by command, and those that are open.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CommandWindow:
    """A one-off window given by `remotestatus maintenance`. `target` is a remote, a proxy, a group or `all`."""

    id: int
    target: str
    starts: datetime
    until: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A window that is open now."""

    until: datetime
    note: str = ""
