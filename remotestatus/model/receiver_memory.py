"""
What earlier rounds and commands recorded of each receiver: what it knows, and what waits for it or failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import Key
from remotestatus.model.replies import TakenReplies
from remotestatus.model.states import Subject
from remotestatus.model.status_words import Severity, Status
from remotestatus.model.windows import CommandWindow


@dataclass(frozen=True, slots=True)
class OrphanedQueue:
    """Messages that wait for a destination that is no longer configured; `newest` is the headline of the last one."""

    key: str
    name: str
    messages: int
    newest: str


@dataclass(frozen=True, slots=True)
class KnownFinding:
    """A finding that a receiver was notified of, with its severity then. `since` is when it was held."""

    cause: Cause
    what: str
    severity: Severity
    since: datetime | None = None

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.cause, self.what


@dataclass(frozen=True, slots=True)
class NotificationState:
    """
    What one receiver knows of one subject.

    `status` is what it was notified of last, `since` when that problem began, `at` when it was notified or reminded.
    `held` are the changes held back by quiet hours, oldest first; `held_findings` the findings in them. `findings` are
    those that it was notified of, or None where an older version did not record them.
    """

    status: Status = Status.UP
    since: datetime | None = None
    at: datetime | None = None
    flapping: bool = False
    held: tuple[tuple[datetime, Status], ...] = ()
    findings: tuple[KnownFinding, ...] | None = None
    held_findings: tuple[KnownFinding, ...] = ()


NOT_NOTIFIED = NotificationState(findings=())


@dataclass(frozen=True, slots=True)
class FailingDestination:
    """A destination that rejects messages. `error` holds no secrets."""

    key: str
    name: str
    since: datetime
    error: str
    permanent: bool = False
    others_notified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotificationMemory:
    """What earlier rounds and commands recorded. `known` is by the key of a receiver and a subject."""

    known: Mapping[tuple[str, Subject], NotificationState] = field(default_factory=dict)
    acknowledged: Mapping[Subject, Acknowledgement] = field(default_factory=dict)
    windows: tuple[CommandWindow, ...] = ()
    failing: tuple[FailingDestination, ...] = ()
    orphans: tuple[OrphanedQueue, ...] = ()
    replies: TakenReplies = field(default_factory=TakenReplies)
