"""
Decides whom to tell what, and why not.

Takes the states after a round, the fleet, the destinations and what each of them was told before; returns one Message
per destination at most, with the memory it leaves, and a Decision with its reason for everything that was to be
decided. The rule: telling closes the gap between what is confirmed and what a destination knows. So what was held back
(by maintenance, quiet hours, flapping, a proxy that is down) is told as soon as nothing holds it any more and it is
still true, and a message that could not be made in one round is made in the next. Pure: no clock, database or network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
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
from remotestatus.model.settings import Escalation, QuietHours, RemoteSettings
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.statuses import Status
from remotestatus.model.windows import OpenWindow

FAILING_IS_TOLD_AFTER = timedelta(days=1)
"""A destination that fails so long is told to the others."""


REFUSAL_IS_TOLD_AFTER = timedelta(hours=1)
"""The same for one that refuses for a reason that time does not mend, such as a wrong password."""

HELD_KEPT = 12
"""Changes remembered per subject and destination while quiet hours hold them; of more, the last one counts."""


BLIND_ROUNDS = 3
"""What the checker itself could not look at for so many check intervals is told."""


def plan_notifications(
    fleet: Fleet,
    states: Mapping[Subject, State],
    receivers: Sequence[Receiver],
    memory: NotificationMemory,
    now: datetime,
) -> Plan:
    """Decide what each destination is told after a round, from the states of everything in the inventory."""
    cases = [_Case(fleet, state, memory, now) for state in states.values()]
    cases = [case for case in cases if case.listed]
    notifications: list[Notification] = []
    decisions = [case.for_all for case in cases if case.for_all]
    memories: dict[tuple[str, Subject], NotificationState | None] = {
        (key, subject): None for key, subject in memory.told if subject not in states
    }
    failing = [one for one in memory.failing if _is_worth_telling(one, now)]
    complained_about: set[str] = set()
    for receiver in receivers:
        lines: list[Line] = []
        knowledge = [memory.told.get((receiver.key, case.subject), NOT_NOTIFIED) for case in cases]
        outcomes = [_decide(case, receiver, _sane(told, now)) for case, told in zip(cases, knowledge, strict=True)]
        if any(outcome.line and outcome.line.event_type is EventType.REMINDER for outcome in outcomes):
            # Once one open problem is due, all of them go into the same message.
            outcomes = [
                _decide(case, receiver, _sane(told, now), reminding=True)
                for case, told in zip(cases, knowledge, strict=True)
            ]
        for case, told, outcome in zip(cases, knowledge, outcomes, strict=True):
            if outcome.memory != told:
                memories[receiver.key, case.subject] = None if outcome.memory == NOT_NOTIFIED else outcome.memory
            if outcome.line:
                lines.append(outcome.line)
            if outcome.reason:
                decisions.append(
                    Decision(case.subject, now, outcome.line is not None, outcome.reason, destination=receiver.name)
                )
        complaints = tuple(one for one in failing if one.key != receiver.key)
        if complaints and not quiet_hours_now(fleet.settings.quiet_hours, receiver, now):
            complained_about.update(one.key for one in complaints)
        else:
            complaints = ()
        if lines or complaints:
            notifications.append(Notification(receiver, now, tuple(lines), complaints))
    settled = tuple(case.subject for case in cases if case.acknowledgement and case.state.confirmed is Status.UP)
    return Plan(tuple(notifications), tuple(decisions), memories, settled, tuple(sorted(complained_about)))


def quiet_hours_now(hours: Sequence[QuietHours], receiver: Receiver, now: datetime) -> QuietHours | None:
    """The quiet hours that a destination is in now, or None. They go by the wall clock of their zone."""
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
    memory: NotificationState
    reason: str = ""
    line: Line | None = None


@dataclass(frozen=True)  # without slots: cached_property needs a __dict__
class _Case:
    """One subject with everything about it that does not depend on the destination."""

    fleet: Fleet
    state: State
    memory: NotificationMemory
    now: datetime

    @property
    def subject(self) -> Subject:
        return self.state.kind, self.state.name

    @cached_property
    def remotes(self) -> tuple[Remote, ...]:
        """The remote itself, or the remotes behind the proxy: whose settings count."""
        if self.state.kind is Kind.PROXY:
            return self.fleet.behind(self.state.name)
        return tuple(remote for remote in self.fleet.remotes if remote.name == self.state.name)

    @cached_property
    def listed(self) -> bool:
        """Whether it is (still) in the inventory."""
        if self.state.kind is Kind.PROXY:
            return any(proxy.name == self.state.name for proxy in self.fleet.proxies)
        return bool(self.remotes)

    @cached_property
    def window(self) -> OpenWindow | None:
        if self.state.kind is Kind.PROXY:
            return window_of_proxy(self.state.name, self.fleet, self.memory.windows, self.now)
        return window_of_remote(self.remotes[0], self.memory.windows, self.now)

    @cached_property
    def acknowledgement(self) -> Acknowledgement | None:
        return self.memory.acknowledged.get(self.subject)

    @cached_property
    def acknowledged(self) -> bool:
        return self.acknowledgement is not None and self.acknowledgement.holds(self.now)

    @cached_property
    def tags(self) -> frozenset[str] | None:
        """The tags of those to tell; None means everybody."""
        if not self.remotes or any(not remote.settings.notify for remote in self.remotes):
            return None
        return frozenset(tag for remote in self.remotes for tag in remote.settings.notify)

    @cached_property
    def escalations(self) -> frozenset[Escalation]:
        return frozenset(step for remote in self.remotes for step in remote.settings.escalate)

    @cached_property
    def remind_every(self) -> timedelta | None:
        spans = [remote.settings.remind_every for remote in self.remotes]
        return min((span for span in spans if span), default=None)

    @cached_property
    def begun(self) -> datetime:
        """When the present problem began."""
        blind_since = self.state.since if self.state.status is Status.UNKNOWN else self.now
        return min(self.state.problem_since or blind_since, self.now)

    @cached_property
    def lasted(self) -> timedelta:
        return self.now - self.begun

    @property
    def is_bad(self) -> bool:
        """Whether a problem is confirmed."""
        return self.state.confirmed is not Status.UP

    @cached_property
    def is_blind(self) -> bool:
        """Whether nobody has been able to look for some rounds, and no proxy is to blame: that is a problem too."""
        state = self.state
        blamed = state.trouble is not None and state.trouble.cause is not Cause.PROXY_UNREACHABLE
        lasting = self.now - state.since >= self.fleet.settings.every * BLIND_ROUNDS
        return state.status is Status.UNKNOWN and blamed and lasting

    def truth(self, told: NotificationState) -> Status:
        """What a destination that was told this should know now."""
        if self.is_blind and not self.is_bad and told.status in (Status.UP, Status.UNKNOWN):
            return Status.UNKNOWN
        if self.state.status is Status.UNKNOWN and told.status is Status.UNKNOWN:
            return Status.UNKNOWN
        return self.state.confirmed

    @cached_property
    def waits(self) -> str:
        """Why the last look is no ground to tell anything on; empty when it is."""
        state = self.state
        if state.status is Status.UNKNOWN:
            return f"waits for a fresh look: {_why_unknown(state)}"
        if state.confirmed is Status.UP and state.status is not Status.UP:
            return "waits for the next look: the last one found it bad again"
        if state.confirmed is not Status.UP and state.status is Status.UP:
            return "waits for the next look: the last one found it up"
        return ""

    @cached_property
    def for_all(self) -> Decision | None:
        """What is not told to anybody, because it is not confirmed or not a problem of its own."""
        state = self.state
        rounds = self.remotes[0].settings if state.kind is Kind.REMOTE else RemoteSettings()
        reason = ""
        if state.status is Status.UNKNOWN:
            reason = f"not told as a problem of its own: {_why_unknown(state)}"
        elif state.flapping_since:
            since = say_moment(state.flapping_since, self.now)
            reason = f"its changes are not told one by one: it flaps since {since}; quiet until it is stable"
        elif state.status is not Status.UP and not self.is_bad:
            reason = f"not told yet: bad for {state.bad} of {rounds.fail_after} rounds in a row (fail_after)"
        elif state.status is Status.UP and self.is_bad:
            reason = f"not told as recovered yet: up for {state.good} of {rounds.recover_after} rounds (recover_after)"
        return Decision(self.subject, self.now, told=False, reason=reason) if reason else None

    def reaches(self, receiver: Receiver) -> bool:
        """Whether it is told to this destination from the start."""
        return self.tags is None or bool(self.tags & set(receiver.tags))

    def escalates_to(self, receiver: Receiver) -> bool:
        """Whether it has lasted so long that this destination is told too."""
        return any(self.lasted >= step.after and set(step.notify) & set(receiver.tags) for step in self.escalations)


def _decide(case: _Case, receiver: Receiver, told: NotificationState, *, reminding: bool = False) -> _Outcome:
    """What happens to one subject and one destination: the stages in their order; the first that holds it ends it."""
    event_type = _event_type(case, told)
    if event_type is None:
        return _Outcome(told)
    reached = case.reaches(receiver)
    unknowing = event_type in (EventType.PROBLEM, EventType.FLAPPING) and told.status is Status.UP
    escalated = unknowing and not reached and case.escalates_to(receiver)
    if unknowing and not reached and not escalated:
        return _Outcome(told, _not_for(case, receiver))
    if escalated and case.acknowledged:
        return _Outcome(told, "not escalated: acknowledged")
    if event_type is EventType.REMINDER and case.acknowledged:
        return _Outcome(told, "not reminded: acknowledged")
    if event_type is EventType.REMINDER and not (reminding or _reminder_is_due(case, told)):
        return _Outcome(told)
    truth = case.truth(told)
    if case.waits and truth is not Status.UNKNOWN and event_type not in (EventType.FLAPPING, EventType.CAME_AND_WENT):
        return _Outcome(told, case.waits)
    if case.window and (
        event_type is EventType.FLAPPING or (truth is not Status.UP and event_type is not EventType.CAME_AND_WENT)
    ):
        return _Outcome(told, f"held: in maintenance until {say_moment(case.window.until, case.now)}")
    quiet = quiet_hours_now(case.fleet.settings.quiet_hours, receiver, case.now)
    passes = event_type in (EventType.PROBLEM, EventType.WORSE) and truth is Status.DOWN
    if quiet and not (quiet.let_down_pass and passes):
        held = told if event_type is EventType.REMINDER else _hold(case, told)
        return _Outcome(held, f"held: quiet hours until {quiet.until:%H:%M} {quiet.timezone}")
    line = Line(event_type, case.state, truth, told, escalated=escalated, acknowledged=case.acknowledged)
    return _Outcome(
        _remember(case, told, event_type), f"told: {event_type.value}{', escalated' if escalated else ''}", line
    )


def _event_type(case: _Case, told: NotificationState) -> EventType | None:
    """What there is to tell: the gap between what is confirmed and what the destination knows."""
    truth = case.truth(told)
    if case.state.flapping:
        return None if told.flapping else EventType.FLAPPING
    if told.flapping:
        return EventType.STEADY
    if truth is told.status:
        if told.held:
            return EventType.CAME_AND_WENT
        return EventType.REMINDER if truth is not Status.UP and case.remind_every else None
    if truth is Status.UP:
        return EventType.RECOVERED
    if told.status in (Status.UP, Status.UNKNOWN):
        return EventType.PROBLEM
    return EventType.WORSE if truth.severity > told.status.severity else EventType.BETTER


def _remember(case: _Case, told: NotificationState, event_type: EventType) -> NotificationState:
    """What the destination knows once it is told."""
    match event_type:
        case EventType.FLAPPING:
            return replace(told, at=case.now, flapping=True, held=())
        case EventType.CAME_AND_WENT:
            return replace(told, held=())
        case EventType.REMINDER:
            return replace(told, at=case.now)
        case EventType.PROBLEM | EventType.WORSE | EventType.BETTER | EventType.RECOVERED | EventType.STEADY:
            truth = case.truth(told)
            if truth is Status.UP:
                return NOT_NOTIFIED
            return NotificationState(truth, since=case.begun, at=case.now)
        case _:
            assert_never(event_type)


def _hold(case: _Case, told: NotificationState) -> NotificationState:
    """Note a change that quiet hours keep from the destination, so that what comes and goes meanwhile is not lost."""
    last = told.held[-1][1] if told.held else told.status
    truth = case.truth(told)
    if last is truth:
        return told
    change = (case.now if truth is Status.UNKNOWN else case.state.confirmed_since or case.now, truth)
    return replace(told, held=(*told.held[: HELD_KEPT - 1], change))


def _sane(told: NotificationState, now: datetime) -> NotificationState:
    """A memory from the future means that the clock was set back: reminders count from now on."""
    return replace(told, at=now) if told.at and told.at > now else told


def _reminder_is_due(case: _Case, told: NotificationState) -> bool:
    return case.remind_every is not None and told.at is not None and case.now - told.at >= case.remind_every


def _not_for(case: _Case, receiver: Receiver) -> str:
    wanted = ", ".join(sorted(case.tags or ()))
    later = [step for step in case.escalations if set(step.notify) & set(receiver.tags)]
    if later:
        return f"not told yet: escalated to it after {say_duration(min(step.after for step in later))}"
    return f"not for this destination: it goes to {wanted}"


def _why_unknown(state: State) -> str:
    if state.trouble and state.trouble.cause is Cause.PROXY_UNREACHABLE:
        return "its proxy does not answer, and that is told as one"
    return state.trouble.message if state.trouble else "it could not be looked at"


def _is_worth_telling(one: FailingDestination, now: datetime) -> bool:
    wait = REFUSAL_IS_TOLD_AFTER if one.permanent else FAILING_IS_TOLD_AFTER
    return one.others_told_at is None and now - one.since >= wait


def say_moment(moment: datetime, now: datetime) -> str:
    """Write a moment for people: `02:10 UTC`, or with its date when that is not today's."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    return f"{moment:%H:%M} UTC" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M} UTC"
