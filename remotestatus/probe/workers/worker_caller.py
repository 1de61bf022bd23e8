"""
Calls workers: sends each its batch, and returns its answers.

It uses the runner's directory and description of the inventory. Several threads may call at once.
"""

import itertools
import json
import shlex
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from remotestatus_playbook.protocol import SENT_PASSWORDS, InventoryDescription, Order

from remotestatus.model.errors import RoundError
from remotestatus.model.fleet import Inventory, Proxy, Worker
from remotestatus.probe.playbook_run import PlaybookRunner
from remotestatus.probe.secret_channels import SecretPipe
from remotestatus.probe.workers.reach_worker import worker_words
from remotestatus.probe.workers.sent_inventory import names_on_the_way, sent_inventory, sent_known_hosts
from remotestatus.probe.workers.time_limits import PROXY_SECONDS, START_SECONDS
from remotestatus.probe.workers.worker_archive import WorkerAnswers
from remotestatus.probe.workers.worker_exchange import Parcel, run_worker

_SHARE_FOR_PASSWORDS = 0.3
"""The share of a round's time for reading the passwords for workers."""


class WorkerCaller:
    """
    Calls the workers of one inventory.

    The passwords for workers are read here, before `deadline` (monotonic) and until cancelled. `troubles` says why they
    could not be read; then none are sent.
    """

    def __init__(
        self, runner: PlaybookRunner, inventory: Inventory, deadline: float, given_up: Callable[[], bool]
    ) -> None:
        assert runner.described is not None, "the inventory was not read yet"
        self._described: InventoryDescription = runner.described
        self._runner = runner
        self._inventory = inventory
        self._numbers = itertools.count()
        self._ssh_config = runner.workdir / "workers_config"
        blocks = dict.fromkeys(inventory.ssh.blocks.values())
        try:
            self._ssh_config.write_text("\n".join([*blocks, inventory.ssh.end]))
        except OSError as error:
            place = runner.workdir.parent
            raise RoundError(f"nothing can be written to {place}: {error.strerror}; free it, or set TMPDIR") from error
        try:
            self._trusted = inventory.known_hosts.read_text("utf-8", "replace").splitlines()
        except OSError:
            self._trusted = []
        # Run Ansible only if some worker may have a password.
        may = inventory.passwords and any(worker.settings.secrets for worker in inventory.fleet.workers)
        self._passwords: Mapping[str, str] = {}
        self.troubles: tuple[str, ...] = ()
        if may:
            # A lookup that hangs leaves the rest of the round its time.
            end = time.monotonic() + _SHARE_FOR_PASSWORDS * (deadline - time.monotonic())
            try:
                self._passwords = _read_passwords(runner, inventory.passwords, end, given_up)
            except RoundError as error:
                self.troubles = (str(error),)
        self.has_passwords = not self.troubles

    def call(self, worker: Worker, order: Order, deadline: float, given_up: Callable[[], bool]) -> WorkerAnswers:
        """Have a worker carry out an order, until `deadline` (monotonic) at most. Raises WorkerFault."""
        names = tuple(order.names or ())
        ends = min(deadline, time.monotonic() + self._seconds(order, names))
        seconds = max(1, round(ends - time.monotonic()))
        inventory = sent_inventory(self._described, names, worker.settings.vars, Path.home())
        parcel = Parcel(
            words=worker_words(worker, self._ssh_config, seconds),
            folder=self._runner.workdir / f"worker-{next(self._numbers)}",
            inventory=json.dumps(inventory),
            known_hosts=sent_known_hosts(self._described, names, self._trusted),
            order=replace(order, proxy_names=self._proxy_names(names)),
            names=names,
            aliases=[proxy.alias for proxy in self._proxies(names)],
            environment=password_variables(self._passwords_for(worker, names)),
            ends=worker.settings.command is not None,
        )
        return run_worker(parcel, ends, given_up, self._runner.child_processes.start_apart)

    def subject(self, worker: Worker) -> Proxy:
        """The worker as a Proxy, for the diagnosis of its SSH connection."""
        host = self._described.hosts.get(worker.name) if worker.settings.command is None else None
        if host is None:
            command = worker.settings.command or ""
            return Proxy(worker.name, worker.name, shlex.split(command)[0] if command else worker.name, None, None)
        return Proxy(worker.name, worker.name, host.address, host.port, host.user, host.path)

    def _passwords_for(self, worker: Worker, names: Sequence[str]) -> dict[str, str]:
        if not worker.settings.secrets:
            return {}
        wanted = names_on_the_way(self._described, names)
        return {name: password for name, password in self._passwords.items() if name in wanted}

    def _proxies(self, names: Sequence[str]) -> list[Proxy]:
        passed = {hop for name in names for hop in self._described.hosts[name].path}
        return [proxy for proxy in self._inventory.fleet.proxies if proxy.name in passed]

    def _proxy_names(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """The name and alias of each proxy of the inventory on the way to these remotes, by the way as it is sent."""
        jumps = self._described.ssh.jumps
        return {
            " ".join(jumps[hop] for hop in (*proxy.path, proxy.name)): (proxy.name, proxy.alias)
            for proxy in self._proxies(names)
            if proxy.in_inventory
        }

    def _seconds(self, order: Order, names: Sequence[str]) -> int:
        """A worker's time limit, for the case that nothing answers."""
        remotes = [self._inventory.fleet.remotes_by_name[name] for name in names]
        slowest = max((remote.settings.timeout.total_seconds() for remote in remotes), default=0)
        waves = -(-len(names) // (order.at_once or 1))
        proxies = PROXY_SECONDS * max((len(remote.path) for remote in remotes), default=0)
        # A slow proxy may double a remote's time.
        return round(START_SECONDS + proxies + waves * 2 * slowest)


def clock_error(clock: float, asked_at: datetime, answered_at: datetime) -> float:
    """
    How far a worker's clock (POSIX) is ahead, in seconds, from the checker's before and after the call.

    The worker read it between the two, before a perhaps slow transfer, so only an offset outside of them is certain.
    """
    return max(0.0, clock - answered_at.timestamp()) + min(0.0, clock - asked_at.timestamp())


def _read_passwords(
    runner: PlaybookRunner, names: Collection[str], end: float, given_up: Callable[[], bool]
) -> Mapping[str, str]:
    """
    The passwords of these hosts, by name. Their lookups may take until `end` (monotonic).

    Raises RoundError when they cannot be read.
    """
    try:
        pipe = SecretPipe(runner.workdir / "passwords")
    except OSError as error:
        raise RoundError(f"the passwords for workers cannot be read: {error.strerror}") from error

    def must_end() -> bool:
        pipe.read()  # while the playbook writes
        return given_up() or time.monotonic() > end

    try:
        answers = runner.probe(Order(names=tuple(sorted(names)), passwords_to=str(pipe.path)), cancel=must_end)
        text = pipe.read()
    finally:
        pipe.close()
    try:
        return TypeAdapter(dict[str, str]).validate_json(text or "")
    except ValidationError:
        # Its text may quote passwords.
        late = "a lookup has not answered in time" if time.monotonic() > end else answers.trouble
        raise RoundError(f"the passwords for workers cannot be read: {late or 'Ansible gave none'}") from None


def password_variables(passwords: Mapping[str, str]) -> dict[str, str]:
    """The environment variables in which these passwords are sent: Linux takes 128 KiB for each."""
    return {
        f"{SENT_PASSWORDS}{number}": json.dumps({name: password})
        for number, (name, password) in enumerate(sorted(passwords.items()))
    }
