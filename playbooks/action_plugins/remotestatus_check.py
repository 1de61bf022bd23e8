"""
Action plugin: checks every host of the play once, proxies first, or closes what that left open.

Runs once for the whole play, because a process of Ansible's own for each remote would cost more than its probe. Opens
one shared connection to each proxy on the way, and probes each remote behind those that answer with one SSH exec. The
answers are files in a private directory, whose path is returned as `workdir`; `remotestatus_answer` reads them.

For remotestatus it first leaves there what it knows of the inventory, and waits for the order: until then nothing is
connected to. On a worker the answers go among ansible-runner's artifacts, and nothing is left open. Arguments:
`proxies_only`, to probe no remote; `state`, checked (default) or closed; `workdir`, of what is to be closed.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader
from ansible.release import __version__ as ansible_version

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook import inventory
from remotestatus_playbook.opening import KEEP_SECONDS, Opener, close_all
from remotestatus_playbook.order import artifacts_on_worker, given_workdir, root, take_order
from remotestatus_playbook.plan import plan_probe
from remotestatus_playbook.probing import Prober
from remotestatus_playbook.protocol import PROXIES, ProxyAnswer, WorkerDescription, to_json
from remotestatus_playbook.topology import Topology
from remotestatus_playbook.workdir import Workdir


class ActionModule(ActionBase):
    """Checks every host of the play."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"proxies_only", "state", "workdir"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return where the answers are, and how each proxy answered."""
        super().run(tmp, task_vars)
        if self._task.args.get("state") == "closed":
            _close(Workdir(Path(self._task.args["workdir"])))
            return {"changed": False}
        given = given_workdir()
        workdir = Workdir(given) if given else Workdir.make()
        artifacts = artifacts_on_worker()
        try:
            answers = self._check(task_vars or {}, workdir)
            if artifacts is not None:
                workdir.hand_over(artifacts, _describe_worker())
        except BaseException:
            _close(workdir)
            raise
        if artifacts is not None:
            _close(workdir)
            return {"changed": False}
        return {"changed": False, "workdir": str(workdir.path), "proxies": json.loads(to_json(answers))}

    def _check(self, task_vars: Mapping[str, Any], workdir: Workdir) -> dict[str, ProxyAnswer]:
        hostvars = task_vars["hostvars"]
        play_hosts = [str(name) for name in task_vars["ansible_play_hosts_all"]]
        base = inventory.base_directory(task_vars)
        connection_loader.get("ssh", class_only=True)  # makes its options known
        entries = inventory.read_entries(hostvars, base, inventory.chosen_for_all(constants.config))
        topology = inventory.topology_of(entries)
        known_hosts = inventory.known_hosts_of(entries, base)
        workdir.write_ssh(topology, known_hosts)
        if given_workdir():
            workdir.leave_inventory(inventory.describe(entries, topology, base, play_hosts))
        else:
            _must_be_right(entries, topology)
        order = take_order()
        if order.control:
            workdir = Workdir(workdir.path, Path(order.control))
            workdir.write_ssh(topology, known_hosts)
        names = play_hosts if order.names is None else order.names
        passwords = inventory.passwords(hostvars, entries)
        opener = Opener(workdir, known_hosts, passwords, order.keep_seconds or KEEP_SECONDS, order.fresh)
        proxies = opener.open_all(topology, _aliases_on_the_way(names, entries, topology))
        if not order.proxies_only and not boolean(self._task.args.get("proxies_only", False)):
            remotes = [entries[name] for name in names if PROXIES not in entries[name].groups]
            plans = [plan_probe(one, topology, known_hosts, workdir, order, proxies) for one in remotes]
            prober = Prober(workdir, known_hosts, proxies, passwords, root(), order.attempt)
            prober.probe_all(plans, order.at_once or int(context.CLIARGS["forks"]))
        workdir.note_done()
        return {hop.name: proxies[hop.spec] for hop in topology.in_order() if hop.spec in proxies}


def _close(workdir: Workdir) -> None:
    """End the connections and remove their directory, unless remotestatus does."""
    if given_workdir() is None:
        close_all(workdir.path)
        workdir.remove()


def _describe_worker() -> WorkerDescription:
    try:
        runner = version("ansible-runner")
    except PackageNotFoundError:
        runner = ""  # installed elsewhere than Ansible
    return WorkerDescription(ansible_version, runner, platform.python_version(), time.time())


def _aliases_on_the_way(
    names: Sequence[str], entries: Mapping[str, inventory.Entry], topology: Topology
) -> frozenset[str]:
    """The proxies that these hosts are reached through, and those that are among them, by alias."""
    through = {hop.spec for name in names if (hop := topology.last_hop.get(name))}
    among = {name for name in names if PROXIES in entries[name].groups}
    return frozenset(through | {hop.spec for hop in topology.hops.values() if hop.host and hop.host.name in among})


def _must_be_right(entries: Mapping[str, inventory.Entry], topology: Topology) -> None:
    """Refuse what remotestatus refuses when it has read what we know of the inventory."""
    wrong = [f"{entry.name}: {name}: {what}" for entry in entries.values() for name, what in entry.problems]
    wrong += [f"{name}: ansible_ssh_common_args: {what}" for name, what in topology.problems.items()]
    if wrong:
        raise AnsibleActionFail("the inventory has problems: " + "; ".join(wrong))
