"""
Checks the whole fleet once: every remote, and what failed again.

Takes the playbook's runner and the inventory; returns a CheckResult for every remote and proxy. `retry` decides what is
tried again, and how many at the same time.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from remotestatus_playbook.protocol import Outcome

from remotestatus.model.check_result import CheckResult
from remotestatus.model.errors import RoundError, RoundGivenUp
from remotestatus.model.fleet import Inventory
from remotestatus.model.statuses import Status
from remotestatus.probe.attempts.orders import (
    PAUSE_SECONDS,
    SUSPICION_SECONDS,
    Earlier,
    FleetResults,
    find_endings,
    first_order,
    pause,
    proxy_results,
    remote_result,
)
from remotestatus.probe.attempts.retry import choose_retries, choose_retry_forks, suspect_ourselves
from remotestatus.probe.playbook_run import PlaybookRunner, Progress

SHORTEST_ROUND = timedelta(minutes=2)
"""A round may take as long as the check interval, and never has less time than this."""


def check_fleet(
    runner: PlaybookRunner,
    inventory: Inventory,
    earlier: Earlier,
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
    if fleet.workers:
        # Loads ansible-runner's streaming, which nobody needs without workers.
        from remotestatus.probe.attempts.check_with_workers import check_with_workers

        return check_with_workers(runner, inventory, earlier, deadline, clock, cancel, progress)
    order = first = first_order(runner, inventory, remotes, earlier.due(remotes, clock()))
    proxies: dict[str, CheckResult] = {}
    found: dict[str, CheckResult] = {}
    settled: set[str] = set()
    while True:
        try:
            answers = runner.probe(
                order,
                cancel=lambda: cancel() or time.monotonic() > deadline,
                progress=progress,
                total=len(remotes) if order is first else len(order.names or ()),
            )
        except RoundError as error:
            if order is first:
                raise
            # What the attempts before have found is true nevertheless.
            return FleetResults(proxies, earlier.remembered(found), (str(error),))
        if cancel():
            raise RoundGivenUp
        now = clock()
        proxies |= proxy_results(fleet, answers, proxies, now)
        tried = [remote for remote in remotes if order is first or remote.name in answers.remotes]
        found |= {
            one.name: remote_result(one, answers.remotes.get(one.name), now, earlier.past(one.name)) for one in tried
        }
        settled |= {
            remote.name
            for remote in tried
            if found[remote.name].status is Status.UNKNOWN
            and (answer := answers.remotes.get(remote.name))
            and answer.outcome is Outcome.MISCONFIGURED
        }
        names = choose_retries([one for one in remotes if one.name not in settled], found, order.attempt + 1)
        if answers.trouble or not names:
            troubles: tuple[str, ...] = (answers.trouble,) if answers.trouble else ()
            if not troubles:
                ended, troubles = find_endings(
                    runner, order, earlier, found, lambda: cancel() or time.monotonic() > deadline
                )
                found |= ended
            return FleetResults(proxies, earlier.remembered(found), troubles)
        fresh = suspect_ourselves(fleet, found, earlier.states, names)
        forks = choose_retry_forks(found, names, first.at_once or 1)
        order = replace(order, names=tuple(names), attempt=order.attempt + 1, at_once=forks, fresh=fresh)
        pause(SUSPICION_SECONDS if fresh else PAUSE_SECONDS, cancel)
