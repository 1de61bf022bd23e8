"""
Action plugin: evaluates the inventory as a play sees it, and connects to nothing.

Writes `inventory.json` and `ssh_config` into the round's private directory, or returns the inventory when there is
none. Arguments: none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook import inventory
from remotestatus_playbook.workdir import Workdir


class ActionModule(ActionBase):
    """Evaluates the inventory."""

    _requires_connection = False
    _VALID_ARGS = frozenset()

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the inventory, or where it was written."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        base = inventory.base_directory(task_vars)
        connection_loader.get("ssh", class_only=True)  # makes its options known
        chosen = inventory.chosen_for_all(constants.config)
        entries = inventory.read_entries(task_vars["hostvars"], base, chosen)
        topology = inventory.topology_of(entries)
        described = inventory.describe(entries, topology)
        described["ssh"] = inventory.describe_ssh(entries, topology, base)
        described["limited_to"] = [str(name) for name in task_vars.get("ansible_play_hosts_all") or ()]
        path = inventory.workdir_of_environment()
        if path is None:
            return {"changed": False, "inventory": described}
        workdir = Workdir(path)
        workdir.write_ssh(topology, inventory.known_hosts_of(entries, base))
        (path / "inventory.json").write_text(json.dumps(described))
        return {"changed": False}
