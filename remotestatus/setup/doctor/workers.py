"""
Checks workers: each runs the playbook, returns its versions and clock, and logs in to its proxies.

No remote is logged in to.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from packaging.version import InvalidVersion, Version
from remotestatus_playbook.protocol import Order

from remotestatus.evaluate import diagnose_worker, read_proxy
from remotestatus.model.fleet import Inventory, Worker
from remotestatus.probe.attempts import places_of
from remotestatus.probe.workers import WorkerAnswers, WorkerCaller, WorkerFault, clock_error
from remotestatus.setup.doctor.examined import Examined, Result, fine, say_trouble, skipped, warning, wrong
from remotestatus.setup.doctor.machine import NEWEST_ANSIBLE, OLDEST_ANSIBLE

_PATIENCE = 120.0
_CLOCK_SECONDS = 5.0


def check_workers(examined: Examined) -> Iterator[Result]:
    """Check that every worker works, and reaches its proxies."""
    inventory, now, begun = examined.inventory, examined.now, time.monotonic()
    if not inventory.fleet.workers:
        return
    if examined.offline:
        yield skipped("workers: not connected to (--offline)")
        return
    caller = WorkerCaller(examined.playbooks, inventory, begun + _PATIENCE, lambda: False)
    for words in caller.troubles:
        yield wrong(words, "look it up by hand, and see what it prints")
    places = places_of(inventory, inventory.fleet.remotes, secrets=caller.has_passwords)
    for worker in inventory.fleet.workers:
        names = tuple(name for name, may in places.items() if worker.name in may and name in inventory.limited_to)
        order = Order(names=names, proxies_only=True)
        asked_at = now + timedelta(seconds=time.monotonic() - begun)
        try:
            answers = caller.call(worker, order, time.monotonic() + _PATIENCE, lambda: False)
        except WorkerFault as fault:
            by_ssh = worker.settings.command is None
            trouble = diagnose_worker(caller.subject(worker), fault.fault, fault.seen, fault.stderr, by_ssh=by_ssh)
            yield wrong(f"the worker {worker.name}: {say_trouble(trouble)}", _cure(trouble.hint, worker))
            continue
        yield from _versions(worker, answers)
        answered_at = now + timedelta(seconds=time.monotonic() - begun)
        yield from _clock(worker, clock_error(answers.description.clock, asked_at, answered_at))
        yield from _reach(worker, answers, inventory, now)
        if not names:
            yield warning(f"the worker {worker.name} may look at no remote", "remove it, or see `secrets` and `only`")


def _cure(hint: str, worker: Worker) -> str:
    if worker.settings.command is not None:
        return "run its command by hand, and see what it prints"
    return hint.partition(" `remotestatus doctor`")[0]


def _versions(worker: Worker, answers: WorkerAnswers) -> Iterator[Result]:
    there = answers.description
    said = f"ansible-core {there.ansible}, ansible-runner {there.runner or 'unknown'}, Python {there.python}"
    try:
        tested = OLDEST_ANSIBLE.release <= Version(there.ansible).release[:2] <= NEWEST_ANSIBLE.release
    except InvalidVersion:
        tested = False
    if tested:
        yield fine(f"the worker {worker.name} can look: {said}")
    else:
        yield warning(
            f"the worker {worker.name} can look, with versions that this was not tested with: {said}",
            f"on {worker.name}: pip install 'ansible-core>={OLDEST_ANSIBLE},<={NEWEST_ANSIBLE}.99'",
        )


def _clock(worker: Worker, off: float) -> Iterator[Result]:
    if abs(off) > _CLOCK_SECONDS:
        ahead = "ahead of" if off > 0 else "behind"
        yield warning(
            f"the clock of the worker {worker.name} is {abs(off):.0f} s {ahead} the checker's",
            "switch time synchronisation on there: timedatectl set-ntp true",
        )


def _reach(worker: Worker, answers: WorkerAnswers, inventory: Inventory, now: datetime) -> Iterator[Result]:
    for proxy in inventory.fleet.proxies:
        answer = answers.proxies.get(proxy.alias)
        if answer is None:
            continue
        result = read_proxy(proxy, answer, now)
        if result.trouble is None:
            yield fine(f"the worker {worker.name} reaches {proxy.name} ({result.connect_ms} ms)")
        else:
            yield wrong(
                f"from the worker {worker.name}, the proxy {proxy.name}: {say_trouble(result.trouble)}",
                result.trouble.hint.replace("On the checker", f"On {worker.name}"),
            )
