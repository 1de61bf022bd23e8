"""
Action plugin: says what the look at one remote brought, for whoever runs the playbook without remotestatus.

`unreachable` as Ansible means it, and never failed for what the remote did. Argument: `workdir`, as
`remotestatus_proxies` returned it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook.workdir import Workdir


class ActionModule(ActionBase):
    """Says what the look at one remote brought."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"workdir"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer as `remotestatus`, with a sentence for people."""
        super().run(tmp, task_vars)
        name = str((task_vars or {})["inventory_hostname"])
        answer = Workdir(Path(self._task.args["workdir"])).find("readings", name)
        if answer is None:
            return {"changed": False, "failed": True, "msg": f"no look at {name} was made"}
        unreachable = answer["outcome"] != "answered"
        return {"changed": False, "unreachable": unreachable, "msg": _in_words(answer), "remotestatus": answer}


def _in_words(answer: dict[str, Any]) -> str:
    if answer["outcome"] == "proxy-down":
        return f"not checked: the proxy {answer['proxy']} does not answer"
    if answer["outcome"] != "answered":
        return str(answer.get("stderr") or answer.get("noise") or answer["outcome"]).strip()[-300:]
    facts = answer["facts"]
    processes = facts["processes"]
    count = "processes unknown" if processes is None else f"{len(processes)} processes"
    return f"reached in {answer['connect_ms']} ms, {count}, load {facts['load']}"
