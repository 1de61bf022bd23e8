"""
Makes the states of the whole fleet after a round, subject by subject.

It also credits the time since the last round to a status. An error in one subject affects no other subject.

Pure: the same inputs always give the same values.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from remotestatus.evaluate.finding_states import unseen_findings
from remotestatus.evaluate.maintenance_windows import window_of
from remotestatus.evaluate.make_trouble import failed_trouble
from remotestatus.evaluate.proxy_look import unseen_of_proxy
from remotestatus.evaluate.state_machine import next_state
from remotestatus.evaluate.uptime import share_out_time
from remotestatus.model.check_result import CheckResult, FleetResults
from remotestatus.model.days import DayShare
from remotestatus.model.fleet import Fleet
from remotestatus.model.receiver_memory import NotificationMemory
from remotestatus.model.states import Kind, Policy, State, StateChange, Subject
from remotestatus.model.windows import CommandWindow


def evaluate_fleet(
    fleet: Fleet,
    last: Mapping[Subject, State],
    results: FleetResults,
    now: datetime,
    windows: Sequence[CommandWindow] = (),
) -> Sequence[StateChange]:
    """Make the new state of everything that was checked in this round; `windows` are those opened by command."""
    proxies = {**results.proxies, **results.looks}
    of_kinds = {Kind.PROXY: proxies, Kind.WORKER: results.workers, Kind.REMOTE: results.remotes}
    return [
        _evaluate_one((kind, name), fleet, last, result, policy_of((kind, name), fleet, windows, now), now)
        for kind, several in of_kinds.items()
        for name, result in several.items()
    ]


def policy_of(subject: Subject, fleet: Fleet, windows: Sequence[CommandWindow], now: datetime) -> Policy:
    """Find how many rounds confirm its changes, and whether it is in maintenance, as far as that is known."""
    kind, name = subject
    try:
        maintained = window_of(subject, fleet, windows, now) is not None
    except (ValueError, TypeError, ArithmeticError, LookupError):
        maintained = False
    if kind is not Kind.REMOTE:
        return Policy(maintained=maintained)
    settings = fleet.remotes_by_name[name].settings
    return Policy(settings.fail_after, settings.recover_after, maintained)


def _evaluate_one(
    subject: Subject, fleet: Fleet, last: Mapping[Subject, State], result: CheckResult, policy: Policy, now: datetime
) -> StateChange:
    """Make the new state of one subject; if evaluating a remote or proxy fails, its state says only that."""
    kind, name = subject
    base = last.get(subject)
    if kind is Kind.WORKER:
        return next_state(kind, name, base, result.troubles, policy, now)
    remote = fleet.remotes_by_name[name] if kind is Kind.REMOTE else fleet.looked_at_by_name.get(name)
    try:
        if remote is not None and kind is Kind.REMOTE:
            unseen = unseen_findings(remote, result, base)
        else:
            unseen = unseen_of_proxy(remote, result, base)
        return next_state(kind, name, base, result.troubles, policy, now, unseen)
    except Exception as error:
        trouble = failed_trouble(remote or fleet.proxies_by_name[name], error)
        return next_state(kind, name, None, (trouble,), policy, now)


def current_states(
    fleet: Fleet, last: Mapping[Subject, State], changes: Sequence[StateChange]
) -> Mapping[Subject, State]:
    """Collect the states of the whole inventory after this round; a limited round leaves the others unchanged."""
    listed = set(fleet.all_subjects())
    changed = {(change.state.kind, change.state.name): change.state for change in changes}
    return {subject: state for subject, state in {**last, **changed}.items() if subject in listed}


def time_in_each_status(
    fleet: Fleet,
    last: Mapping[Subject, State],
    changes: Sequence[StateChange],
    memory: NotificationMemory,
    now: datetime,
) -> Iterator[tuple[Subject, DayShare]]:
    """Credit the time since the last round to the last status of everything that was checked."""
    for change in changes:
        subject = (change.state.kind, change.state.name)
        if state := last.get(subject):
            for share in _share_out(fleet, state, memory, now):
                yield subject, share


def _share_out(fleet: Fleet, state: State, memory: NotificationMemory, now: datetime) -> Sequence[DayShare]:
    try:
        window = window_of((state.kind, state.name), fleet, memory.windows, now)
        every = fleet.settings.every
        return tuple(share_out_time(state.seen_at, now, state.status, maintenance=window is not None, every=every))
    except (ValueError, TypeError, ArithmeticError, LookupError):
        return ()  # an error in one subject affects no other
