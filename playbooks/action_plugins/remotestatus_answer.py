"""
Action plugin: says what the probe of one remote brought, for whoever runs the playbook without remotestatus.

`unreachable` as Ansible means it, and never failed for what the remote did. Argument: `workdir`, as
`remotestatus_check` returned it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook.protocol import Outcome
from remotestatus_playbook.workdir import Workdir


class ActionModule(ActionBase):
    """Says what the probe of one remote brought."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"workdir"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer as `remotestatus`, with a sentence for people."""
        super().run(tmp, task_vars)
        name = str((task_vars or {})["inventory_hostname"])
        answer = Workdir(Path(self._task.args["workdir"])).find_remote(name)
        if answer is None:
            return {"changed": False, "failed": True, "msg": f"{name} was not probed"}
        unreachable = answer["outcome"] != Outcome.ANSWERED
        return {"changed": False, "unreachable": unreachable, "msg": _in_words(answer), "remotestatus": answer}


def _in_words(answer: dict[str, Any]) -> str:
    if answer["outcome"] == Outcome.PROXY_DOWN:
        return f"not checked: the proxy {answer['proxy']} does not answer"
    if answer["outcome"] != Outcome.ANSWERED:
        return str(answer["stderr"] or answer["noise"] or answer["outcome"]).strip()[-300:]
    processes = answer["processes"]
    count = "processes unknown" if processes is None else f"{len(processes)} processes"
    return f"reached in {answer['connect_ms']} ms, {count}, load {answer['facts']['load']}"
