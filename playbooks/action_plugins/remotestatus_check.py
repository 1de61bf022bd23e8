"""
Action plugin: checks every host of the play once, each after its proxy, or ends such a check.

Runs once for the whole play, because an Ansible process for each remote would cost more than its probe. Opens one
shared connection to each proxy on the way, and probes each remote behind those that answer with one SSH exec. The
answers are files in a private directory, whose path is returned as `workdir`; `remotestatus_answer` reads them. Remotes
that need another connection plugin are returned as `by_plugin`: `remotestatus_probe` probes them, each by its own
connection.

For remotestatus it first writes the inventory's description there, and connects only after it has read its order. On a
worker the answers go to ansible-runner's artifacts, and all connections are closed. The arguments are documented in
`library/remotestatus_check.py`.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import become_loader, connection_loader, shell_loader
from ansible.release import __version__ as ansible_version

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook import inventory
from remotestatus_playbook.become import Plugins
from remotestatus_playbook.control_socket import end_connections
from remotestatus_playbook.handed_passwords import AskedPasswords, asked_passwords, hide_passwords, write_passwords
from remotestatus_playbook.interruption import clean_up_after
from remotestatus_playbook.order import artifacts_on_worker, given_workdir, root, take_order
from remotestatus_playbook.plan import ProbePlan, plan_look, plan_probe, problem_of
from remotestatus_playbook.plugin_probe import BY_PLUGIN, answer_of_failure
from remotestatus_playbook.private_directory import make_private_directory, write_pipe
from remotestatus_playbook.probing import Prober
from remotestatus_playbook.protocol import (
    INVENTORY,
    PROXIES,
    REMOTE_ANSWERS,
    Order,
    Outcome,
    ProxyAnswer,
    RemoteAnswer,
    WorkerDescription,
    to_json,
)
from remotestatus_playbook.proxy_connections import KEEP_SECONDS, Opener
from remotestatus_playbook.topology import Hop, Topology
from remotestatus_playbook.workdir import Workdir

_NICER = 10
"""The default of nice(1)."""

_NOT_FROM_WORKERS = "a worker can only use ssh, and this remote needs another connection plugin of Ansible"


class ActionModule(ActionBase):
    """Checks every host of the play."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"proxies_only", "state", "workdir"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the folder of the answers, the proxies' answers, and the remotes for connection plugins."""
        super().run(tmp, task_vars)
        gc.freeze()  # this process inherits all of Ansible's objects, which each collection would search
        state = self._task.args.get("state", "checked")
        if state == "closed":
            _close(Workdir(Path(self._task.args["workdir"])))
            return {"changed": False}
        if state == "finished":
            _finish(Workdir(Path(self._task.args["workdir"])), task_vars or {})
            return {"changed": False}
        artifacts = artifacts_on_worker()
        if artifacts is not None:
            hide_passwords(artifacts)
        given = given_workdir()
        if given and constants.CACHE_PLUGIN == "memory":
            # There are no facts; without this, Ansible lists its connection plugins for each host.
            constants.INJECT_FACTS_AS_VARS = False
        workdir = Workdir(given or make_private_directory(root()))
        if not given:
            clean_up_after(root(), workdir.path)
        try:
            found = self._check(task_vars or {}, workdir)
            if artifacts is None:
                return {"changed": False, **found}
            for name in found["by_plugin"]:
                workdir.leave(REMOTE_ANSWERS, name, RemoteAnswer(Outcome.ERROR, stderr=_NOT_FROM_WORKERS))
            workdir.hand_over(artifacts, _describe_worker())
        except BaseException:
            _close(workdir)
            raise
        _close(workdir)
        return {"changed": False, "by_plugin": []}

    def _check(self, task_vars: Mapping[str, Any], workdir: Workdir) -> dict[str, Any]:
        play_hosts = [str(name) for name in task_vars["ansible_play_hosts_all"]]
        base = inventory.base_directory(task_vars)
        asked = asked_passwords()
        plugins = self._plugins(asked)
        entries = inventory.read_entries(task_vars["hostvars"], base, plugins, frozenset(play_hosts))
        topology = inventory.topology_of(entries, base)
        known_hosts = inventory.known_hosts_of(entries, base)
        workdir.write_ssh(topology, known_hosts)
        if given_workdir():
            # Through a pipe, because it has secrets, and a file might be left behind.
            described = inventory.describe(entries, topology, base, play_hosts, workdir.config_for)
            write_pipe(workdir.path / INVENTORY, described)
        order = take_order()
        if order.control:
            workdir = Workdir(workdir.path, Path(order.control))
            workdir.write_ssh(topology, known_hosts)
        if order.passwords_to:
            names = order.names or ()
            write_passwords(
                Path(order.passwords_to), inventory.passwords(task_vars["hostvars"], names, asked.connection)
            )
            workdir.note_done()
            return {"workdir": str(workdir.path), "proxies": {}, "by_plugin": [], "at_once": 1}
        order = self._complete(order, play_hosts)
        if order.gives_way:
            os.nice(_NICER)
        attempt = _Attempt(
            task_vars["hostvars"], entries, topology, known_hosts, workdir, order, asked.connection, self._say
        )
        proxies, by_plugin = attempt.make()
        if not by_plugin:
            workdir.note_done()
        return {
            "workdir": str(workdir.path),
            "proxies": json.loads(to_json(attempt.by_name(proxies))),
            "by_plugin": list(by_plugin),
            "at_once": order.at_once,
        }

    def _complete(self, order: Order, play_hosts: Sequence[str]) -> Order:
        """The order, completed with the play's values."""
        return replace(
            order,
            names=tuple(play_hosts) if order.names is None else order.names,
            at_once=order.at_once or int(context.CLIARGS["forks"]),
            proxies_only=order.proxies_only or boolean(self._task.args.get("proxies_only", False)),
        )

    def _plugins(self, asked: AskedPasswords) -> Plugins:
        """Ansible's plugins and settings of this run."""
        connection_loader.get("ssh", class_only=True)  # defines its options
        shell = shell_loader.get("sh")
        shell.set_options()
        shell.executable = constants.DEFAULT_EXECUTABLE
        keywords = {name: value for name in ("become_user", "become_method") if (value := context.CLIARGS.get(name))}
        return Plugins(
            inventory.chosen_for_all(constants.config, context.CLIARGS),
            cache(partial(connection_loader.get, class_only=True)),
            lambda plugin: constants.config.get_plugin_vars("connection", plugin._load_name),
            become_loader.get,
            shell,
            {**keywords, **({"become_pass": asked.become} if asked.become else {})},
            same_user=constants.BECOME_ALLOW_SAME_USER,
            any_password=bool(asked.connection),
        )

    def _say(self, plan: ProbePlan) -> None:
        """With `-vvv`, the command."""
        if plan.command:
            self._display.vvv(f"EXEC {shlex.join(plan.command)}", host=plan.name)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt at the hosts of an order."""

    hostvars: Any
    entries: Mapping[str, inventory.Entry]
    topology: Topology
    known_hosts: Path
    workdir: Workdir
    order: Order
    password: str
    say: Callable[[ProbePlan], None]

    def make(self) -> tuple[Mapping[str, ProxyAnswer], Sequence[str]]:
        """
        Open the connections to the proxies of these hosts, and probe the hosts behind each once it is open.

        Returns the proxies' answers by alias, and the names of the hosts that are left to connection plugins.
        """
        proxies: dict[str, ProxyAnswer] = {}
        names = () if self.order.proxies_only else self.order.names or ()
        remotes = [one for name in names if PROXIES not in (one := self.entries[name]).groups]
        asked = [one.name for one in remotes if one.host and one.host.password and not one.by_plugin]
        passwords = inventory.passwords(self.hostvars, asked, self.password)
        prober = Prober(self.workdir, self.known_hosts, proxies, passwords, self.order.attempt)
        with self._opener().open_all(self.topology, self._wanted()) as answers:
            prober.probe_all(self._plans(remotes, answers, proxies), self.order.at_once or 1)
        return proxies, prober.by_plugin

    def _opener(self) -> Opener:
        hops = {hop.host.name for hop in self.topology.hops.values() if hop.host}
        return Opener(
            self.workdir,
            self.known_hosts,
            inventory.passwords(self.hostvars, hops),
            self.order.keep_seconds or KEEP_SECONDS,
            self.order.fresh,
            self.order.at_once or 1,
            problems={
                name: what for name in hops if (what := problem_of(self.entries[name], self.topology, only_passed=True))
            },
        )

    def _wanted(self) -> frozenset[str]:
        """The aliases of the proxies of this order."""
        names = self.order.names or ()
        through = {hop.spec for name in names if (hop := self.topology.last_hop.get(name))}
        among = {name for name in names if PROXIES in self.entries[name].groups}
        asked = {hop.spec for hop in self.topology.hops.values() if hop.host and hop.host.name in among}
        return frozenset(through | asked)

    def _plans(
        self,
        remotes: Iterable[inventory.Entry],
        answers: Iterable[tuple[str, ProxyAnswer] | None],
        proxies: dict[str, ProxyAnswer],
    ) -> Iterator[ProbePlan | None]:
        """Yield the plan of each probe once its proxies have answered; these are added to `proxies`."""
        behind: dict[str | None, list[inventory.Entry]] = {}
        for one in remotes:
            hop = self.topology.last_hop.get(one.name)
            behind.setdefault(hop.spec if hop else None, []).append(one)
        yield from self._plan(behind.get(None, ()), proxies)
        hops = {hop.spec: hop for hop in self.topology.hops.values()}
        for answered in answers:
            if answered is None:
                yield None
                continue
            alias, proxies[answered[0]] = answered
            yield from self._looks(hops[alias], proxies[alias])
            yield from self._plan(behind.get(alias, ()), proxies)

    def _plan(self, remotes: Iterable[inventory.Entry], proxies: Mapping[str, ProxyAnswer]) -> Iterator[ProbePlan]:
        for one in remotes:
            plan = plan_probe(one, self.topology, self.known_hosts, self.workdir, self.order, proxies)
            self.say(plan)
            yield plan

    def _looks(self, hop: Hop, answer: ProxyAnswer) -> Iterator[ProbePlan]:
        """The plan for a proxy that is probed like a remote, when it has answered."""
        name = hop.host.name if hop.host else None
        if answer.outcome is Outcome.ANSWERED and name in self.order.look_at and PROXIES in self.entries[name].groups:
            plan = plan_look(self.entries[name], hop, self.topology, self.workdir, self.order)
            self.say(plan)
            yield plan

    def by_name(self, proxies: Mapping[str, ProxyAnswer]) -> dict[str, ProxyAnswer]:
        """The answers by the names of the proxies."""
        return {hop.name: proxies[hop.spec] for hop in self.topology.in_order() if hop.spec in proxies}


def _close(workdir: Workdir) -> None:
    """End the connections and remove their directory, unless remotestatus will."""
    if given_workdir() is None:
        end_connections(workdir.path)
        shutil.rmtree(workdir.path, ignore_errors=True)


def _describe_worker() -> WorkerDescription:
    try:
        runner = version("ansible-runner")
    except PackageNotFoundError:
        runner = ""  # installed elsewhere than Ansible
    return WorkerDescription(ansible_version, runner, platform.python_version(), time.time())


def _finish(workdir: Workdir, task_vars: Mapping[str, Any]) -> None:
    """Leave an answer for every remote whose own task has failed before it could leave one."""
    for name in task_vars["groups"].get(BY_PLUGIN, ()):
        if workdir.find_remote(name) is None:
            result = task_vars["hostvars"].raw_get(name).get("remotestatus_probed") or {}
            answer = answer_of_failure(str(result.get("msg") or "its task did not run"))
            workdir.leave(REMOTE_ANSWERS, name, answer)
            workdir.count(answer.outcome)
    workdir.note_done()
