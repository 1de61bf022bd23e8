"""
The states of the whole fleet after a round, subject by subject.

Takes the last states and the check results of proxies, workers and remotes; returns the new states, and what the time
since the last round counts as. What cannot be evaluated for one subject costs nobody else anything.

Pure: the same inputs always give the same values.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from remotestatus.evaluate.diagnosis import failed_trouble
from remotestatus.evaluate.finding_states import unseen_findings
from remotestatus.evaluate.maintenance_windows import window_of
from remotestatus.evaluate.proxy_look import unseen_of_proxy
from remotestatus.evaluate.state_machine import next_state
from remotestatus.evaluate.uptime import share_out_time
from remotestatus.model.check_result import CheckResult, FleetResults
from remotestatus.model.days import DayShare
from remotestatus.model.fleet import Fleet, Proxy, Remote
from remotestatus.model.notification import NotificationMemory
from remotestatus.model.states import Kind, Policy, State, StateChange, Subject
from remotestatus.model.windows import CommandWindow


def evaluate_fleet(
    fleet: Fleet,
    last: Mapping[Subject, State],
    results: FleetResults,
    now: datetime,
    windows: Sequence[CommandWindow] = (),
) -> Sequence[StateChange]:
    """The new state of everything that was checked in this round; `windows` are those that were given by command."""
    proxies = {proxy.name: proxy for proxy in fleet.proxies}

    changes = []
    for name, result in results.proxies.items():
        proxy = fleet.looked_at_by_name.get(name, proxies[name])
        policy = policy_of((Kind.PROXY, name), fleet, windows, now)
        changes.append(_evaluate_one(Kind.PROXY, proxy, last, result, policy, now))
    for name, result in results.workers.items():
        base, policy = last.get((Kind.WORKER, name)), policy_of((Kind.WORKER, name), fleet, windows, now)
        changes.append(next_state(Kind.WORKER, name, base, result.troubles, policy, now))
    for name, result in results.remotes.items():
        remote = fleet.remotes_by_name[name]
        policy = policy_of((Kind.REMOTE, name), fleet, windows, now)
        changes.append(_evaluate_one(Kind.REMOTE, remote, last, result, policy, now))
    return changes


def policy_of(subject: Subject, fleet: Fleet, windows: Sequence[CommandWindow], now: datetime) -> Policy:
    """How many rounds confirm something of it, and whether it is in maintenance, as far as that can be told."""
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
    kind: Kind,
    subject: Remote | Proxy,
    last: Mapping[Subject, State],
    result: CheckResult,
    policy: Policy,
    now: datetime,
) -> StateChange:
    """The new state of one remote or proxy; if there is none, it is one of which that is all that is known."""
    name = subject.name
    try:
        base = last.get((kind, name))
        if kind is Kind.REMOTE and isinstance(subject, Remote):
            unseen = unseen_findings(subject, result, base)
        else:
            unseen = unseen_of_proxy(subject, result, base)
        return next_state(kind, name, base, result.troubles, policy, now, unseen)
    except Exception as error:
        return next_state(kind, name, None, (failed_trouble(subject, error),), policy, now)


def current_states(
    fleet: Fleet, last: Mapping[Subject, State], changes: Sequence[StateChange]
) -> Mapping[Subject, State]:
    """The state of everything in the inventory after this round; a limited round leaves the others as they were."""
    listed = {*fleet.subjects(), *((Kind.WORKER, worker.name) for worker in fleet.workers)}
    changed = {(change.state.kind, change.state.name): change.state for change in changes}
    return {subject: state for subject, state in {**last, **changed}.items() if subject in listed}


def time_in_each_status(
    fleet: Fleet,
    last: Mapping[Subject, State],
    changes: Sequence[StateChange],
    memory: NotificationMemory,
    now: datetime,
) -> Iterator[tuple[Subject, DayShare]]:
    """What the time since the last round counts as, for everything that was checked."""
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
        return ()  # what cannot be counted for one is not counted, and costs nobody else anything
