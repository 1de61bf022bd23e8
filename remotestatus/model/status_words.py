"""
What a remote or proxy can be (Status), how bad a finding is (Severity), and every word that they have.

A status's identifier (`degraded`) never changes: it stands in status.json, metrics, the database, CSS classes
(`s-degraded`) and file names. People read the `label` or the `spoken` word in APPEARANCES.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class NagiosState(IntEnum):
    """The exit codes of the Nagios plugin convention; the names are the words that go with them."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Appearance:
    """
    How a status is written.

    `label` stands in tables, on badges and in the feed, `spoken` in a message's sentence ("is not checked"). `sign`
    and `style` (rich's colour) are the terminal's. A page's colours, and heights of days, are in its style sheet.
    """

    label: str
    spoken: str
    nagios: NagiosState
    sign: str
    style: str


APPEARANCES: Mapping[str, Appearance] = {
    "down": Appearance("down", "down", NagiosState.CRITICAL, "✖", "red"),
    "degraded": Appearance("degraded", "degraded", NagiosState.WARNING, "▲", "yellow"),
    "unknown": Appearance("unknown", "not checked", NagiosState.UNKNOWN, "?", "magenta"),
    "maintenance": Appearance("maintenance", "in maintenance", NagiosState.OK, "◌", "blue"),
    "up": Appearance("up", "up", NagiosState.OK, "●", "green"),
}
"""By identifier, in the order in which pages count and filter them; `maintenance` stands for a status there."""


class Severity(StrEnum):
    """The severity of a finding. They are ordered: `max` is the worst."""

    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """How bad it is, for sorting: 0 warning, 1 critical."""
        return _SEVERITIES.index(self.value)

    @property
    def nagios(self) -> NagiosState:
        """The state that a Nagios plugin gives for it."""
        return NagiosState.CRITICAL if self is Severity.CRITICAL else NagiosState.WARNING

    def __lt__(self, other: str) -> bool:
        return self.rank < Severity(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Severity(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Severity(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Severity(other).rank


_SEVERITIES = ("warning", "critical")


class Status(StrEnum):
    """What one check of a remote or proxy found. The value is the identifier."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """How bad it is, for sorting and for the worst of several: 0 up, 1 degraded, 2 unknown, 3 down."""
        return _RANKS.index(self)

    @property
    def is_bad(self) -> bool:
        """Whether a problem was found."""
        return self in (Status.DEGRADED, Status.DOWN)

    @property
    def is_reached(self) -> bool:
        """Whether it answered as it should, whatever is wrong on it."""
        return self in (Status.UP, Status.DEGRADED)

    @property
    def appearance(self) -> Appearance:
        """Its words."""
        return APPEARANCES[self]

    @property
    def label(self) -> str:
        """The word for it in tables, on badges and in the feed."""
        return self.appearance.label

    @property
    def spoken(self) -> str:
        """The word for it in a message's sentence."""
        return self.appearance.spoken


_RANKS = (Status.UP, Status.DEGRADED, Status.UNKNOWN, Status.DOWN)
