"""
Checks the whole fleet once: every remote, and what failed again.

Takes the playbook's runner and the inventory; returns a CheckResult for every remote and proxy. `retry` decides what is
tried again, and how many at the same time.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from remotestatus.evaluate import read_proxy, read_remote
from remotestatus.model.check_result import CheckResult
from remotestatus.model.errors import RoundGivenUp
from remotestatus.model.fleet import Fleet, Inventory
from remotestatus.model.states import State, Subject
from remotestatus.probe.playbook_run import PlaybookRunner, Progress
from remotestatus.probe.retry import choose_forks, choose_forks_again, look_again, suspect_ourselves
from remotestatus.probe.runtime_directories import end_kept_connections

SHORTEST_ROUND = timedelta(minutes=2)
"""A round may take as long as the check interval, and never has less time than this."""

PAUSE_SECONDS = 2.0
"""Between the first look and the next: what was only a hiccup is over by then."""

SUSPICION_SECONDS = 5.0
"""The same, when most of the remotes behind a proxy vanished at once."""


@dataclass(frozen=True, slots=True)
class FleetResults:
    """What all looks of a round brought, by name, and sentences about what went wrong with the looking itself."""

    proxies: Mapping[str, CheckResult]
    remotes: Mapping[str, CheckResult]
    troubles: tuple[str, ...] = ()


def check_fleet(
    playbooks: PlaybookRunner,
    inventory: Inventory,
    last: Mapping[Subject, State],
    clock: Callable[[], datetime],
    cancel: Callable[[], bool],
    progress: Callable[[Progress], None],
) -> FleetResults:
    """
    Look at every remote that the limit leaves, and again at what failed, before the round's time is up.

    Raises RoundGivenUp when it is cancelled.
    """
    fleet = inventory.fleet
    settings = fleet.settings
    remotes = [remote for remote in fleet.remotes if remote.name in inventory.limited_to]
    keep_seconds = round(settings.every.total_seconds() * 2.5) if settings.keep_connections else 0
    if keep_seconds:
        playbooks.keep_connections(inventory.database)
    else:
        end_kept_connections(inventory.database)
    deadline = time.monotonic() + max(settings.every, SHORTEST_ROUND).total_seconds()
    forks = choose_forks(settings.forks, len(remotes))
    most = max((remote.settings.attempts for remote in remotes), default=1)
    proxies: dict[str, CheckResult] = {}
    found: dict[str, CheckResult] = {}
    troubles: list[str] = []
    names, fresh = sorted(inventory.limited_to), False
    for number in range(1, most + 1):
        look = playbooks.look(
            names,
            number=number,
            of=most,
            forks=forks if number == 1 else choose_forks_again(found, names, forks),
            keep_seconds=keep_seconds,
            fresh=fresh,
            cancel=lambda: cancel() or time.monotonic() > deadline,
            progress=progress,
            total=sum(remote.name in names for remote in remotes),
        )
        if cancel():
            raise RoundGivenUp
        now = clock()
        answers = {_proxy_name(fleet, spec): answer for spec, answer in look.proxies.items()}
        for proxy in fleet.proxies:
            answer = answers.get(proxy.name)
            # A connection that is still open from the first look took the time that was read then.
            if answer is not None and not (answer.get("kept") and proxy.name in proxies):
                proxies[proxy.name] = read_proxy(proxy, answer, now)
        chosen = [remote for remote in remotes if number == 1 or remote.name in names]
        found |= {
            remote.name: read_remote(remote, look.remotes.get(remote.name), now)
            for remote in chosen
            if number == 1 or remote.name in look.remotes
        }
        if look.trouble:
            troubles.append(look.trouble)
            break
        names = look_again(remotes, found, number + 1)
        if not names:
            break
        fresh = suspect_ourselves(fleet, found, last, names)
        _pause(SUSPICION_SECONDS if fresh else PAUSE_SECONDS, cancel)
    return FleetResults(proxies, found, tuple(troubles))


def _pause(seconds: float, cancel: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if cancel():
            raise RoundGivenUp
        time.sleep(min(0.1, left))


def _proxy_name(fleet: Fleet, spec: str) -> str:
    return next((proxy.name for proxy in fleet.proxies if proxy.alias == spec), spec)
