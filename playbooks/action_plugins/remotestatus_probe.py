"""
Action plugin: looks at every remote of the play, each with one SSH exec of one shell script.

Runs once for the whole play, because a process of Ansible's own for each remote would cost more than the look itself.
Leaves an answer for each in the round's directory; `remotestatus_answer` reads them. Argument: `workdir`, as
`remotestatus_proxies` returned it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook import inventory, order
from remotestatus_playbook.looking import look_at_all
from remotestatus_playbook.workdir import Workdir


class ActionModule(ActionBase):
    """Looks at every remote."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"workdir"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return nothing but that it was done: the answers are files."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        workdir = Workdir(Path(self._task.args["workdir"]))
        plans = workdir.find_plans()
        look_at_all(
            plans,
            workdir,
            passwords=inventory.passwords(task_vars["hostvars"], [name for name in plans if plans[name]["password"]]),
            at_once=order.take().at_once or int(context.CLIARGS["forks"]),
            root=order.root(),
        )
        workdir.note_done()
        return {"changed": False}
