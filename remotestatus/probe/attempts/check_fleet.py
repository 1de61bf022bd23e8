"""
Checks the whole fleet once, from the checker and from its workers, and again what failed.

The first attempt probes each remote from one place. The next one probes the remotes that were not reached from all
other allowed places (`retry`), and from the same place while an attempt is left. Without workers the checker
is the only place.
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
from remotestatus.probe.attempts.pause import pause_before, suspect_ourselves
from remotestatus.probe.attempts.results_so_far import ResultsSoFar
from remotestatus.probe.attempts.retry import choose_retries
from remotestatus.probe.playbook_run import PlaybookRunner, Progress

SHORTEST_ROUND = timedelta(minutes=2)
"""A round may take as long as the check interval, but at least this."""


def check_fleet(
    runner: PlaybookRunner,
    inventory: Inventory,
    earlier: Earlier,
    clock: Callable[[], datetime],
    cancel: Callable[[], bool],
    progress: Callable[[Progress], None],
) -> FleetResults:
    """
    Probe every remote of the limit, and again those that failed, within the round's deadline.

    Raises RoundGivenUp when it is cancelled.
    """
    attempts = _Attempts(runner, inventory, earlier, clock, cancel, progress)
    found = attempts.found
    order = first_order(runner, inventory, list(found.asked.values()), earlier, clock())
    attempts.probe(share_out_remotes(list(found.asked.values()), attempts.places), order)
    while not attempts.must_end and (batches := attempts.choose_again(order.attempt + 1)):
        names = {name for batch in batches for name in batch.names}
        fresh = suspect_ourselves(inventory.fleet, found.combined(), earlier.states, names)
        order = replace(order, attempt=order.attempt + 1, attempts=max(order.attempts, order.attempt + 1), fresh=fresh)
        if any(CHECKER in batch.places for batch in batches):
            runner.begin_again()
        pause_before(order, cancel)
        attempts.probe(batches, order)
    combined = found.combined()
    if not attempts.must_end:
        attempts.find_endings(order, combined)
    return found.results(combined)


class _Attempts:
    """The attempts of one round: the checker probes in this thread, each worker in its own."""

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
            # Imports ansible-runner's streaming, which only workers need.
            from remotestatus.probe.attempts.from_workers import WorkerProbes

            self.workers = WorkerProbes(runner, inventory, self.found, self._at_once, self.deadline, self._given_up)
        secrets = self.workers is None or self.workers.caller.has_passwords
        self.places = places_of(inventory, remotes, secrets=secrets)

    @property
    def must_end(self) -> bool:
        """Whether the deadline has passed, or Ansible failed here."""
        return time.monotonic() > self.deadline or self._failed_here

    def probe(self, batches: Iterable[Batch], order: Order) -> None:
        """Let every place probe its batches, the next free place the next batch. Raises RoundGivenUp."""
        queue = BatchQueue(batches)
        proxies = self._proxies_for_us(queue) if order.attempt == 1 else ()  # before the first batch is taken
        with ThreadPoolExecutor(max(1, len(self.fleet.workers)), "worker") as pool:
            # Without this, a hundred probes would delay the workers' batches.
            order = replace(order, gives_way=self.workers is not None)
            working = self.workers.begin(pool, queue, order) if self.workers else []
            try:
                self._probe_from_here(queue, order, proxies)
            except BaseException:
                self._aborted = True  # do not wait for workers then
                raise
        for done in working:
            done.result()
        if self.cancel():
            raise RoundGivenUp
        if order.attempt == 1:
            self.found.add_lost(name for batch in queue.lost for name in batch.names)

    def choose_again(self, attempt: int) -> Sequence[Batch]:
        """The batches that each place probes in this attempt."""
        alive = {CHECKER, *(worker.name for worker in (self.workers.alive() if self.workers else ()))}
        there = {name: those & alive for name, those in self.places.items()}
        left = [remote for remote in self.found.asked.values() if remote.name not in self.found.settled]
        return choose_retries(left, there, self.found.remotes, self.found.proxies, attempt)

    def find_endings(self, order: Order, combined: dict[str, CheckResult]) -> None:
        """Ask each place how the processes have ended that it found missing; add that to `combined`."""
        looked = dict(self.found.looked)
        for worker in (None, *self.fleet.workers):
            seen = {name: one for name, one in combined.items() if one.worker == (worker and worker.name)}
            ask: Ask = partial(self.workers.ask, worker) if worker and self.workers else self._ask_here
            ended, troubles = find_endings(ask, order, self.found.earlier, seen if worker else {**seen, **looked})
            self.found.add_endings(ended, combined)
            self.found.troubles += troubles

    def _ask_here(self, order: Order) -> Mapping[str, RemoteAnswer]:
        return self.runner.probe(order, cancel=self._given_up, total=len(order.names or ())).remotes

    def _probe_from_here(self, queue: BatchQueue, order: Order, proxies: tuple[str, ...]) -> None:
        """Probe the checker's batches, and with the first one also these proxies."""
        # Ansible reads the whole inventory each time.
        while (batch := queue.take(CHECKER, self._given_up, seldom=True)) is not None or proxies:
            names = batch.names if batch else ()
            look_at = tuple(name for name in order.look_at if name not in self.found.looked)
            at_once = self._at_once((*names, *proxies), order)
            asked = replace(order, names=(*names, *proxies), at_once=at_once, look_at=look_at)
            try:
                answers = self.runner.probe(asked, cancel=self._given_up, progress=self.progress, total=len(names))
                self.found.add_from_here(answers, names, again=order.attempt > 1)
                self._failed_here = bool(answers.trouble)
            except RoundError as error:
                with self.found.lock:
                    if not any(self.found.remotes.values()):
                        raise
                    # Earlier results, and those of workers, are still valid.
                    self.found.troubles.append(str(error))
                    self._failed_here = True
            if batch:
                queue.finish(batch)
            proxies = ()
            if self._failed_here:
                return

    def _proxies_for_us(self, queue: BatchQueue) -> tuple[str, ...]:
        """The proxies to be connected to for their own sake, not for a remote behind them."""
        key_names, asked = self.inventory.ssh.key_names, self.found.asked
        passed = {key_names.get(hop, hop) for name in queue.names() for hop in asked[name].path}
        elsewhere = {name for worker in self.fleet.workers for name in worker.only}
        # Workers do not probe proxies, so those on the workers' paths are probed from here.
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
