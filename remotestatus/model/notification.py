"""
What receivers are notified of, before it is put into words, and why they are or are not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from remotestatus.model.check_result import Trouble
from remotestatus.model.receiver_memory import FailingDestination, KnownFinding, NotificationState, OrphanedQueue
from remotestatus.model.replies import ReplyCode, ReplyInvitation, ReplyOutcome
from remotestatus.model.states import State, Subject
from remotestatus.model.status_words import Severity, Status


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
    """
    A destination without its URL. `room` is how many characters its service takes; 0 means no limit.

    It is sent plain text if `plain`, else HTML. One that is not `titled` shows the subject above the text; both have to
    fit. It is notified of severity `least` and above. `identity` is a hash of its address without secrets, `former` are
    keys under which older versions knew it.
    """

    key: str
    name: str
    tags: tuple[str, ...] = ()
    room: int = 0
    least: Severity = Severity.WARNING
    identity: str = ""
    former: tuple[str, ...] = ()
    plain: bool = False
    titled: bool = True


@dataclass(frozen=True, slots=True)
class FindingChange:
    """
    A finding that differs from what a receiver knows: severity `before` and `now`; None: not there.

    `trouble` is how it was last seen, None when it is over. A `lost` one ended because it is no longer checked.
    """

    finding: KnownFinding
    before: Severity | None
    now: Severity | None
    trouble: Trouble | None = None
    lost: bool = False

    @property
    def is_bad(self) -> bool:
        """Whether it is new or worse."""
        return self.now is not None and (self.before is None or self.now > self.before)


@dataclass(frozen=True, slots=True)
class Line:
    """
    One event of a notification: the new status `now`, and `before` what the receiver knew.

    `troubles` are all findings that the receiver knows of afterwards, most severe first; `changes` are those that are
    news to it. `escalated` means that it is sent because the problem lasts.
    """

    event_type: EventType
    state: State
    now: Status
    before: NotificationState
    escalated: bool = False
    troubles: tuple[Trouble, ...] = ()
    changes: tuple[FindingChange, ...] = ()

    @property
    def subject(self) -> Subject:
        """Which remote or proxy it is about."""
        return self.state.kind, self.state.name

    @property
    def severity(self) -> Severity:
        """The highest severity of the changes; without any, of the troubles."""
        news = [change.now for change in self.changes if change.is_bad and change.now]
        return max(news or [trouble.severity for trouble in self.troubles], default=Severity.CRITICAL)

    @property
    def all_lost(self) -> bool:
        """Whether all troubles ended because they are no longer checked."""
        return bool(self.changes) and all(change.lost for change in self.changes)

    @property
    def is_problem(self) -> bool:
        """Whether it is a new problem, or a steady one after flapping."""
        steady = self.event_type is EventType.STEADY and self.now is not Status.UP
        return steady or self.event_type in (EventType.PROBLEM, EventType.WORSE)

    @property
    def is_recovery(self) -> bool:
        """Whether it is up again, or steadily up after flapping."""
        return self.event_type is EventType.RECOVERED or (self.event_type is EventType.STEADY and not self.is_problem)


@dataclass(frozen=True, slots=True)
class Notification:
    """
    Everything that one receiver is notified of in one round, before it is put into words.

    `done` has the outcomes of its replies, `standing` the remotes by status if it asked for that. With `answer` people
    can reply.
    """

    receiver: Receiver
    at: datetime
    lines: tuple[Line, ...]
    failing: tuple[FailingDestination, ...] = ()
    orphans: tuple[OrphanedQueue, ...] = ()
    done: tuple[ReplyOutcome, ...] = ()
    standing: Mapping[Status, int] = field(default_factory=dict)
    answer: ReplyInvitation | None = None


class Reason(StrEnum):
    """The reason for a Decision; the names in braces stand for the Decision's details."""

    NOTIFIED = "told: {event}"
    ESCALATED = "told: {event}, escalated"
    UNKNOWN = "not told as a problem of its own: {message}"
    FLAPPING = "its changes are not told one by one: it flaps since {since}; quiet until it is stable"
    FAILURE_NOT_CONFIRMED = "not told yet: bad for {rounds} of {needed} rounds in a row (fail_after)"
    FINDINGS_NOT_CONFIRMED = "not told yet: {findings}"
    LESS_SEVERE = "not for this destination: it is told only what is {least} (from); less than that is {findings}"
    RECOVERY_NOT_CONFIRMED = "not told as recovered yet: up for {rounds} of {needed} rounds (recover_after)"
    NO_NEW_RESULT = "waits for a new check: {message}"
    BAD_AGAIN = "waits for the next check: the last one found it bad again"
    UP_MEANWHILE = "waits for the next check: the last one found it up"
    OTHER_TAGS = "not for this destination: it goes to {tags}"
    ESCALATES_LATER = "not told yet: escalated to it after {span}"
    NOT_ESCALATED = "not escalated: acknowledged"
    NOT_REMINDED = "not reminded: acknowledged"
    MAINTENANCE = "held: in maintenance until {until}"
    QUIET_HOURS = "held: quiet hours until {until}"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one receiver is notified of one subject, and why. An empty destination means all of them."""

    subject: Subject
    at: datetime
    reason: Reason
    details: Mapping[str, object] = field(default_factory=dict)
    destination: str = ""

    @property
    def notified(self) -> bool:
        """Whether the receiver is notified."""
        return self.reason in (Reason.NOTIFIED, Reason.ESCALATED)

    @property
    def words(self) -> str:
        """The reason with its details, as people read it."""
        return self.reason.format(**self.details)


@dataclass(frozen=True, slots=True)
class Plan:
    """The notifications of a round. `known` is what receivers know afterwards (None: nothing to keep)."""

    notifications: tuple[Notification, ...]
    decisions: tuple[Decision, ...]
    known: Mapping[tuple[str, Subject], NotificationState | None]
    recovered: tuple[Subject, ...] = ()
    """Subjects whose acknowledgement ends because they recovered."""
    orphans: tuple[OrphanedQueue, ...] = ()
    """Queues that are dropped, because their destination is no longer configured."""
    codes: tuple[ReplyCode, ...] = ()
    """The codes for replies to the notifications."""


@dataclass(frozen=True, slots=True)
class KeptDecision:
    """A Decision in the history: the first and last time of an equal one, and its reason as text."""

    first_at: datetime
    last_at: datetime
    destination: str
    notified: bool
    reason: str
