"""
Checks the whole fleet once from several places: the checker itself, and its workers.

Takes the playbook's runner and the inventory; returns one CheckResult for every remote and proxy, and one for every
worker. In the first pass each remote is looked at from one place. What was not reached is looked at in the next pass
from all other places that may, and from the same again while it has an attempt left.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import partial
from threading import Lock

from remotestatus_playbook.protocol import Order, RemoteAnswer

from remotestatus.evaluate import (
    combine,
    diagnose_worker,
    read_unlooked,
    without_proxys_fault,
)
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, FleetResults
from remotestatus.model.errors import RoundError, RoundGivenUp
from remotestatus.model.fleet import Inventory, Remote, Worker
from remotestatus.model.settings import CHECKER
from remotestatus.model.status_words import Status
from remotestatus.model.untrusted_text import one_line
from remotestatus.model.worker_faults import FaultKind
from remotestatus.probe.attempts.at_once import choose_forks
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
    proxy_result,
    proxy_results,
    remote_result,
    with_looks,
)
from remotestatus.probe.attempts.retry import suspect_ourselves
from remotestatus.probe.attempts.second_opinion import choose_second_opinions
from remotestatus.probe.playbook_run import PlaybookRunner, Progress
from remotestatus.probe.workers import (
    Batch,
    BatchQueue,
    WorkerAnswers,
    WorkerCaller,
    WorkerFault,
    clock_error,
    places_of,
    share_out_remotes,
)

_CLOCK_SECONDS = 5.0
"""A worker's clock that is further off has been wrong for the clocks of its remotes, too."""

_REACHED = {Status.UP, Status.DEGRADED}

_NAMED = 5
"""So many names of refused answers are told."""


def check_with_workers(
    runner: PlaybookRunner,
    inventory: Inventory,
    earlier: Earlier,
    deadline: float,
    clock: Callable[[], datetime],
    cancel: Callable[[], bool],
    progress: Callable[[Progress], None],
) -> FleetResults:
    """Probe every remote that the limit leaves, until `deadline` (monotonic). Raises RoundGivenUp when cancelled."""
    remotes = [remote for remote in inventory.fleet.remotes if remote.name in inventory.limited_to]
    fleet_check = _FleetCheck(runner, inventory, remotes, earlier, deadline, clock, cancel, progress)
    places = places_of(inventory, remotes, secrets=fleet_check.caller.has_passwords)
    order = first_order(runner, inventory, remotes, earlier, clock())
    # Or else each of a hundred probes would come before the next batch of every worker.
    order = replace(order, gives_way=True)
    fleet_check.look(share_out_remotes(remotes, places), order)
    while not fleet_check.must_end:
        order = replace(order, attempt=order.attempt + 1, attempts=max(order.attempts, order.attempt + 1))
        batches = fleet_check.choose_again(places, order.attempt)
        if not batches:
            break
        names = {name for batch in batches for name in batch.names}
        fresh = suspect_ourselves(inventory.fleet, fleet_check.combined(), earlier.states, names)
        if any(CHECKER in batch.places for batch in batches):
            runner.begin_again()
        pause(SUSPICION_SECONDS if fresh else PAUSE_SECONDS, cancel)
        fleet_check.look(batches, replace(order, fresh=fresh))
    return fleet_check.finish(order)


class _FleetCheck:
    """What is known so far in one round, by name and place; filled by a thread for each place."""

    def __init__(
        self,
        runner: PlaybookRunner,
        inventory: Inventory,
        remotes: Sequence[Remote],
        earlier: Earlier,
        deadline: float,
        clock: Callable[[], datetime],
        cancel: Callable[[], bool],
        progress: Callable[[Progress], None],
    ) -> None:
        self.runner, self.inventory, self.fleet = runner, inventory, inventory.fleet
        self.earlier = earlier
        self.remotes = {remote.name: remote for remote in remotes}
        self.deadline, self.clock, self.cancel, self.progress = deadline, clock, cancel, progress
        self.found: dict[str, dict[str, CheckResult]] = {name: {} for name in self.remotes}
        self.proxies: dict[str, dict[str, CheckResult]] = {}
        self.looked: dict[str, CheckResult] = {}
        self.workers: dict[str, CheckResult] = {}
        self._failed_here = self._aborted = False
        self.caller = WorkerCaller(runner, inventory, deadline, self._given_up)
        self.troubles: list[str] = list(self.caller.troubles)
        self._lock = Lock()

    @property
    def must_end(self) -> bool:
        """Whether the round's time is up, or Ansible itself failed here."""
        return time.monotonic() > self.deadline or self._failed_here

    def combined(self) -> dict[str, CheckResult]:
        return {name: combine(results) for name, results in self.found.items() if results}

    def look(self, batches: Iterable[Batch], order: Order) -> None:
        """Let every place look at what it may, the next batch whoever is free. Raises RoundGivenUp."""
        queue = BatchQueue(batches)
        proxies = self._proxies_for_us(queue) if order.attempt == 1 else ()  # before anybody takes a batch
        alive = [worker for worker in self.fleet.workers if self._is_alive(worker)]
        with ThreadPoolExecutor(max_workers=max(1, len(alive)), thread_name_prefix="worker") as pool:
            working = [pool.submit(self._work, worker, queue, order) for worker in alive]
            try:
                self._work_here(queue, order, proxies)
            except BaseException:
                self._aborted = True  # nobody waits for workers then
                raise
        for done in working:
            done.result()
        if self.cancel():
            raise RoundGivenUp
        if order.attempt == 1:
            self._note_lost(queue.lost)

    def choose_again(self, places: Mapping[str, frozenset[str]], attempt: int) -> Sequence[Batch]:
        alive = {CHECKER, *(worker.name for worker in self.fleet.workers if self._is_alive(worker))}
        there = {name: those & alive for name, those in places.items()}
        return choose_second_opinions(self.remotes.values(), there, self.found, self.proxies, attempt)

    def finish(self, order: Order) -> FleetResults:
        """What all passes brought, the last of them with this order."""
        now = self.clock()
        unseen = {name: remote_result(self.remotes[name], None, now) for name, seen in self.found.items() if not seen}
        answering = {name for name, seen in self.proxies.items() if _REACHED & {one.status for one in seen.values()}}
        combined = {
            name: without_proxys_fault(self.remotes[name], result, answering)
            for name, result in self.combined().items()
        }
        if not self.must_end:
            combined |= self._find_endings(order, combined)
        found = self.earlier.remembered({**combined, **unseen})
        proxies = self._unlooked_proxies() | {name: combine(results) for name, results in self.proxies.items()}
        proxies = with_looks(self.fleet, proxies, self.looked, self.earlier)
        return FleetResults(proxies, found, tuple(self.troubles), self.workers)

    def _find_endings(self, order: Order, combined: Mapping[str, CheckResult]) -> dict[str, CheckResult]:
        """The results that say more when each place was asked how processes have ended that it has seen missing."""
        ended: dict[str, CheckResult] = {}
        for worker in (None, *self.fleet.workers):
            seen = {name: one for name, one in combined.items() if one.worker == (worker and worker.name)}
            ask = partial(self._ask_worker, worker) if worker else asking(self.runner, self._given_up)
            more, troubles = find_endings(ask, order, self.earlier, seen if worker else {**seen, **self.looked})
            self.looked |= {name: one for name, one in more.items() if name in self.looked}
            self.troubles += troubles
            ended |= {name: one for name, one in more.items() if name in combined}
        return ended

    def _is_alive(self, worker: Worker) -> bool:
        result = self.workers.get(worker.name)
        return result is None or result.status is Status.UP

    # -- here ----------------------------------------------------------------------------------------------------------

    def _work_here(self, queue: BatchQueue, order: Order, names: tuple[str, ...]) -> None:
        """Look at what is for the checker, with the first batch at the proxies of these names, too."""
        # Each time Ansible reads the whole inventory.
        while (batch := queue.take(CHECKER, self._given_up, seldom=True)) is not None:
            try:
                answers = self.runner.probe(
                    replace(
                        order,
                        names=(*batch.names, *names),
                        at_once=self._at_once(batch.names),
                        look_at=proxies_to_look_at(order, self.looked),
                    ),
                    cancel=self._given_up,
                    progress=self.progress,
                    total=len(batch.names),
                )
            except RoundError as error:
                with self._lock:
                    if not any(self.found.values()):
                        raise
                    # What was found before, and what workers find, is true nevertheless.
                    self.troubles.append(str(error))
                    self._failed_here = True
                queue.finish(batch)
                return
            names = ()
            now = self.clock()
            with self._lock:
                before = {name: seen[CHECKER] for name, seen in self.proxies.items() if CHECKER in seen}
                for name, result in proxy_results(self.fleet, answers, before, now).items():
                    self.proxies.setdefault(name, {})[CHECKER] = result
                opened = {name: seen[CHECKER] for name, seen in self.proxies.items() if CHECKER in seen}
                self.looked |= look_results(self.fleet, answers, opened, self.earlier, now)
                self._note(CHECKER, batch.names, answers.remotes, now, order)
                if answers.trouble:
                    self.troubles.append(answers.trouble)
                    self._failed_here = True
            queue.finish(batch)

    def _proxies_for_us(self, queue: BatchQueue) -> tuple[str, ...]:
        """The proxies that are looked at for their own sake: nobody else passes them on the way to a remote."""
        passed = {
            self.inventory.ssh.key_names.get(hop, hop) for name in queue.names() for hop in self.remotes[name].path
        }
        elsewhere = {name for worker in self.fleet.workers for name in worker.only}
        # Workers look at no proxy themselves: whatever they pass on the way to others is looked at from here.
        looked_at = {
            proxy.name
            for proxy in self.fleet.looked_at
            if any(remote.name not in elsewhere for remote in self.fleet.behind(proxy.name))
        }
        return tuple(sorted(self.inventory.limited_to - self.remotes.keys() - (passed - looked_at)))

    # -- there ---------------------------------------------------------------------------------------------------------

    def _work(self, worker: Worker, queue: BatchQueue, order: Order) -> None:
        """Have a worker look until nothing is left for it; one that gets nothing is asked whether it could."""
        idle, spare = order.attempt == 1, True
        while (batch := queue.take(worker.name, self._given_up)) is not None or idle:
            idle = False
            names = batch.names if batch else ()
            asked = replace(
                order,
                names=names,
                at_once=self._at_once(names),
                keep_seconds=0,
                fresh=False,
                hourly=order.hourly.intersection(names),
                log_files=order.log_files.intersection(names),
                look_at=(),
            )
            asked_at = self.clock()
            try:
                answers = self.caller.call(worker, asked, self.deadline, self._given_up)
                self._take_over(worker, answers, names, order, asked_at)
            except Exception as error:
                # Whatever it is, its batch is not lost, and nobody waits for it.
                unforeseen = WorkerFault(FaultKind.FAILED, one_line(repr(error)))
                fault = error if isinstance(error, WorkerFault) else unforeseen
                may_try = spare and fault.fault is not FaultKind.SILENT
                if not (queue.give_back(batch, worker.name) if batch else may_try):
                    self._note_fault(worker, fault)
                    return
                idle, spare = batch is None, False
                continue
            if batch is not None:
                queue.finish(batch)
            if answers.refused:
                # What it said of its own remotes counts once more; it is given no others.
                queue.leave(worker.name)
                self._note_fault(worker, WorkerFault(FaultKind.LIES, ", ".join(answers.refused[:_NAMED])))
                return

    def _ask_worker(self, worker: Worker, order: Order) -> Mapping[str, RemoteAnswer]:
        """What a worker that has answered found out besides; nothing when it failed meanwhile."""
        order = replace(order, at_once=self._at_once(order.names or ()), keep_seconds=0, look_at=())
        try:
            return self.caller.call(worker, order, self.deadline, self._given_up).remotes
        except Exception:
            return {}

    def _take_over(
        self, worker: Worker, answers: WorkerAnswers, names: Sequence[str], order: Order, asked_at: datetime
    ) -> None:
        now = self.clock()
        off = clock_error(answers.description.clock, asked_at, now)
        with self._lock:
            self.workers[worker.name] = CheckResult(worker.name, now)
            aliases = {proxy.alias: proxy for proxy in self.fleet.proxies}
            for alias, answer in answers.proxies.items():
                result = proxy_result(aliases[alias], answer, now)
                self.proxies.setdefault(aliases[alias].name, {})[worker.name] = result
            self._note(worker.name, names, answers.remotes, now, order, off=off)

    def _note_fault(self, worker: Worker, fault: WorkerFault) -> None:
        if fault.fault is FaultKind.GIVEN_UP:
            with self._lock:
                self.troubles += [fault.seen] if fault.seen and fault.seen not in self.troubles else []
            return
        by_ssh = worker.settings.command is None
        subject = self.caller.subject(worker)
        trouble = diagnose_worker(subject, fault.fault, fault.seen, fault.stderr, by_ssh=by_ssh)
        with self._lock:
            self.workers[worker.name] = CheckResult(worker.name, self.clock(), (trouble,))

    # -- both ----------------------------------------------------------------------------------------------------------

    def _note(
        self,
        place: str,
        names: Iterable[str],
        answers: Mapping[str, RemoteAnswer],
        now: datetime,
        order: Order,
        off: float = 0.0,
    ) -> None:
        """Note what a place found of these remotes; what brought nothing again stays as it was."""
        for name in names:
            if name not in self.remotes:
                continue
            answer = answers.get(name)
            if answer is None and order.attempt > 1:
                continue
            answer = answer and _by_our_clock(answer, off)
            result = remote_result(self.remotes[name], answer, now, self.earlier.past(name))
            self.found[name][place] = latest(self.found[name].get(place), result)

    def _note_lost(self, lost: Iterable[Batch]) -> None:
        now = self.clock()
        for batch in lost:
            for name in batch.names:
                remote = self.remotes[name]
                worker = next(one.name for one in self.fleet.workers if name in one.only)
                self.found[name][worker] = read_unlooked(remote, worker, now)

    def _unlooked_proxies(self) -> dict[str, CheckResult]:
        """The results of the proxies that lead only to what nobody looked at."""
        ways = {
            hop: result
            for name, seen in self.found.items()
            for result in seen.values()
            if result.trouble and result.trouble.cause is Cause.WORKER_UNREACHABLE
            for hop in self.remotes[name].path
        }
        return {
            proxy.name: read_unlooked(proxy, ways[proxy.name].worker or "", ways[proxy.name].at)
            for proxy in self.fleet.proxies
            if proxy.name in ways
        }

    def _at_once(self, names: Sequence[str]) -> int:
        return choose_forks(self.fleet.settings.forks, len(names))

    def _given_up(self) -> bool:
        return self._aborted or self.cancel() or time.monotonic() > self.deadline


def _by_our_clock(answer: RemoteAnswer, off: float) -> RemoteAnswer:
    """The answer with the remote's clock compared with the checker's, and not with its worker's."""
    offset = answer.facts.clock_offset_seconds if answer.facts else None
    if answer.facts is None or offset is None or abs(off) <= _CLOCK_SECONDS:
        return answer
    return replace(answer, facts=replace(answer.facts, clock_offset_seconds=offset + off))
