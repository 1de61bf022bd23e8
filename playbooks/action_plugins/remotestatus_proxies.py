"""
Action plugin: opens one shared connection to every proxy that the play's hosts need, or closes them all.

Runs once for the whole play and prepares what each remote's probe needs: the SSH configuration and a plan for each
remote in a private directory, whose path is returned as `workdir`. For remotestatus it first leaves there what it knows
of the inventory, and waits for the order; until then nothing is connected to. Argument: `state`, open (default) or
closed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook import inventory, opening, plan
from remotestatus_playbook.order import is_given, take
from remotestatus_playbook.paths import Topology
from remotestatus_playbook.workdir import Workdir


class ActionModule(ActionBase):
    """Opens or closes the shared connections to the proxies."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"state", "workdir"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return where the round's directory is, and how each proxy answered."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        hostvars = task_vars["hostvars"]
        base = inventory.base_directory(task_vars)
        connection_loader.get("ssh", class_only=True)  # makes its options known
        chosen = inventory.chosen_for_all(constants.config)
        entries = inventory.read_entries(hostvars, base, chosen)
        topology = inventory.topology_of(entries)
        known_hosts = inventory.known_hosts_of(entries, base)
        if self._task.args.get("state") == "closed":
            workdir = Workdir(Path(self._task.args["workdir"]))
            if inventory.workdir_of_environment() is None:
                opening.close_all(topology, workdir)
                workdir.remove()
            return {"changed": False}

        play_hosts = [str(name) for name in task_vars["ansible_play_hosts_all"]]
        given = inventory.workdir_of_environment()
        if not is_given():
            _must_be_right(entries, topology)
        workdir = Workdir(given) if given else Workdir.make()
        workdir.write_ssh(topology, known_hosts)
        if is_given():
            described = inventory.describe(entries, topology)
            described["ssh"] = inventory.describe_ssh(entries, topology, base)
            workdir.leave_inventory({**described, "limited_to": play_hosts})
        order = take()
        if order.control:
            workdir = Workdir(workdir.path, Path(order.control))
            workdir.write_ssh(topology, known_hosts)

        names = order.names or play_hosts
        with_password = [name for name, entry in entries.items() if entry.host and entry.host.password]
        answers = opening.open_all(
            topology,
            workdir,
            wanted=_on_the_way(names, entries, topology),
            passwords=inventory.passwords(hostvars, with_password),
            known_hosts=known_hosts,
            keep_seconds=order.keep or opening.KEEP_SECONDS,
            fresh=order.fresh,
        )
        plans = {}
        if not order.proxies_only:
            remotes = [entries[name] for name in names if inventory.PROXIES not in entries[name].groups]
            plans = {one.name: plan.make(one, topology, known_hosts, workdir, order, answers) for one in remotes}
        workdir.leave_plans(plans)
        if not plans:
            workdir.note_done()
        return {"changed": False, "workdir": str(workdir.path), "proxies": answers}


def _on_the_way(names: Iterable[str], entries: Mapping[str, inventory.Entry], topology: Topology) -> set[str]:
    """The proxies that these hosts are reached through, and those that are among them, by alias."""
    found = set()
    for name in names:
        if inventory.PROXIES in entries[name].groups:
            found |= {hop.spec for hop in topology.hops.values() if hop.host and hop.host.name == name}
        elif last := topology.last_hop.get(name):
            found.add(last.spec)
    return found


def _must_be_right(entries: Mapping[str, inventory.Entry], topology: Topology) -> None:
    """Refuse what remotestatus refuses when it has read what we know of the inventory."""
    wrong = [f"{entry.name}: {name}: {what}" for entry in entries.values() for name, what in entry.problems]
    wrong += [f"{name}: ansible_ssh_common_args: {what}" for name, what in topology.problems.items()]
    if wrong:
        raise AnsibleActionFail("the inventory has problems: " + "; ".join(wrong))
