"""
The state machine: the last State and one new check result give the new State.

The same inputs always give the same state. The page shows a status at once; people are notified only after `fail_after`
bad (or `recover_after` good) rounds in a row (soft and hard states in Nagios). A round that could not check does not
change the confirmed status.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from remotestatus.evaluate.finding_states import Look, SeenFindings, came_again, follow_findings
from remotestatus.evaluate.flapping import detect_flapping
from remotestatus.model.check_result import Key, Trouble, most_severe_first, summarize
from remotestatus.model.states import FindingState, Kind, Policy, State, StateChange, Transition
from remotestatus.model.status_words import Status


def next_state(
    kind: Kind,
    name: str,
    last: State | None,
    troubles: tuple[Trouble, ...],
    policy: Policy,
    now: datetime,
    unseen: Mapping[Key, Look] | None = None,
) -> StateChange:
    """
    Make the new state of one remote or proxy from what is wrong with it now.

    A new subject counts as up before its first round, so that this round reports problems but no recoveries. `unseen`
    are the findings that this round could not check. While one of them is confirmed, the remote does not become up.
    """
    before = last.status if last else None
    base = last or State(kind=kind, name=name, status=_status_of(troubles), since=now, seen_at=now)
    seen_now = SeenFindings(_status_of(troubles), troubles, now, unseen or {})
    held = [] if troubles else [one for one in base.findings if one.confirmed and seen_now.holds(one)]
    # A held finding that was missing before (`good`) leaves the status up; the round counts neither way.
    troubles = troubles or most_severe_first(one.trouble for one in held if not one.good)
    trouble = next(iter(summarize(troubles)), None)
    status = _status_of(troubles)
    is_good = status is Status.UP and not held
    is_bad = status in (Status.DEGRADED, Status.DOWN)
    state = _count_round(base, status, troubles, now, is_good=is_good, is_bad=is_bad)
    enough = (is_bad and state.bad >= policy.fail_after) or (is_good and state.good >= policy.recover_after)
    changed = enough and status is not base.confirmed
    if changed:
        state = replace(state, confirmed=status, confirmed_since=now)
    if is_good and state.confirmed is Status.UP:
        state = replace(state, problem_since=None)
    state = replace(state, findings=follow_findings(base, seen_now, policy, newly_bad=changed and is_bad))
    if (is_good or is_bad) and not policy.maintained:
        unsteady = changed or _came_back(base, state.findings, is_bad=is_bad)
        state = detect_flapping(state, changed=unsteady, now=now)
    seen = None if before is status else Transition(kind, name, now, before, status, trouble)
    confirmed = Transition(kind, name, now, base.confirmed, status, trouble, base.problem_since) if changed else None
    return StateChange(state, seen, confirmed)


def _status_of(troubles: tuple[Trouble, ...]) -> Status:
    """Return the status of the first trouble; up without one."""
    return troubles[0].cause.status if troubles else Status.UP


def _count_round(
    base: State, status: Status, troubles: tuple[Trouble, ...], now: datetime, *, is_good: bool, is_bad: bool
) -> State:
    """Make the state with this round's status, and count its rounds in a row."""
    return replace(
        base,
        status=status,
        since=base.since if base.status is status else now,
        seen_at=now,
        troubles=troubles,
        bad=base.bad + 1 if is_bad else (0 if is_good else base.bad),
        good=base.good + 1 if is_good else (0 if is_bad else base.good),
        problem_since=base.problem_since or (now if is_bad else None),
    )


def _came_back(base: State, findings: tuple[FindingState, ...], *, is_bad: bool) -> bool:
    """Whether it returned to its old status, or stays bad with a finding that returned."""
    if is_bad and base.status.is_bad and came_again(base.findings, findings):
        return True
    return base.good > 0 and is_bad if base.confirmed is not Status.UP else base.bad > 0 and not is_bad
