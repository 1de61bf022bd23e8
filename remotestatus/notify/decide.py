"""
Decides who is notified of what, and why not.

Takes the states after a round, the fleet, the receivers and what each of them knows; returns one Notification per
receiver at most, what they know afterwards, and a Decision with its reason for everything that had to be decided. The
rule: a notification closes the gap between what is confirmed and what a receiver knows. So what was held back (by
maintenance, quiet hours, flapping, a proxy that is down) is sent as soon as nothing holds it any more and it is still
true, and a message that could not be made in one round is made in the next. Pure: no clock, database or network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import assert_never
from zoneinfo import ZoneInfo

from remotestatus.evaluate import window_of_proxy, window_of_remote
from remotestatus.model.causes import Cause
from remotestatus.model.durations import say_duration
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.notification import (
    NOT_NOTIFIED,
    Acknowledgement,
    Decision,
    EventType,
    FailingDestination,
    Line,
    Notification,
    NotificationMemory,
    NotificationState,
    Plan,
    Receiver,
)
from remotestatus.model.reasons import Reason
from remotestatus.model.settings import Escalation, QuietHours, RemoteSettings
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.statuses import Status
from remotestatus.model.times import say_moment
from remotestatus.model.windows import OpenWindow

FAILING_AFTER = timedelta(days=1)
"""When a destination has failed so long, the others are notified."""

REFUSING_AFTER = timedelta(hours=1)
"""The same for one that refuses for a reason that time does not mend, such as a wrong password."""

HELD_KEPT = 12
"""Changes remembered per subject and receiver while quiet hours hold them; of more, the last one counts."""

UNCHECKED_ROUNDS = 3
"""What the checker itself could not check for so many check intervals is a problem."""


def plan_notifications(
    fleet: Fleet,
    states: Mapping[Subject, State],
    receivers: Sequence[Receiver],
    memory: NotificationMemory,
    now: datetime,
) -> Plan:
    """Decide what each receiver is notified of after a round, from the states of everything in the inventory."""
    cases = [_Case(fleet, state, memory, now) for state in states.values()]
    failing = [one for one in memory.failing if _concerns_others(one, now)]
    notifications: list[Notification] = []
    decisions = [case.for_all for case in cases if case.for_all]
    known: dict[tuple[str, Subject], NotificationState | None] = {
        (key, subject): None for key, subject in memory.known if subject not in states
    }
    for receiver in receivers:
        outcomes = _decide_all(cases, receiver)
        for case, outcome in zip(cases, outcomes, strict=True):
            if outcome.known != case.recorded(receiver):
                known[receiver.key, case.subject] = None if outcome.known == NOT_NOTIFIED else outcome.known
        decisions += [outcome.decision for outcome in outcomes if outcome.decision]
        lines = tuple(outcome.line for outcome in outcomes if outcome.line)
        quiet = quiet_hours_now(fleet.settings.quiet_hours, receiver, now)
        others = () if quiet else tuple(one for one in failing if one.key != receiver.key)
        if lines or others:
            notifications.append(Notification(receiver, now, lines, others))
    recovered = tuple(case.subject for case in cases if case.acknowledgement and not case.is_bad)
    return Plan(tuple(notifications), tuple(decisions), known, recovered)


def quiet_hours_now(hours: Sequence[QuietHours], receiver: Receiver, now: datetime) -> QuietHours | None:
    """The quiet hours that a receiver is in now, or None. They go by the wall clock of their zone."""
    for one in hours:
        if one.tags and not set(one.tags) & set(receiver.tags):
            continue
        wall = now.astimezone(ZoneInfo(one.timezone)).time()
        over_midnight = one.from_ > one.until
        if (wall >= one.from_ or wall < one.until) if over_midnight else (one.from_ <= wall < one.until):
            return one
    return None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one receiver knows of one subject afterwards, the Decision if there was one, and what is sent."""

    known: NotificationState
    decision: Decision | None = None
    line: Line | None = None


@dataclass(frozen=True)  # without slots: cached_property needs a __dict__
class _Case:
    """One subject with everything about it that does not depend on the receiver."""

    fleet: Fleet
    state: State
    memory: NotificationMemory
    now: datetime

    @property
    def subject(self) -> Subject:
        return self.state.kind, self.state.name

    def decide(self, reason: Reason, destination: str = "", **details: object) -> Decision:
        """A Decision about it."""
        return Decision(self.subject, self.now, reason, details, destination)

    def recorded(self, receiver: Receiver) -> NotificationState:
        """What this receiver knows of it, as earlier rounds recorded it."""
        return self.memory.known.get((receiver.key, self.subject), NOT_NOTIFIED)

    def known(self, receiver: Receiver) -> NotificationState:
        """The same; a time in the future means that the clock was set back, and then reminders count from now on."""
        recorded = self.recorded(receiver)
        return replace(recorded, at=self.now) if recorded.at and recorded.at > self.now else recorded

    @cached_property
    def remotes(self) -> tuple[Remote, ...]:
        """The remote itself, or the remotes behind the proxy or worker: whose settings count."""
        if self.state.kind is Kind.PROXY:
            return self.fleet.behind(self.state.name)
        if self.state.kind is Kind.WORKER:
            return self.fleet.only_from(self.state.name)
        return (self.fleet.remotes_by_name[self.state.name],)

    @cached_property
    def window(self) -> OpenWindow | None:
        """The maintenance window that it is in."""
        if self.state.kind is Kind.PROXY:
            return window_of_proxy(self.state.name, self.fleet, self.memory.windows, self.now)
        if self.state.kind is Kind.WORKER:
            return None
        return window_of_remote(self.remotes[0], self.memory.windows, self.now)

    @property
    def acknowledgement(self) -> Acknowledgement | None:
        return self.memory.acknowledged.get(self.subject)

    @property
    def acknowledged(self) -> bool:
        return self.acknowledgement is not None and self.acknowledgement.holds(self.now)

    @cached_property
    def tags(self) -> frozenset[str] | None:
        """The tags of its receivers; None means everybody."""
        if not self.remotes or any(not remote.settings.notify for remote in self.remotes):
            return None
        return frozenset(tag for remote in self.remotes for tag in remote.settings.notify)

    @cached_property
    def escalations(self) -> frozenset[Escalation]:
        return frozenset(step for remote in self.remotes for step in remote.settings.escalate)

    def escalations_to(self, receiver: Receiver) -> list[Escalation]:
        """The escalations that lead to this receiver."""
        return [step for step in self.escalations if set(step.notify) & set(receiver.tags)]

    @cached_property
    def remind_every(self) -> timedelta | None:
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
        """Whether it could not be checked for some rounds, and no proxy is to blame: that is a problem too."""
        state = self.state
        own_cause = state.trouble is not None and not state.trouble.cause.declaration.of_another
        lasting = self.now - state.since >= self.fleet.settings.every * UNCHECKED_ROUNDS
        return state.status is Status.UNKNOWN and own_cause and lasting

    def truth(self, known: NotificationState) -> Status:
        """What a receiver that knows this should know now."""
        if self.is_unchecked and not self.is_bad and known.status in (Status.UP, Status.UNKNOWN):
            return Status.UNKNOWN
        if self.state.status is Status.UNKNOWN and known.status is Status.UNKNOWN:
            return Status.UNKNOWN
        return self.state.confirmed

    @property
    def unconfirmed(self) -> Reason | None:
        """Why the last check result is no ground to notify anybody; None when it is."""
        if self.state.status is Status.UNKNOWN:
            return Reason.NO_NEW_RESULT
        if not self.is_bad and self.state.status is not Status.UP:
            return Reason.BAD_AGAIN
        return Reason.UP_MEANWHILE if self.is_bad and self.state.status is Status.UP else None

    @property
    def why_unknown(self) -> str:
        trouble = self.state.trouble
        if trouble and trouble.cause.declaration.of_another:
            whose = "proxy" if trouble.cause is Cause.PROXY_UNREACHABLE else "worker"
            return f"its {whose} does not answer, and that is told as one"
        return trouble.message if trouble else "it could not be checked"

    @cached_property
    def for_all(self) -> Decision | None:
        """Why nobody is notified: it is not confirmed, or not a problem of its own."""
        state = self.state
        settings = self.remotes[0].settings if state.kind is Kind.REMOTE else RemoteSettings()
        if state.status is Status.UNKNOWN:
            return self.decide(Reason.UNKNOWN, message=self.why_unknown)
        if state.flapping_since:
            return self.decide(Reason.FLAPPING, since=say_moment(state.flapping_since, self.now))
        if state.status is not Status.UP and not self.is_bad:
            return self.decide(Reason.FAILURE_NOT_CONFIRMED, rounds=state.bad, needed=settings.fail_after)
        if state.status is Status.UP and self.is_bad:
            return self.decide(Reason.RECOVERY_NOT_CONFIRMED, rounds=state.good, needed=settings.recover_after)
        return None


def _decide_all(cases: Sequence[_Case], receiver: Receiver) -> list[_Outcome]:
    """What becomes of each case; once one reminder is due, all open problems go into the same message."""
    outcomes = [_decide(case, receiver) for case in cases]
    if any(outcome.line and outcome.line.event_type is EventType.REMINDER for outcome in outcomes):
        return [_decide(case, receiver, remind=True) for case in cases]
    return outcomes


def _decide(case: _Case, receiver: Receiver, *, remind: bool = False) -> _Outcome:
    """What becomes of one case and one receiver: the stages in their order; the first that holds it ends it."""
    known = case.known(receiver)
    event_type = _event_type(case, known)
    if event_type is None:
        return _Outcome(known)
    new = event_type in (EventType.PROBLEM, EventType.FLAPPING) and known.status is Status.UP
    routed = not new or case.tags is None or bool(case.tags & set(receiver.tags))
    escalated = not routed and any(case.now - case.begun >= step.after for step in case.escalations_to(receiver))
    if not routed and not escalated:
        return _Outcome(known, _not_for(case, receiver))
    if case.acknowledged and (escalated or event_type is EventType.REMINDER):
        reason = Reason.NOT_ESCALATED if escalated else Reason.NOT_REMINDED
        return _Outcome(known, case.decide(reason, receiver.name))
    if event_type is EventType.REMINDER and not (remind or _reminder_is_due(case, known)):
        return _Outcome(known)
    if held := _held(case, receiver, event_type, case.truth(known)):
        hold_change = held.reason is Reason.QUIET_HOURS and event_type is not EventType.REMINDER
        return _Outcome(_hold(case, known) if hold_change else known, held)
    return _Outcome(
        _remember(case, known, event_type),
        case.decide(Reason.ESCALATED if escalated else Reason.NOTIFIED, receiver.name, event=event_type.value),
        Line(event_type, case.state, case.truth(known), known, escalated),
    )


def _held(case: _Case, receiver: Receiver, event_type: EventType, truth: Status) -> Decision | None:
    """Why an event is held back for now, if it is: for a confirmed result, by maintenance or by quiet hours."""
    unstable, passed = event_type is EventType.FLAPPING, event_type is EventType.CAME_AND_WENT
    if case.unconfirmed and truth is not Status.UNKNOWN and not unstable and not passed:
        return case.decide(case.unconfirmed, receiver.name, message=case.why_unknown)
    if case.window and (unstable or (truth is not Status.UP and not passed)):
        return case.decide(Reason.MAINTENANCE, receiver.name, until=say_moment(case.window.until, case.now))
    quiet = quiet_hours_now(case.fleet.settings.quiet_hours, receiver, case.now)
    newly_down = event_type in (EventType.PROBLEM, EventType.WORSE) and truth is Status.DOWN
    if quiet and not (quiet.let_down_pass and newly_down):
        return case.decide(Reason.QUIET_HOURS, receiver.name, until=f"{quiet.until:%H:%M} {quiet.timezone}")
    return None


def _not_for(case: _Case, receiver: Receiver) -> Decision:
    if later := case.escalations_to(receiver):
        span = say_duration(min(step.after for step in later))
        return case.decide(Reason.ESCALATES_LATER, receiver.name, span=span)
    return case.decide(Reason.OTHER_TAGS, receiver.name, tags=", ".join(sorted(case.tags or ())))


def _event_type(case: _Case, known: NotificationState) -> EventType | None:
    """What there is to say: the gap between what is confirmed and what the receiver knows."""
    truth = case.truth(known)
    if case.state.flapping:
        return None if known.flapping else EventType.FLAPPING
    if known.flapping:
        return EventType.STEADY
    if truth is known.status:
        if known.held:
            return EventType.CAME_AND_WENT
        return EventType.REMINDER if truth is not Status.UP and case.remind_every else None
    if truth is Status.UP:
        return EventType.RECOVERED
    if known.status in (Status.UP, Status.UNKNOWN):
        return EventType.PROBLEM
    return EventType.WORSE if truth.rank > known.status.rank else EventType.BETTER


def _remember(case: _Case, known: NotificationState, event_type: EventType) -> NotificationState:
    """What the receiver knows once it is notified."""
    match event_type:
        case EventType.FLAPPING:
            return replace(known, at=case.now, flapping=True, held=())
        case EventType.CAME_AND_WENT:
            return replace(known, held=())
        case EventType.REMINDER:
            return replace(known, at=case.now)
        case EventType.PROBLEM | EventType.WORSE | EventType.BETTER | EventType.RECOVERED | EventType.STEADY:
            truth = case.truth(known)
            return NOT_NOTIFIED if truth is Status.UP else NotificationState(truth, since=case.begun, at=case.now)
        case _:
            assert_never(event_type)


def _hold(case: _Case, known: NotificationState) -> NotificationState:
    """Note a change that quiet hours keep from the receiver, so that what comes and goes meanwhile is not lost."""
    last = known.held[-1][1] if known.held else known.status
    truth = case.truth(known)
    if last is truth:
        return known
    at = case.now if truth is Status.UNKNOWN else case.state.confirmed_since or case.now
    return replace(known, held=(*known.held[: HELD_KEPT - 1], (at, truth)))


def _reminder_is_due(case: _Case, known: NotificationState) -> bool:
    return case.remind_every is not None and known.at is not None and case.now - known.at >= case.remind_every


def _concerns_others(one: FailingDestination, now: datetime) -> bool:
    wait = REFUSING_AFTER if one.permanent else FAILING_AFTER
    return one.others_notified_at is None and now - one.since >= wait
