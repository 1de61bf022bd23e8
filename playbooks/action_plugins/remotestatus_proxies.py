"""
Action plugin: opens one shared connection to every proxy that the play's hosts need, or closes them all.

Runs once for the whole play and prepares what each remote's probe needs: the SSH configuration and a plan for each
remote in a private directory, whose path is returned as `workdir`. Argument: `state`, open (default) or closed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook import inventory, opening, plan
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
        given = inventory.workdir_of_environment()
        if self._task.args.get("state") == "closed":
            workdir = Workdir(Path(self._task.args["workdir"]))
            if given is None:
                opening.close_all(topology, workdir)
                workdir.remove()
            return {"changed": False}

        # The inventory reader of remotestatus has looked at these already; ansible-playbook alone has not.
        wrong = [f"{entry.name}: {name}: {what}" for entry in entries.values() for name, what in entry.problems]
        wrong += [f"{name}: ansible_ssh_common_args: {what}" for name, what in topology.problems.items()]
        if wrong and given is None:
            raise AnsibleActionFail("the inventory has problems: " + "; ".join(wrong))
        known_hosts = inventory.known_hosts_of(entries, base)
        workdir = Workdir(given) if given else Workdir.make()
        workdir.write_ssh(topology, known_hosts)
        play_hosts = [str(name) for name in task_vars["ansible_play_hosts_all"]]
        look = plan.Look.of_environment()
        wanted = set()
        plans = {}
        for name in play_hosts:
            entry = entries[name]
            if inventory.PROXIES in entry.groups:
                wanted |= {hop.spec for hop in topology.hops.values() if hop.host and hop.host.name == name}
                continue
            last = topology.last_hop.get(name)
            wanted |= {last.spec} if last else set()
            plans[name] = plan.make(entry, topology, known_hosts, workdir, look)
        workdir.leave_plans(plans)
        with_password = [name for name, entry in entries.items() if entry.host and entry.host.password]
        answers = opening.open_all(
            topology,
            workdir,
            wanted=wanted,
            passwords=inventory.passwords(hostvars, with_password),
            known_hosts=known_hosts,
            keep_seconds=int(os.environ.get("REMOTESTATUS_KEEP", opening.KEEP_SECONDS)),
            fresh=look.fresh,
        )
        return {"changed": False, "workdir": str(workdir.path), "proxies": answers}
