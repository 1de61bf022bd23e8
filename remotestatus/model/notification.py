"""
What receivers are told, what they know already, and what people said in answer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from remotestatus.model.states import State, Subject
from remotestatus.model.statuses import Status
from remotestatus.model.windows import CommandWindow


class EventType(StrEnum):
    """What a line of a message is about."""

    PROBLEM = "problem"
    WORSE = "worse"
    BETTER = "better"
    RECOVERED = "recovered"
    FLAPPING = "flapping"
    STEADY = "steady"
    CAME_AND_WENT = "came-and-went"
    REMINDER = "reminder"


@dataclass(frozen=True, slots=True)
class Receiver:
    """One destination, as far as deciding goes. `room` is how many characters its service takes; 0 is plenty."""

    key: str
    name: str
    tags: tuple[str, ...] = ()
    room: int = 0


@dataclass(frozen=True, slots=True)
class NotificationState:
    """
    What one destination knows of one subject.

    `status` is what it was told last, `since` when that problem began, `at` when it was told or reminded. `held` are
    the changes that quiet hours kept from it, oldest first.
    """

    status: Status = Status.UP
    since: datetime | None = None
    at: datetime | None = None
    flapping: bool = False
    held: tuple[tuple[datetime, Status], ...] = ()


NOT_NOTIFIED = NotificationState()


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody knows of a problem and takes care: no reminders and no escalation until then, or until it is over."""

    at: datetime
    until: datetime | None = None
    note: str = ""

    def holds(self, now: datetime) -> bool:
        """Whether it still counts."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class FailingDestination:
    """A destination that takes no messages. `error` holds no secrets."""

    key: str
    name: str
    since: datetime
    error: str
    permanent: bool = False
    others_told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotificationMemory:
    """What earlier rounds and commands left for this one to know."""

    told: Mapping[tuple[str, Subject], NotificationState] = field(default_factory=dict)
    acknowledged: Mapping[Subject, Acknowledgement] = field(default_factory=dict)
    windows: tuple[CommandWindow, ...] = ()
    failing: tuple[FailingDestination, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """
    One thing to tell: the status `now`, and `before` what the destination knew.

    `escalated` means that it is told because it lasts.
    """

    event_type: EventType
    state: State
    now: Status
    before: NotificationState
    escalated: bool = False
    acknowledged: bool = False

    @property
    def subject(self) -> Subject:
        """Which remote or proxy it is about."""
        return self.state.kind, self.state.name


@dataclass(frozen=True, slots=True)
class Notification:
    """Everything that one destination is told in one round, before it is put into words."""

    receiver: Receiver
    at: datetime
    lines: tuple[Line, ...]
    failing: tuple[FailingDestination, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one destination was told of one subject, and why. An empty destination means all of them."""

    subject: Subject
    at: datetime
    told: bool
    reason: str
    destination: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a round tells. `told` is the memory it leaves (None: nothing left to remember)."""

    notifications: tuple[Notification, ...]
    decisions: tuple[Decision, ...]
    told: Mapping[tuple[str, Subject], NotificationState | None]
    settled: tuple[Subject, ...] = ()
    """Subjects whose acknowledgement ends because they recovered."""
    complained_about: tuple[str, ...] = ()
    """Keys of failing destinations that the others are told about now."""


class NotificationType(StrEnum):
    """How bad a message is at its worst, as services colour it: Apprise's notification types."""

    FAILURE = "failure"
    WARNING = "warning"
    INFO = "info"
    SUCCESS = "success"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to one destination. `about` says which remotes and proxies it mentions, and how."""

    destination: str
    destination_name: str
    at: datetime
    tone: NotificationType
    subject: str
    text: str
    html: str
    about: tuple[tuple[Subject, EventType], ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    Everything that waits for one destination, oldest first.

    `ids` are the messages' numbers in the outbox, `attempts` how often in a row the destination failed. `refused` says
    for each message how often its service refused just this one.
    """

    destination: str
    ids: tuple[int, ...]
    messages: tuple[Message, ...]
    attempts: int = 0
    refused: tuple[int, ...] = ()

    def part(self, numbers: Iterable[int]) -> "Waiting":
        """Only the messages with these numbers in the outbox, in their order."""
        chosen = set(numbers)
        counts = self.refused or (0,) * len(self.ids)
        rows = [row for row in zip(self.ids, self.messages, counts, strict=True) if row[0] in chosen]
        ids, messages, refused = zip(*rows, strict=True) if rows else ((), (), ())
        return replace(self, ids=ids, messages=messages, refused=refused)


@dataclass(frozen=True, slots=True)
class SentMessage:
    """One line of the history of messages. `sent_at` is None while it waits; `what` is what it said of the subject."""

    at: datetime
    destination: str
    subject: str
    what: str
    sent_at: datetime | None = None
    dropped: str = ""

    @property
    def delivered(self) -> bool:
        """Whether its service took it."""
        return self.sent_at is not None


@dataclass(frozen=True, slots=True)
class KeptDecision:
    """A Decision as kept: from when to when it was the same."""

    decision: Decision
    first_at: datetime
