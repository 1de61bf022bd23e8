"""
Action plugin: returns the answer of one remote, for users of the playbook without remotestatus.

The result is `unreachable` if the remote could not be reached, and `failed` only for errors on this side: an inventory
variable, or the checker. The arguments are documented in `library/remotestatus_answer.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook.protocol import Outcome
from remotestatus_playbook.workdir import Workdir


class ActionModule(ActionBase):
    """Returns the answer of one remote."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"argv", "proxies", "workdir"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer as `remotestatus` and as a fact of that name, with a sentence for people."""
        super().run(tmp, task_vars)
        name = str((task_vars or {})["inventory_hostname"])
        answer = Workdir(Path(self._task.args["workdir"])).find_remote(name)
        if answer is None:
            return {"changed": False, "failed": True, "msg": f"{name} was not probed"}
        if not boolean(self._task.args.get("argv", True)):
            answer["processes"] = _without_arguments(answer["processes"])
        failed = answer["outcome"] in _OUR_OWN
        return {
            "changed": False,
            "failed": failed,
            "unreachable": not failed and answer["outcome"] not in _REACHED,
            "msg": _in_words(answer, self._task.args.get("proxies") or {}),
            "remotestatus": answer,
            "ansible_facts": {"remotestatus": answer},
        }


_OUR_OWN = frozenset({Outcome.ERROR, Outcome.MISCONFIGURED, Outcome.UNSUPPORTED})
_REACHED = frozenset({Outcome.ANSWERED, Outcome.BECOME_FAILED})


def _without_arguments(processes: Any) -> Any:
    """Only the programs of processes, because arguments may hold passwords."""
    return processes and [{**process, "argv": process["argv"][:1]} for process in processes]


def _in_words(answer: dict[str, Any], proxies: Mapping[str, Any]) -> str:
    if answer["outcome"] == Outcome.PROXY_DOWN:
        why = " ".join(str(proxies.get(answer["proxy"], {}).get("stderr", "")).split())[-300:]
        return f"not checked: the proxy {answer['proxy']} does not answer{f': {why}' if why else ''}"
    if answer["outcome"] != Outcome.ANSWERED:
        return str(answer["stderr"] or answer["noise"] or answer["outcome"]).strip()[-300:]
    processes = answer["processes"]
    count = "processes unknown" if processes is None else f"{len(processes)} processes"
    return f"reached in {answer['connect_ms']} ms, {count}, load {answer['facts']['load']}"
