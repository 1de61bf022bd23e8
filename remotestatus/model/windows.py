"""
Planned work: maintenance windows given by command, those that are open or to come, and notes for readers of the page.
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


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """
    One occurrence of a window that is open or to come.

    `title` says what it is for: a group, `all`, or names. `names` are all remotes and proxies that it is for.
    """

    starts: datetime
    until: datetime
    title: str
    names: frozenset[str]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A text for readers of the page, by `remotestatus note`: about one remote or proxy, or all (an empty `name`)."""

    id: int
    name: str
    text: str
    at: datetime
    until: datetime | None = None
