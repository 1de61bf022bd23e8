"""
What every pass over a fleet needs: the round's first order, the proxies' results, and the pause between attempts.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from remotestatus_playbook.protocol import Order, ProxyAnswer, RemoteAnswer

from remotestatus.evaluate import failed_result, read_proxy, read_remote
from remotestatus.model.check_result import CheckResult
from remotestatus.model.errors import RoundGivenUp
from remotestatus.model.fleet import Fleet, Inventory, Proxy, Remote
from remotestatus.probe.attempts.retry import choose_forks
from remotestatus.probe.playbook_run import Answers, PlaybookRunner
from remotestatus.probe.runtime_directories import end_kept_connections

PAUSE_SECONDS = 2.0
"""Between the first attempt and the next: what was only a hiccup is over by then."""

SUSPICION_SECONDS = 5.0
"""The same, when most of the remotes behind a proxy vanished at once."""


@dataclass(frozen=True, slots=True)
class FleetResults:
    """
    What all attempts of a round brought, by name, and sentences about what went wrong with the attempts.

    `workers` has those that were asked to look.
    """

    proxies: Mapping[str, CheckResult]
    remotes: Mapping[str, CheckResult]
    troubles: tuple[str, ...] = ()
    workers: Mapping[str, CheckResult] = field(default_factory=dict)


def first_order(runner: PlaybookRunner, inventory: Inventory, remotes: Sequence[Remote]) -> Order:
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


def proxy_results(
    fleet: Fleet, answers: Answers, before: Mapping[str, CheckResult], now: datetime
) -> Mapping[str, CheckResult]:
    """The proxies' new results. A connection that an earlier attempt opened took the time that is known since then."""
    return {
        proxy.name: proxy_result(proxy, answer, now)
        for proxy in fleet.proxies
        if (answer := answers.proxies.get(proxy.alias)) and not (answer.kept and proxy.name in before)
    }


def remote_result(remote: Remote, answer: RemoteAnswer | None, now: datetime) -> CheckResult:
    """What one remote answered. Whatever is wrong with that, it is the check result of this one remote."""
    try:
        return read_remote(remote, answer, now)
    except Exception as error:
        return failed_result(remote, error, now)


def proxy_result(proxy: Proxy, answer: ProxyAnswer, now: datetime) -> CheckResult:
    """The same for a proxy."""
    try:
        return read_proxy(proxy, answer, now)
    except Exception as error:
        return failed_result(proxy, error, now)


def pause(seconds: float, cancel: Callable[[], bool]) -> None:
    """Wait, unless the round is given up meanwhile: then RoundGivenUp is raised."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if cancel():
            raise RoundGivenUp
        time.sleep(min(0.1, left))
