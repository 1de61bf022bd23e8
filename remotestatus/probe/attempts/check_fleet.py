"""
Checks the whole fleet once: every remote, and what failed again.

Takes the playbook's runner and the inventory; returns a CheckResult for every remote and proxy. `retry` decides what is
tried again, and how many at the same time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remotestatus_playbook.protocol import Order, ProxyAnswer

from remotestatus.evaluate import failed_result, read_proxy, read_remote
from remotestatus.model.check_result import CheckResult
from remotestatus.model.errors import RoundGivenUp
from remotestatus.model.fleet import Fleet, Inventory, Proxy, Remote
from remotestatus.model.states import State, Subject
from remotestatus.probe.attempts.retry import choose_forks, choose_retries, choose_retry_forks, suspect_ourselves
from remotestatus.probe.playbook_run import Answers, PlaybookRunner, Progress
from remotestatus.probe.runtime_directories import end_kept_connections

SHORTEST_ROUND = timedelta(minutes=2)
"""A round may take as long as the check interval, and never has less time than this."""

PAUSE_SECONDS = 2.0
"""Between the first attempt and the next: what was only a hiccup is over by then."""

SUSPICION_SECONDS = 5.0
"""The same, when most of the remotes behind a proxy vanished at once."""


@dataclass(frozen=True, slots=True)
class FleetResults:
    """What all attempts of a round brought, by name, and sentences about what went wrong with the attempts."""

    proxies: Mapping[str, CheckResult]
    remotes: Mapping[str, CheckResult]
    troubles: tuple[str, ...] = ()


def check_fleet(
    runner: PlaybookRunner,
    inventory: Inventory,
    last: Mapping[Subject, State],
    clock: Callable[[], datetime],
    cancel: Callable[[], bool],
    progress: Callable[[Progress], None],
) -> FleetResults:
    """
    Probe every remote that the limit leaves, and again what failed, before the round's time is up.

    Raises RoundGivenUp when it is cancelled.
    """
    fleet = inventory.fleet
    remotes = [remote for remote in fleet.remotes if remote.name in inventory.limited_to]
    deadline = time.monotonic() + max(fleet.settings.every, SHORTEST_ROUND).total_seconds()
    order = first = _first_order(runner, inventory, remotes)
    proxies: dict[str, CheckResult] = {}
    found: dict[str, CheckResult] = {}
    while True:
        answers = runner.probe(
            order,
            cancel=lambda: cancel() or time.monotonic() > deadline,
            progress=progress,
            total=len(remotes) if order is first else len(order.names or ()),
        )
        if cancel():
            raise RoundGivenUp
        now = clock()
        proxies |= _proxy_results(fleet, answers, proxies, now)
        tried = [remote for remote in remotes if order is first or remote.name in answers.remotes]
        found |= {remote.name: _remote_result(remote, answers, now) for remote in tried}
        names = choose_retries(remotes, found, order.attempt + 1)
        if answers.trouble or not names:
            return FleetResults(proxies, found, (answers.trouble,) if answers.trouble else ())
        fresh = suspect_ourselves(fleet, found, last, names)
        forks = choose_retry_forks(found, names, first.at_once or 1)
        order = replace(order, names=tuple(names), attempt=order.attempt + 1, at_once=forks, fresh=fresh)
        _pause(SUSPICION_SECONDS if fresh else PAUSE_SECONDS, cancel)


def _first_order(runner: PlaybookRunner, inventory: Inventory, remotes: Sequence[Remote]) -> Order:
    """The order of the first attempt."""
    settings = inventory.fleet.settings
    if settings.keep_connections:
        runner.keep_connections(inventory.database)
    else:
        end_kept_connections(inventory.database)
    return Order(
        names=tuple(sorted(inventory.limited_to)),
        at_once=choose_forks(settings.forks, len(remotes)),
        attempts=max((remote.settings.attempts for remote in remotes), default=1),
        keep_seconds=round(settings.every.total_seconds() * 2.5) if settings.keep_connections else 0,
    )


def _proxy_results(
    fleet: Fleet, answers: Answers, before: Mapping[str, CheckResult], now: datetime
) -> Mapping[str, CheckResult]:
    """The proxies' new results. A connection that an earlier attempt opened took the time that is known since then."""
    return {
        proxy.name: _proxy_result(proxy, answer, now)
        for proxy in fleet.proxies
        if (answer := answers.proxies.get(proxy.alias)) and not (answer.kept and proxy.name in before)
    }


def _remote_result(remote: Remote, answers: Answers, now: datetime) -> CheckResult:
    """What one remote answered. Whatever is wrong with that, it is the check result of this one remote."""
    try:
        return read_remote(remote, answers.remotes.get(remote.name), now)
    except Exception as error:
        return failed_result(remote, error, now)


def _proxy_result(proxy: Proxy, answer: ProxyAnswer, now: datetime) -> CheckResult:
    try:
        return read_proxy(proxy, answer, now)
    except Exception as error:
        return failed_result(proxy, error, now)


def _pause(seconds: float, cancel: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if cancel():
            raise RoundGivenUp
        time.sleep(min(0.1, left))
