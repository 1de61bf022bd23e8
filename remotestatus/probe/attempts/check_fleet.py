"""
Checks the whole fleet once: every remote, and what failed again.

Takes the playbook's runner and the inventory; returns a CheckResult for every remote and proxy. `retry` decides what is
tried again, `at_once` how many at the same time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from remotestatus_playbook.protocol import Order, Outcome

from remotestatus.model.check_result import CheckResult, FleetResults
from remotestatus.model.errors import RoundError, RoundGivenUp
from remotestatus.model.fleet import Fleet, Inventory, Remote
from remotestatus.model.status_words import Status
from remotestatus.probe.attempts.at_once import choose_retry_forks
from remotestatus.probe.attempts.orders import (
    PAUSE_SECONDS,
    SUSPICION_SECONDS,
    Earlier,
    asking,
    find_endings,
    first_order,
    latest,
    look_results,
    pause,
    proxies_to_look_at,
    proxy_results,
    remote_result,
    with_looks,
)
from remotestatus.probe.attempts.retry import choose_retries, suspect_ourselves
from remotestatus.probe.playbook_run import Answers, PlaybookRunner, Progress

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
    deadline = time.monotonic() + max(inventory.fleet.settings.every, SHORTEST_ROUND).total_seconds()
    if inventory.fleet.workers:
        # Loads ansible-runner's streaming, which nobody needs without workers.
        from remotestatus.probe.attempts.check_with_workers import check_with_workers

        return check_with_workers(runner, inventory, earlier, deadline, clock, cancel, progress)
    return _check_from_here(runner, inventory, earlier, deadline, clock, cancel, progress)


def _check_from_here(
    runner: PlaybookRunner,
    inventory: Inventory,
    earlier: Earlier,
    deadline: float,
    clock: Callable[[], datetime],
    cancel: Callable[[], bool],
    progress: Callable[[Progress], None],
) -> FleetResults:
    fleet = inventory.fleet
    remotes = [remote for remote in fleet.remotes if remote.name in inventory.limited_to]
    order = first_order(runner, inventory, remotes, earlier, clock())
    first, at_once = order.attempt, order.at_once or 1
    attempts = _Attempts(fleet, remotes, earlier)

    def given_up() -> bool:
        return cancel() or time.monotonic() > deadline

    while True:
        total = len(remotes) if order.attempt == first else len(order.names or ())
        try:
            answers = runner.probe(order, cancel=given_up, progress=progress, total=total)
        except RoundError as error:
            if order.attempt == first:
                raise
            # What the attempts before have found is true nevertheless.
            return attempts.results((str(error),))
        if cancel():
            raise RoundGivenUp
        attempts.note(answers, clock(), everybody=order.attempt == first)
        if answers.trouble:
            return attempts.results((answers.trouble,))
        names = attempts.choose_again(order.attempt + 1)
        if not names:
            ended, troubles = find_endings(asking(runner, given_up), order, earlier, attempts.found | attempts.looked)
            attempts.add(ended)
            return attempts.results(troubles)
        order = attempts.order_again(order, names, at_once)
        runner.begin_again()
        pause(SUSPICION_SECONDS if order.fresh else PAUSE_SECONDS, cancel)


class _Attempts:
    """What the attempts of one round have found so far, by name."""

    def __init__(self, fleet: Fleet, remotes: Sequence[Remote], earlier: Earlier) -> None:
        self.fleet, self.remotes, self.earlier = fleet, remotes, earlier
        self.proxies: dict[str, CheckResult] = {}
        self.looked: dict[str, CheckResult] = {}
        self.found: dict[str, CheckResult] = {}
        self._settled: set[str] = set()

    def note(self, answers: Answers, now: datetime, *, everybody: bool) -> None:
        """Add what an attempt brought; when it was about `everybody`, silence is a result too."""
        self.proxies |= proxy_results(self.fleet, answers, self.proxies, now)
        self.looked |= look_results(self.fleet, answers, self.proxies, self.earlier, now)
        for remote in self.remotes:
            answer = answers.remotes.get(remote.name)
            if answer is None and not everybody:
                continue
            result = remote_result(remote, answer, now, self.earlier.past(remote.name))
            result = latest(self.found.get(remote.name), result)
            self.found[remote.name] = result
            if answer and answer.outcome is Outcome.MISCONFIGURED and result.status is Status.UNKNOWN:
                self._settled.add(remote.name)

    def add(self, results: Mapping[str, CheckResult]) -> None:
        """Put results that say more in the place of those that are known."""
        self.found |= {name: one for name, one in results.items() if name in self.found}
        self.looked |= {name: one for name, one in results.items() if name in self.looked}

    def choose_again(self, attempt: int) -> Sequence[str]:
        """The remotes that the attempt of this number looks at again."""
        return choose_retries([one for one in self.remotes if one.name not in self._settled], self.found, attempt)

    def order_again(self, last: Order, names: Sequence[str], at_once: int) -> Order:
        """The order of the next attempt, at these remotes; the first one was at so many at once."""
        return replace(
            last,
            names=tuple(names),
            attempt=last.attempt + 1,
            at_once=choose_retry_forks(self.found, names, at_once),
            fresh=suspect_ourselves(self.fleet, self.found, self.earlier.states, names),
            look_at=proxies_to_look_at(last, self.looked),
        )

    def results(self, troubles: tuple[str, ...]) -> FleetResults:
        """What all attempts brought."""
        proxies = with_looks(self.fleet, self.proxies, self.looked, self.earlier)
        return FleetResults(proxies, self.earlier.remembered(self.found), troubles)
