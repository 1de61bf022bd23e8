"""
Decides who is notified of what, and why not.

A round gives each receiver one Notification at most, and everything that had to be decided a Decision with its reason.
The rule: a receiver is notified of the difference between the confirmed state and what it knows. So what was held (by
maintenance, quiet hours, flapping, a down proxy) is sent when nothing holds it and it is still true, and a message that
failed in one round is made in the next. An error in one subject affects no other. Pure: no clock, database or network.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from remotestatus.model.durations import say_duration
from remotestatus.model.errors import say_error
from remotestatus.model.failing_subjects import find_failing
from remotestatus.model.fleet import Fleet
from remotestatus.model.inventory_variables import QuietHours
from remotestatus.model.notification import Decision, EventType, Line, Notification, Plan, Reason, Receiver
from remotestatus.model.receiver_memory import NOT_NOTIFIED, FailingDestination, NotificationMemory, NotificationState
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.status_words import Status
from remotestatus.model.text import join_names
from remotestatus.model.times import say_moment
from remotestatus.notify.case import Case, Difference, known_findings

FAILING_AFTER = timedelta(days=1)
"""How long a destination fails before the others are notified."""

REFUSING_AFTER = timedelta(hours=1)
"""The same for permanent errors, such as a wrong password."""

HELD_KEPT = 12
"""Changes kept per subject and receiver during quiet hours; a further one replaces the last."""


def plan_for_each(
    fleet: Fleet,
    states: Mapping[Subject, State],
    receivers: Sequence[Receiver],
    memory: NotificationMemory,
    now: datetime,
) -> tuple[Plan, tuple[str, ...]]:
    """Decide what each receiver is notified of; also return what went wrong with it."""

    def plan(subjects: Sequence[Subject]) -> Plan:
        wanted = set(subjects)
        known = {key: state for key, state in memory.known.items() if key[1] in wanted or key[1] not in states}
        acknowledged = {
            subject: one for subject, one in memory.acknowledged.items() if subject in wanted or subject not in states
        }
        some = {subject: state for subject, state in states.items() if subject in wanted}
        return plan_notifications(fleet, some, receivers, replace(memory, known=known, acknowledged=acknowledged), now)

    def works(subjects: Sequence[Subject]) -> bool:
        try:
            plan(subjects)
        except Exception:
            return False
        return True

    try:
        return plan_notifications(fleet, states, receivers, memory, now), ()
    except Exception as error:
        culprits = find_failing(tuple(states), works)
        sentence = f"{say_error(error)}; please report this"
        if not culprits:
            return Plan((), (), {}), (f"nobody could be notified in this round: {sentence}",)
        names = ", ".join(name for _, name in culprits)
        rest = [subject for subject in states if subject not in culprits]
        return plan(rest), (f"nobody could be notified of {names} in this round: {sentence}",)


def plan_notifications(
    fleet: Fleet,
    states: Mapping[Subject, State],
    receivers: Sequence[Receiver],
    memory: NotificationMemory,
    now: datetime,
) -> Plan:
    """Decide what each receiver is notified of after a round, from the states of everything in the inventory."""
    remembered = {subject for _, subject in memory.known} | memory.acknowledged.keys()
    cases = [
        Case(fleet, state, memory, now)
        for subject, state in states.items()
        # About a subject that is up and that no receiver knows, there is no news.
        if not state.is_well or state.flapping or subject in remembered
    ]
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
        done = tuple(outcome for key, outcome in memory.replies.done if key == receiver.key)
        standing = _count_statuses(states) if receiver.key in memory.replies.asked else {}
        if lines or others or memory.orphans or done or standing:
            notifications.append(Notification(receiver, now, lines, others, memory.orphans, done, standing))
    recovered = [case.subject for case in cases if case.acknowledgement and case.state.is_well]
    recovered += [subject for subject in memory.acknowledged if subject not in states]
    return Plan(tuple(notifications), tuple(decisions), known, tuple(recovered), memory.orphans)


def _count_statuses(states: Mapping[Subject, State]) -> Mapping[Status, int]:
    """How many remotes there are of each status, the worst first."""
    found = Counter(state.status for (kind, _), state in states.items() if kind is Kind.REMOTE)
    return {status: found[status] for status in sorted(Status, key=lambda one: -one.rank) if found[status]}


def quiet_hours_now(hours: Sequence[QuietHours], receiver: Receiver, now: datetime) -> QuietHours | None:
    """The quiet hours that a receiver is in now, or None. They are local times of their zone."""
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


def _decide_all(cases: Sequence[Case], receiver: Receiver) -> list[_Outcome]:
    """Decide each case; once one reminder is due, all open problems go into the same message."""
    if cases and receiver.key in cases[0].memory.replies.asked:
        return [_decide(case, receiver, remind=True) for case in cases]
    outcomes = [_decide(case, receiver) for case in cases]
    if any(outcome.line and outcome.line.event_type is EventType.REMINDER for outcome in outcomes):
        return [_decide(case, receiver, remind=True) for case in cases]
    return outcomes


def _decide(case: Case, receiver: Receiver, *, remind: bool = False) -> _Outcome:
    """Decide one case for one receiver: the stages in order; the first that stops it ends it."""
    gap = case.gap(receiver)
    known, event_type = gap.known, gap.event_type
    if event_type is None:
        return _Outcome(_adopt(gap), _below(case, receiver))
    new = event_type in (EventType.PROBLEM, EventType.FLAPPING) and known.status is Status.UP
    routed = not new or case.tags is None or bool(case.tags & set(receiver.tags))
    escalated = not routed and any(case.now - case.begun >= step.after for step in case.escalations_to(receiver))
    if not routed and not escalated:
        return _Outcome(known, _not_for(case, receiver))
    asked = receiver.key in case.memory.replies.asked
    if case.acknowledged and (escalated or (event_type is EventType.REMINDER and not asked)):
        reason = Reason.NOT_ESCALATED if escalated else Reason.NOT_REMINDED
        return _Outcome(known, case.decide(reason, receiver.name))
    if event_type is EventType.REMINDER and not (remind or _reminder_is_due(case, known)):
        return _Outcome(_adopt(gap), _below(case, receiver))
    if (held := _held(case, receiver, gap, event_type)) and not (asked and event_type is EventType.REMINDER):
        hold_change = held.reason is Reason.QUIET_HOURS and event_type is not EventType.REMINDER
        return _Outcome(_hold(case, gap) if hold_change else known, held)
    reason = Reason.ESCALATED if escalated else Reason.NOTIFIED
    return _Outcome(
        _remember(case, gap, event_type),
        case.decide(reason, receiver.name, event=_say_event(gap, event_type)),
        Line(event_type, case.state, gap.truth, known, escalated, gap.troubles, gap.changes),
    )


def _adopt(gap: Difference) -> NotificationState:
    """The new knowledge without a notification: the remaining findings of a subject that is still bad."""
    if gap.known.findings is None or not gap.truth.is_bad or gap.changes:
        return gap.known
    return replace(gap.known, findings=known_findings(gap.troubles))


def _below(case: Case, receiver: Receiver) -> Decision | None:
    """The Decision not to notify of some findings, because the receiver takes only more severe ones."""
    left_out = case.left_out(receiver)
    if not left_out:
        return None
    names = join_names([f"{trouble.cause} {trouble.what}".strip() for trouble in left_out], 3)
    return case.decide(Reason.LESS_SEVERE, receiver.name, least=receiver.least.value, findings=names)


def _say_event(gap: Difference, event_type: EventType) -> str:
    """The event in words: `worse: new process-missing encoder, over limit-exceeded disk /`."""
    words = []
    for change in gap.changes:
        over = "no longer looked at" if change.lost else "over"
        was = over if change.now is None else "new" if change.before is None else f"now {change.now}"
        if change.finding.what:
            words.append(f"{was} {change.finding.cause} {change.finding.what}")
    return f"{event_type}: {join_names(words, 5)}" if words else event_type.value


def _held(case: Case, receiver: Receiver, gap: Difference, event_type: EventType) -> Decision | None:
    """Why an event is held, if it is: not confirmed, maintenance, or quiet hours."""
    truth = gap.truth
    unstable, passed = event_type is EventType.FLAPPING, event_type is EventType.CAME_AND_WENT
    if case.unconfirmed and truth is not Status.UNKNOWN and not unstable and not passed:
        return case.decide(case.unconfirmed, receiver.name, message=case.why_unknown)
    if case.window and (unstable or (truth is not Status.UP and not passed)):
        return case.decide(Reason.MAINTENANCE, receiver.name, until=say_moment(case.window.until, case.now))
    quiet = quiet_hours_now(case.fleet.settings.quiet_hours, receiver, case.now)
    newly_down = truth is Status.DOWN and gap.known.status is not Status.DOWN
    if quiet and not (quiet.let_down_pass and newly_down and event_type in (EventType.PROBLEM, EventType.WORSE)):
        return case.decide(Reason.QUIET_HOURS, receiver.name, until=f"{quiet.until:%H:%M} {quiet.timezone}")
    return None


def _not_for(case: Case, receiver: Receiver) -> Decision:
    if later := case.escalations_to(receiver):
        span = say_duration(min(step.after for step in later))
        return case.decide(Reason.ESCALATES_LATER, receiver.name, span=span)
    return case.decide(Reason.OTHER_TAGS, receiver.name, tags=", ".join(sorted(case.tags or ())))


def _remember(case: Case, gap: Difference, event_type: EventType) -> NotificationState:
    """What the receiver knows once it is notified."""
    known = gap.known
    match event_type:
        case EventType.FLAPPING:
            return replace(known, at=case.now, flapping=True, held=(), held_findings=())
        case EventType.CAME_AND_WENT:
            return replace(known, held=(), held_findings=())
        case EventType.REMINDER:
            return replace(known, at=case.now)
        case EventType.PROBLEM | EventType.WORSE | EventType.BETTER | EventType.RECOVERED | EventType.STEADY:
            if gap.truth is Status.UP:
                return NOT_NOTIFIED
            findings = known_findings(gap.troubles)
            return NotificationState(gap.truth, since=case.begun, at=case.now, findings=findings)
        case _:
            assert_never(event_type)


def _hold(case: Case, gap: Difference) -> NotificationState:
    """Keep a change that quiet hours hold, so that what comes and goes meanwhile is not lost."""
    known, truth = gap.known, gap.truth
    noted = {finding.key for finding in known.held_findings}
    came = [change.finding for change in gap.changes if change.is_bad and change.finding.key not in noted]
    came = [replace(finding, since=case.now) for finding in came if finding.what]
    known = replace(known, held_findings=(*known.held_findings, *came)[:HELD_KEPT])
    last = known.held[-1][1] if known.held else known.status
    if last is truth:
        return known
    at = case.now if truth is Status.UNKNOWN else case.state.confirmed_since or case.now
    return replace(known, held=(*known.held[: HELD_KEPT - 1], (at, truth)))


def _reminder_is_due(case: Case, known: NotificationState) -> bool:
    return case.remind_every is not None and known.at is not None and case.now - known.at >= case.remind_every


def _concerns_others(one: FailingDestination, now: datetime) -> bool:
    wait = REFUSING_AFTER if one.permanent else FAILING_AFTER
    return one.others_notified_at is None and now - one.since >= wait
