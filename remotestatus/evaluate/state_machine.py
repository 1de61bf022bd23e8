"""
Decides what each remote's and proxy's status is now, and what of that is confirmed.

Takes the last State and one new look (a status with its trouble); returns a StateChange. No clock and no database: the
same inputs always give the same answer. The page shows what was seen at once; people are told only of what was seen
for `fail_after` bad (or `recover_after` good) rounds in a row. What could not be looked at changes nothing of what
people were told.

What changes its confirmed status over and over, or strays from it and comes back, is called flapping, by a weighted
window as Icinga and Nagios have it
(https://icinga.com/docs/icinga-2/latest/doc/08-advanced-topics/#check-flapping): of the last looks, newer changes weigh
more than older ones; it starts over one share and ends under a lower one, or after enough like looks in a row.
"""

from dataclasses import replace
from datetime import datetime

from remotestatus.model.check_result import Trouble
from remotestatus.model.states import Kind, Policy, State, StateChange, Transition
from remotestatus.model.statuses import Status

FLAP_WINDOW = 20
"""Looks that are remembered."""

FLAP_STARTS = 20.0
"""Weighted share of changes in the window, in percent, from which a subject flaps: four changes close together."""

FLAP_ENDS = 10.0
"""Share under which it no longer does."""

STEADY_LOOKS = 8
"""So many like looks in a row also end it."""


def next_state(
    kind: Kind,
    name: str,
    last: State | None,
    troubles: tuple[Trouble, ...],
    policy: Policy,
    now: datetime,
) -> StateChange:
    """
    Judge one look at one subject.

    A subject never seen before is taken for up until it is seen otherwise, so that the first round tells what is
    wrong and nothing about what is fine.
    """
    status = troubles[0].cause.status if troubles else Status.UP
    trouble = troubles[0] if troubles else None
    before = last.status if last else None
    base = last or State(kind=kind, name=name, status=status, since=now, seen_at=now)
    is_good = status is Status.UP
    is_bad = status in (Status.DEGRADED, Status.DOWN)
    state = replace(
        base,
        status=status,
        since=base.since if before is status else now,
        seen_at=now,
        troubles=troubles,
        bad=base.bad + 1 if is_bad else (0 if is_good else base.bad),
        good=base.good + 1 if is_good else (0 if is_bad else base.good),
        problem_since=base.problem_since or (now if is_bad else None),
    )
    seen = None if before is status else Transition(kind, name, now, before, status, trouble)
    enough = (is_bad and state.bad >= policy.fail_after) or (is_good and state.good >= policy.recover_after)
    changed = enough and status is not base.confirmed
    if changed:
        state = replace(state, confirmed=status, confirmed_since=now)
    if is_good and state.confirmed is Status.UP:
        state = replace(state, problem_since=None)
    strayed = base.bad > 0 and is_good if base.confirmed is Status.UP else base.good > 0 and is_bad
    if is_good or is_bad:
        state = _watch_for_flapping(state, changed=changed or strayed, now=now)
    confirmed = Transition(kind, name, now, base.confirmed, status, trouble, base.problem_since) if changed else None
    return StateChange(state, seen, confirmed)


def change_share(recent: str) -> float:
    """The weighted share of changes among the last looks, in percent; weights rise evenly from 0.8 to 1.2."""
    step = 0.4 / (FLAP_WINDOW - 1)
    newest_first = reversed(recent)
    return 100 / FLAP_WINDOW * sum(1.2 - step * age for age, mark in enumerate(newest_first) if mark == "1")


def _watch_for_flapping(state: State, *, changed: bool, now: datetime) -> State:
    recent = (state.recent + ("1" if changed else "0"))[-FLAP_WINDOW:]
    share = change_share(recent)
    if not state.flapping:
        return replace(state, recent=recent, flapping_since=now if changed and share >= FLAP_STARTS else None)
    if recent.endswith("0" * STEADY_LOOKS):
        return replace(state, recent="", flapping_since=None)
    return replace(state, recent=recent, flapping_since=state.flapping_since if share >= FLAP_ENDS else None)
