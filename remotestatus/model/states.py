"""The state of a remote or proxy over rounds, and its changes."""

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
    The state of one finding over rounds.

    `trouble` is how it was last seen, `since` when it was first seen. `bad` and `good` count the rounds in a row that
    found it or not; rounds that could not check it do not count. `confirmed` is its confirmed severity, None before and
    after. `returns` is how often it came back; a finding that is over is kept for a while for that. `unseen` counts the
    rounds in a row that reached the remote but did not check it.
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
        """Whether it is over, and that is confirmed or it never was."""
        return self.confirmed is None and self.good > 0

    @property
    def lost(self) -> bool:
        """Whether it ended because it is no longer checked, and not because it is over."""
        return bool(self.good and self.unseen)


@dataclass(frozen=True, slots=True)
class State(HasTroubles):
    """
    The state of one subject after a round.

    `since` is when the present status began. `bad` and `good` count the rounds in a row that were not up, or up;
    unknown rounds do not count. `confirmed` is the hard state of Nagios, of which people are notified,
    `confirmed_since` when it was confirmed. `problem_since` is when the present problem was first seen; it is over when
    up is confirmed. `recent` has a 1 for each of the last check results that changed the confirmed status, returned to
    it before a change, or in which a finding came back or went again; 0 for others, oldest first. `findings` are those
    of the present and of the last rounds.
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
        """The confirmed findings, with the confirmed status, most severe first."""
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
        """Whether it is up, and confirmed up."""
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
    """A change of a subject's status. `before` is None at the first round."""

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
    """The new State, and its soft (`seen`) and hard (`confirmed`) transition, if any."""

    state: State
    seen: Transition | None = None
    confirmed: Transition | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """
    How many rounds in a row confirm a problem or a recovery.

    A change while `maintained` is planned, and no sign of flapping.
    """

    fail_after: int = 1
    recover_after: int = 1
    maintained: bool = False
