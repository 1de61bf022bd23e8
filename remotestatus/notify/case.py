"""
One remote or proxy to decide on: its state, its settings, and what each receiver should know of it.

A receiver knows a status and a set of findings; the Difference is what it should know in addition. Pure: no clock,
database or network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from remotestatus.evaluate import window_of
from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import Key, Trouble
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.inventory_variables import Escalation, RemoteSettings
from remotestatus.model.notification import Decision, EventType, FindingChange, Reason, Receiver
from remotestatus.model.receiver_memory import NOT_NOTIFIED, KnownFinding, NotificationMemory, NotificationState
from remotestatus.model.states import FindingState, Kind, State, Subject
from remotestatus.model.status_words import Status
from remotestatus.model.times import say_moment
from remotestatus.model.windows import OpenWindow

UNCHECKED_ROUNDS = 3
"""After this many check intervals, unchecked counts as a problem."""


@dataclass(frozen=True, slots=True)
class Difference:
    """
    What one receiver has to be notified of, for one subject.

    `event_type` is None if there is nothing. `troubles` are all findings that it should know.
    """

    known: NotificationState
    truth: Status
    event_type: EventType | None
    troubles: tuple[Trouble, ...] = ()
    changes: tuple[FindingChange, ...] = ()


@dataclass(frozen=True)  # without slots: cached_property needs a __dict__
class Case:
    """One subject with everything about it that does not depend on the receiver."""

    fleet: Fleet
    state: State
    memory: NotificationMemory
    now: datetime

    @property
    def subject(self) -> Subject:
        """Which remote or proxy it is."""
        return self.state.kind, self.state.name

    def decide(self, reason: Reason, destination: str = "", **details: object) -> Decision:
        """A Decision about it."""
        return Decision(self.subject, self.now, reason, details, destination)

    def recorded(self, receiver: Receiver) -> NotificationState:
        """What this receiver knows of it, as earlier rounds recorded it."""
        return self.memory.known.get((receiver.key, self.subject), NOT_NOTIFIED)

    def known(self, receiver: Receiver) -> NotificationState:
        """
        The same, corrected for now.

        A time in the future means that the clock was set back: reminders count from now on then. A record of an older
        version has no findings: those before this round are assumed.
        """
        recorded = self.recorded(receiver)
        if recorded.at and recorded.at > self.now:
            recorded = replace(recorded, at=self.now)
        if recorded.findings is None and self.state.findings:
            earlier = [trouble for trouble in self._wanted(receiver, recorded) if self._since(trouble.key) < self.now]
            recorded = replace(recorded, findings=known_findings(earlier))
        return recorded

    @cached_property
    def remotes(self) -> tuple[Remote, ...]:
        """The remotes whose settings count: itself, or those behind the proxy or worker."""
        if self.state.kind is Kind.PROXY:
            return self.fleet.behind(self.state.name)
        if self.state.kind is Kind.WORKER:
            return self.fleet.only_from(self.state.name)
        return (self.fleet.remotes_by_name[self.state.name],)

    @cached_property
    def confirmed_troubles(self) -> tuple[Trouble, ...]:
        """The findings that people are told of, made once for all receivers."""
        return self.state.confirmed_troubles

    @property
    def settings(self) -> RemoteSettings:
        """The settings of the remote; a proxy has none of its own."""
        return self.remotes[0].settings if self.state.kind is Kind.REMOTE else RemoteSettings()

    @cached_property
    def window(self) -> OpenWindow | None:
        """The maintenance window that it is in."""
        return window_of(self.subject, self.fleet, self.memory.windows, self.now)

    @property
    def acknowledgement(self) -> Acknowledgement | None:
        """Its acknowledgement, also one whose time is over."""
        return self.memory.acknowledged.get(self.subject)

    @property
    def acknowledged(self) -> bool:
        """Whether it is acknowledged now."""
        return self.acknowledgement is not None and self.acknowledgement.holds(self.now)

    @cached_property
    def tags(self) -> frozenset[str] | None:
        """The tags of its receivers; None: all receivers."""
        if not self.remotes or any(not remote.settings.notify for remote in self.remotes):
            return None
        return frozenset(tag for remote in self.remotes for tag in remote.settings.notify)

    @cached_property
    def _escalations(self) -> frozenset[Escalation]:
        return frozenset(step for remote in self.remotes for step in remote.settings.escalate)

    def escalations_to(self, receiver: Receiver) -> list[Escalation]:
        """The escalations that lead to this receiver."""
        return [step for step in self._escalations if set(step.notify) & set(receiver.tags)]

    @cached_property
    def remind_every(self) -> timedelta | None:
        """The interval of reminders; None: never."""
        spans = [remote.settings.remind_every for remote in self.remotes]
        return min((span for span in spans if span), default=None)

    @property
    def begun(self) -> datetime:
        """When the present problem began."""
        unchecked_since = self.state.since if self.state.status is Status.UNKNOWN else self.now
        return min(self.state.problem_since or unchecked_since, self.now)

    @property
    def is_bad(self) -> bool:
        """Whether a problem is confirmed."""
        return self.state.confirmed is not Status.UP

    @cached_property
    def is_unchecked(self) -> bool:
        """Whether it was not checked for some rounds, but not because of a proxy: a problem too."""
        state = self.state
        own_cause = state.trouble is not None and not state.trouble.cause.declaration.of_another
        lasting = self.now - state.since >= self.fleet.settings.every * UNCHECKED_ROUNDS
        return state.status is Status.UNKNOWN and own_cause and lasting

    @property
    def unconfirmed(self) -> Reason | None:
        """Why the last check result cannot be notified; None when it can."""
        if self.state.status is Status.UNKNOWN:
            return Reason.NO_NEW_RESULT
        if not self.is_bad and self.state.status is not Status.UP:
            return Reason.BAD_AGAIN
        return Reason.UP_MEANWHILE if self.is_bad and self.state.status is Status.UP else None

    @property
    def why_unknown(self) -> str:
        """Why there is no new result, in words."""
        trouble = self.state.trouble
        if trouble and trouble.cause.declaration.of_another:
            whose = "proxy" if trouble.cause is Cause.PROXY_UNREACHABLE else "worker"
            return f"its {whose} does not answer, and that is told as one"
        return trouble.message if trouble else "it could not be checked"

    @cached_property
    def for_all(self) -> Decision | None:
        """Why nobody is notified: it is not confirmed, or part of another problem."""
        state, settings = self.state, self.settings
        if state.status is Status.UNKNOWN:
            return self.decide(Reason.UNKNOWN, message=self.why_unknown)
        if state.flapping_since:
            return self.decide(Reason.FLAPPING, since=say_moment(state.flapping_since, self.now))
        if state.status is not Status.UP and not self.is_bad:
            return self.decide(Reason.FAILURE_NOT_CONFIRMED, rounds=state.bad, needed=settings.fail_after)
        if state.status is Status.UP and self.is_bad:
            return self.decide(Reason.RECOVERY_NOT_CONFIRMED, rounds=state.good, needed=settings.recover_after)
        if pending := [words for one in state.findings if (words := _say_pending(one, state, settings))]:
            return self.decide(Reason.FINDINGS_NOT_CONFIRMED, findings="; ".join(pending))
        return None

    def gap(self, receiver: Receiver) -> Difference:
        """What this receiver has to be notified of."""
        known = self.known(receiver)
        troubles = self._wanted(receiver, known)
        truth = self._status(known)
        if not troubles and truth is not Status.UP and (self.state.findings or self.confirmed_troubles):
            truth = Status.UP  # nothing is confirmed, or the receiver takes no warnings
        changes = _changes(known, troubles, self)
        event_type = self._event_type(receiver, known, truth, changes)
        return Difference(known, truth, event_type, troubles, changes)

    def _status(self, known: NotificationState) -> Status:
        """The status that a receiver with this state should know."""
        if self.is_unchecked and not self.is_bad and known.status in (Status.UP, Status.UNKNOWN):
            return Status.UNKNOWN
        if self.state.status is Status.UNKNOWN and known.status is Status.UNKNOWN:
            return Status.UNKNOWN
        return self.state.confirmed

    def _wanted(self, receiver: Receiver, known: NotificationState) -> tuple[Trouble, ...]:
        """The findings that this receiver should know of, most severe first."""
        status = self._status(known)
        if status is Status.UP:
            return ()
        troubles = self.state.troubles if status is Status.UNKNOWN else self.confirmed_troubles
        return tuple(trouble for trouble in troubles if trouble.severity >= receiver.least)

    def left_out(self, receiver: Receiver) -> tuple[Trouble, ...]:
        """The confirmed findings that are less severe than this receiver wants."""
        if not self.is_bad:
            return ()
        return tuple(trouble for trouble in self.confirmed_troubles if trouble.severity < receiver.least)

    def _since(self, key: Key) -> datetime:
        return next((one.since for one in self.state.findings if one.key == key), self.now)

    def _event_type(
        self, receiver: Receiver, known: NotificationState, truth: Status, changes: tuple[FindingChange, ...]
    ) -> EventType | None:
        if self.state.flapping:
            severe = not self.state.findings or any(
                one.trouble.severity >= receiver.least for one in self.state.findings
            )
            return EventType.FLAPPING if severe and not known.flapping else None
        if known.flapping:
            return EventType.STEADY
        if truth is known.status:
            if changes and truth in (Status.DEGRADED, Status.DOWN):
                return EventType.WORSE if any(change.is_bad for change in changes) else EventType.BETTER
            if known.held or known.held_findings:
                return EventType.CAME_AND_WENT
            reminded = self.remind_every is not None or receiver.key in self.memory.replies.asked
            return EventType.REMINDER if truth is not Status.UP and reminded else None
        if truth is Status.UP:
            return EventType.RECOVERED
        if known.status in (Status.UP, Status.UNKNOWN):
            return EventType.PROBLEM
        return EventType.WORSE if truth.rank > known.status.rank else EventType.BETTER


def known_findings(troubles: Sequence[Trouble]) -> tuple[KnownFinding, ...]:
    """These troubles as KnownFindings."""
    return tuple(KnownFinding(trouble.cause, trouble.what, trouble.severity) for trouble in troubles)


def _changes(known: NotificationState, troubles: tuple[Trouble, ...], case: Case) -> tuple[FindingChange, ...]:
    """How the findings differ from those that are known: what is new or worse first."""
    if known.findings is None:
        return ()
    earlier = {finding.key: finding.severity for finding in known.findings}
    found = [
        FindingChange(finding, earlier.get(trouble.key), trouble.severity, trouble)
        for trouble, finding in zip(troubles, known_findings(troubles), strict=True)
        if earlier.get(trouble.key) is not trouble.severity
    ]
    gone = [one for one in known.findings if one.key not in {trouble.key for trouble in troubles}]
    if case.state.confirmed is Status.DOWN:
        gone = []  # findings of a reached remote are not over while it is down, which has one cause at a time
    left = {trouble.key: trouble for trouble in case.confirmed_troubles}
    # The rest is less severe than this receiver takes.
    found += [
        FindingChange(one, one.severity, left[one.key].severity, left[one.key]) for one in gone if one.key in left
    ]
    lost = {one.key for one in case.state.findings if one.lost}
    over = [FindingChange(one, one.severity, None, lost=one.key in lost) for one in gone if one.key not in left]
    return (*sorted(found, key=lambda change: not change.is_bad), *over)


def _say_pending(one: FindingState, state: State, settings: RemoteSettings) -> str:
    """Why a finding or its end is not confirmed; empty when it is."""
    name = f"{one.trouble.cause} {one.trouble.what}".strip()
    if one.trouble.cause.status is not state.status:
        return ""
    if one.confirmed is None and one.bad:
        return f"{name} found in {one.bad} of {settings.fail_after} rounds in a row (fail_after)"
    if one.confirmed is not None and one.good:
        return f"{name} gone for {one.good} of {settings.recover_after} rounds (recover_after)"
    return ""
