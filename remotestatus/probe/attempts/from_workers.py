"""
Lets workers probe batches of remotes, and adds their results.

If a worker fails, the others get its batch, and the fault is reported. A worker that answers for a host that it was not
asked for gets no more batches.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from remotestatus_playbook.protocol import Order, RemoteAnswer

from remotestatus.evaluate import diagnose_worker
from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Inventory, Worker
from remotestatus.model.status_words import Status
from remotestatus.model.untrusted_text import one_line
from remotestatus.model.worker_faults import FaultKind
from remotestatus.probe.attempts.batch_queue import BatchQueue
from remotestatus.probe.attempts.results_so_far import ResultsSoFar
from remotestatus.probe.playbook_run import PlaybookRunner
from remotestatus.probe.workers import WorkerCaller, WorkerFault, clock_error

_NAMED = 5
"""Most names of refused answers in a message."""


class WorkerProbes:
    """The workers of a round, until `deadline` (monotonic) or until it is cancelled; adds to `found`."""

    def __init__(
        self,
        runner: PlaybookRunner,
        inventory: Inventory,
        found: ResultsSoFar,
        at_once: Callable[[Sequence[str], Order], int],
        deadline: float,
        given_up: Callable[[], bool],
    ) -> None:
        self.workers, self.found, self.at_once = inventory.fleet.workers, found, at_once
        self.deadline, self.given_up = deadline, given_up
        self.caller = WorkerCaller(runner, inventory, deadline, given_up)
        found.troubles += self.caller.troubles

    def alive(self) -> list[Worker]:
        """The workers that have not failed."""
        known = self.found.workers
        return [one for one in self.workers if one.name not in known or known[one.name].status is Status.UP]

    def begin(self, pool: ThreadPoolExecutor, queue: BatchQueue, order: Order) -> list["Future[None]"]:
        """Let every worker probe, each in a thread, the next batch as soon as it is free."""
        return [pool.submit(self._work, worker, queue, order) for worker in self.alive()]

    def ask(self, worker: Worker, order: Order) -> Mapping[str, RemoteAnswer]:
        """The further answers of a worker; nothing if it failed meanwhile."""
        order = replace(order, at_once=self.at_once(order.names or (), order), keep_seconds=0, look_at=())
        try:
            return self.caller.call(worker, order, self.deadline, self.given_up).remotes
        except Exception:
            return {}

    def _work(self, worker: Worker, queue: BatchQueue, order: Order) -> None:
        """Run a worker until no batch is left for it; one without a batch is only tested."""
        idle, spare = order.attempt == 1, True
        while (batch := queue.take(worker.name, self.given_up)) is not None or idle:
            idle = False
            try:
                refused = self._probe(worker, batch.names if batch else (), order)
            except Exception as error:
                # On any error its batch is given back, so that no place waits for it.
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
            if refused:
                # Its answers so far count; it gets no more batches.
                queue.leave(worker.name)
                self._note_fault(worker, WorkerFault(FaultKind.LIES, ", ".join(refused[:_NAMED])))
                return

    def _probe(self, worker: Worker, names: Sequence[str], order: Order) -> Sequence[str]:
        """Let a worker probe these remotes; returns the names that it was not asked for. Raises WorkerFault."""
        asked = replace(
            order,
            names=tuple(names),
            at_once=self.at_once(names, order),
            keep_seconds=0,
            fresh=False,
            hourly=order.hourly.intersection(names),
            log_files=order.log_files.intersection(names),
            look_at=(),
        )
        asked_at = self.found.clock()
        answers = self.caller.call(worker, asked, self.deadline, self.given_up)
        off = clock_error(answers.description.clock, asked_at, self.found.clock())
        again = order.attempt > 1
        self.found.add_from_worker(worker.name, answers.remotes, answers.proxies, names, again=again, clock_error=off)
        return answers.refused

    def _note_fault(self, worker: Worker, fault: WorkerFault) -> None:
        found = self.found
        if fault.fault is FaultKind.GIVEN_UP:
            with found.lock:
                found.troubles += [fault.seen] if fault.seen and fault.seen not in found.troubles else []
            return
        by_ssh = worker.settings.command is None
        subject = self.caller.subject(worker)
        trouble = diagnose_worker(subject, fault.fault, fault.seen, fault.stderr, by_ssh=by_ssh)
        with found.lock:
            found.workers[worker.name] = CheckResult(worker.name, found.clock(), (trouble,))
