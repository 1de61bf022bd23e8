"""
What is known of a remote or proxy over rounds, and how that changed.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from remotestatus.model.check_result import HasTroubles, Key, Trouble, most_severe_first
from remotestatus.model.status_words import Severity, Status


class Kind(StrEnum):
    """What a subject of history is."""

    REMOTE = "remote"
    PROXY = "proxy"
    WORKER = "worker"


Subject = tuple[Kind, str]
"""What a State or Transition is about: a remote, proxy or worker, by its name."""


@dataclass(frozen=True, slots=True)
class FindingState:
    """
    What is known of one finding over rounds.

    `trouble` is how it was last seen, `since` when it was first seen. `bad` and `good` count the rounds in a row in
    which it was found or not found; rounds that could not tell leave them alone. `confirmed` is the severity that
    people are told of, None before that and after it is over. `returns` is how often it came back; what is over is
    remembered for a while to know that. `unseen` counts the rounds in a row that reached the remote and could not look
    for it, or did not ask for it.
    """

    trouble: Trouble
    since: datetime
    bad: int = 0
    good: int = 0
    confirmed: Severity | None = None
    returns: int = 0
    unseen: int = 0

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.trouble.key

    @property
    def is_over(self) -> bool:
        """Whether it is no longer there, and people know that or were never told of it."""
        return self.confirmed is None and self.good > 0

    @property
    def lost(self) -> bool:
        """Whether it ended because nobody looks for it any more, and not because it is over."""
        return bool(self.good and self.unseen)


@dataclass(frozen=True, slots=True)
class State(HasTroubles):
    """
    What is known of one subject after a round.

    `since` is when the present status began. `bad` and `good` count the rounds in a row that were not up or up; rounds
    with the status unknown leave them alone. `confirmed` is the status that people are told of (Nagios: the hard
    state), `confirmed_since` when it was confirmed. `problem_since` is when the present problem was first seen; it is
    over when up is confirmed. `recent` has a 1 for each of the last check results that changed the confirmed status,
    or came back to it before it was changed, or in which a finding came back or went again, and a 0 for all others,
    oldest first. `findings` are those of the present and of the last rounds.
    """

    kind: Kind
    name: str
    status: Status
    since: datetime
    seen_at: datetime
    troubles: tuple[Trouble, ...] = ()
    bad: int = 0
    good: int = 0
    confirmed: Status = Status.UP
    confirmed_since: datetime | None = None
    problem_since: datetime | None = None
    recent: str = ""
    flapping_since: datetime | None = None
    findings: tuple[FindingState, ...] = ()

    @property
    def confirmed_troubles(self) -> tuple[Trouble, ...]:
        """The findings that people are told of, with the confirmed status, most severe first."""
        if not self.findings:  # recorded by an older version
            return tuple(trouble for trouble in self.troubles if trouble.cause.status is self.confirmed)
        found = [
            replace(one.trouble, severity=one.confirmed)
            for one in self.findings
            if one.confirmed is not None and one.trouble.cause.status is self.confirmed
        ]
        return most_severe_first(found)

    @property
    def is_well(self) -> bool:
        """Whether it is up, and up for good."""
        return self.status is Status.UP and self.confirmed is Status.UP

    @property
    def changes(self) -> int:
        """How many of the `recent` check results were changes."""
        return self.recent.count("1")

    @property
    def flapping(self) -> bool:
        """Whether it changes too often for a notification each time."""
        return self.flapping_since is not None


@dataclass(frozen=True, slots=True)
class Transition:
    """A subject that went from one status to another. `before` is None when it was seen for the first time."""

    kind: Kind
    name: str
    at: datetime
    before: Status | None
    after: Status
    trouble: Trouble | None = None
    lasted_since: datetime | None = None
    """For a recovery: when the problem began."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """The new State, the transition that was seen, and the one that is confirmed and may be notified."""

    state: State
    seen: Transition | None = None
    confirmed: Transition | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """
    How many rounds in a row confirm a problem or a recovery.

    What changes when it is `maintained` is planned, and no sign of flapping.
    """

    fail_after: int = 1
    recover_after: int = 1
    maintained: bool = False
