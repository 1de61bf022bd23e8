"""
Checks the whole fleet once, from the checker and from its workers, and again what failed.

Takes the playbook's runner and the inventory; returns a CheckResult for every remote, proxy and worker. In the first
attempt each remote is looked at from one place. What was not reached is looked at in the next one from all other places
that may (`second_opinion`), and from the same again while it has an attempt left. Without workers there is one place.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from remotestatus_playbook.protocol import Order, RemoteAnswer

from remotestatus.model.check_result import CheckResult, FleetResults
from remotestatus.model.errors import RoundError, RoundGivenUp
from remotestatus.model.fleet import Inventory
from remotestatus.model.inventory_variables import CHECKER
from remotestatus.probe.attempts.at_once import choose_forks, choose_retry_forks
from remotestatus.probe.attempts.batch_queue import BatchQueue
from remotestatus.probe.attempts.batches import Batch, places_of, share_out_remotes
from remotestatus.probe.attempts.orders import Ask, Earlier, find_endings, first_order
from remotestatus.probe.attempts.results_so_far import ResultsSoFar
from remotestatus.probe.attempts.retry import pause_before, suspect_ourselves
from remotestatus.probe.attempts.second_opinion import choose_second_opinions
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
    attempts = _Attempts(runner, inventory, earlier, clock, cancel, progress)
    found = attempts.found
    order = first_order(runner, inventory, list(found.asked.values()), earlier, clock())
    attempts.look(share_out_remotes(list(found.asked.values()), attempts.places), order)
    while not attempts.must_end and (batches := attempts.choose_again(order.attempt + 1)):
        names = {name for batch in batches for name in batch.names}
        fresh = suspect_ourselves(inventory.fleet, found.combined(), earlier.states, names)
        order = replace(order, attempt=order.attempt + 1, attempts=max(order.attempts, order.attempt + 1), fresh=fresh)
        if any(CHECKER in batch.places for batch in batches):
            runner.begin_again()
        pause_before(order, cancel)
        attempts.look(batches, order)
    combined = found.combined()
    if not attempts.must_end:
        attempts.find_endings(order, combined)
    return found.results(combined)


class _Attempts:
    """The attempts of one round: the checker looks in this thread, each worker in one of its own."""

    def __init__(
        self,
        runner: PlaybookRunner,
        inventory: Inventory,
        earlier: Earlier,
        clock: Callable[[], datetime],
        cancel: Callable[[], bool],
        progress: Callable[[Progress], None],
    ) -> None:
        self.runner, self.inventory, self.fleet = runner, inventory, inventory.fleet
        self.cancel, self.progress = cancel, progress
        self.deadline = time.monotonic() + max(self.fleet.settings.every, SHORTEST_ROUND).total_seconds()
        self._failed_here = self._aborted = False
        remotes = [remote for remote in self.fleet.remotes if remote.name in inventory.limited_to]
        self.found = ResultsSoFar(self.fleet, remotes, earlier, clock)
        self.workers = None
        if self.fleet.workers:
            # Loads ansible-runner's streaming, which nobody needs without workers.
            from remotestatus.probe.attempts.from_workers import WorkerLooks

            self.workers = WorkerLooks(runner, inventory, self.found, self._at_once, self.deadline, self._given_up)
        secrets = self.workers is None or self.workers.caller.has_passwords
        self.places = places_of(inventory, remotes, secrets=secrets)

    @property
    def must_end(self) -> bool:
        """Whether the round's time is up, or Ansible itself failed here."""
        return time.monotonic() > self.deadline or self._failed_here

    def look(self, batches: Iterable[Batch], order: Order) -> None:
        """Let every place look at what it may, the next batch whoever is free. Raises RoundGivenUp."""
        queue = BatchQueue(batches)
        proxies = self._proxies_for_us(queue) if order.attempt == 1 else ()  # before anybody takes a batch
        with ThreadPoolExecutor(max(1, len(self.fleet.workers)), "worker") as pool:
            # Or else each of a hundred probes would come before the next batch of every worker.
            order = replace(order, gives_way=self.workers is not None)
            working = self.workers.begin(pool, queue, order) if self.workers else []
            try:
                self._look_from_here(queue, order, proxies)
            except BaseException:
                self._aborted = True  # nobody waits for workers then
                raise
        for done in working:
            done.result()
        if self.cancel():
            raise RoundGivenUp
        if order.attempt == 1:
            self.found.add_lost(name for batch in queue.lost for name in batch.names)

    def choose_again(self, attempt: int) -> Sequence[Batch]:
        """What each place looks at in the attempt of this number."""
        alive = {CHECKER, *(worker.name for worker in (self.workers.alive() if self.workers else ()))}
        there = {name: those & alive for name, those in self.places.items()}
        left = [remote for remote in self.found.asked.values() if remote.name not in self.found.settled]
        return choose_second_opinions(left, there, self.found.remotes, self.found.proxies, attempt)

    def find_endings(self, order: Order, combined: dict[str, CheckResult]) -> None:
        """Ask each place how processes have ended that it has seen missing; `combined` then says so."""
        looked = dict(self.found.looked)
        for worker in (None, *self.fleet.workers):
            seen = {name: one for name, one in combined.items() if one.worker == (worker and worker.name)}
            ask: Ask = partial(self.workers.ask, worker) if worker and self.workers else self._ask_here
            ended, troubles = find_endings(ask, order, self.found.earlier, seen if worker else {**seen, **looked})
            self.found.add_endings(ended, combined)
            self.found.troubles += troubles

    def _ask_here(self, order: Order) -> Mapping[str, RemoteAnswer]:
        return self.runner.probe(order, cancel=self._given_up, total=len(order.names or ())).remotes

    def _look_from_here(self, queue: BatchQueue, order: Order, proxies: tuple[str, ...]) -> None:
        """Look at what is for the checker, in its first turn also at the proxies of these names."""
        # Each time Ansible reads the whole inventory.
        while (batch := queue.take(CHECKER, self._given_up, seldom=True)) is not None or proxies:
            names = batch.names if batch else ()
            look_at = tuple(name for name in order.look_at if name not in self.found.looked)
            asked = replace(order, names=(*names, *proxies), at_once=self._at_once(names, order), look_at=look_at)
            try:
                answers = self.runner.probe(asked, cancel=self._given_up, progress=self.progress, total=len(names))
                self.found.add_from_here(answers, names, again=order.attempt > 1)
                self._failed_here = bool(answers.trouble)
            except RoundError as error:
                with self.found.lock:
                    if not any(self.found.remotes.values()):
                        raise
                    # What was found before, and what workers find, is true nevertheless.
                    self.found.troubles.append(str(error))
                    self._failed_here = True
            if batch:
                queue.finish(batch)
            proxies = ()
            if self._failed_here:
                return

    def _proxies_for_us(self, queue: BatchQueue) -> tuple[str, ...]:
        """The proxies that are looked at for their own sake: nobody else passes them on the way to a remote."""
        key_names, asked = self.inventory.ssh.key_names, self.found.asked
        passed = {key_names.get(hop, hop) for name in queue.names() for hop in asked[name].path}
        elsewhere = {name for worker in self.fleet.workers for name in worker.only}
        # Workers look at no proxy themselves: whatever they pass on the way to others is looked at from here.
        looked_at = {
            proxy.name
            for proxy in self.fleet.looked_at
            if any(remote.name not in elsewhere for remote in self.fleet.behind(proxy.name))
        }
        return tuple(sorted(self.inventory.limited_to - asked.keys() - (passed - looked_at)))

    def _at_once(self, names: Sequence[str], order: Order) -> int:
        if order.attempt == 1:
            return choose_forks(self.fleet.settings.forks, len(names))
        return choose_retry_forks(self.found.combined(names), names, order.at_once or 1)

    def _given_up(self) -> bool:
        return self._aborted or self.cancel() or time.monotonic() > self.deadline
