"""
Action plugin: looks at one remote with one SSH exec of one shell script.

Leaves an answer in the round's directory, or returns it when the playbook runs by itself. Never fails for what the
remote did: whatever happened is the answer. Argument: `workdir`, as `remotestatus_proxies` returned it.
"""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook import inventory, opening
from remotestatus_playbook.host_keys import owners_of_offered_key
from remotestatus_playbook.probe_output import Check, compose, nothing_read, parse
from remotestatus_playbook.workdir import Workdir

OUTPUT_BLOCKS = 32768
"""A look may print 16 MiB: real ones print a hundredth of that, and garbage in front of one is allowed for."""
STDERR_KEPT = 6000
_TOO_MUCH = (-25, 153)  # killed by SIGXFSZ
_TIME_UP = (124, 137)


class ActionModule(ActionBase):
    """Looks at one remote."""

    _VALID_ARGS = frozenset({"workdir"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what came of it; `unreachable` as Ansible means it."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        name = str(task_vars["inventory_hostname"])
        workdir = Workdir(Path(self._task.args["workdir"]))
        plan = workdir.find("plans", name)
        if plan is None:
            return {"changed": False, "failed": True, "msg": f"no look at {name} was planned"}
        dead = next((hop for hop in plan["path"] if not _open(workdir, hop["spec"])), None)
        if dead is not None:
            answer: dict[str, Any] = {"outcome": "proxy-down", "proxy": dead["name"]}
        else:
            answer = self._look(name, plan, workdir)
        answer |= {"name": name, "attempts": plan["look"]}
        unreachable = answer["outcome"] != "answered"
        result: dict[str, Any] = {"changed": False, "unreachable": unreachable, "msg": _in_words(answer)}
        if inventory.workdir_of_environment() is None:
            return result | {"remotestatus": answer}
        workdir.leave("readings", name, answer)
        return result

    def _look(self, name: str, plan: dict[str, Any], workdir: Workdir) -> dict[str, Any]:
        nonce = secrets.token_hex(16)
        local = plan["connection"] == "local"
        checks = [Check(**check) for check in plan["checks"]]
        root = int(os.environ.get("REMOTESTATUS_ROOT", os.getppid())) if local else None
        script = compose(nonce, root_pid=root, checks=checks)
        output = workdir.output(name)
        command = "exec /bin/sh -s"
        if plan["connection"] == "ssh":
            if plan.get("kept") and plan["look"] > 1:
                opening.end(Path(plan["kept"]))
            self._bound_ssh(plan, output, workdir)
        elif local:
            command = f"exec timeout -k 2 {int(plan['seconds'])} /bin/sh -s"
        asked_at, started = time.time(), time.monotonic()
        code, text, raw = 0, "", b""
        try:
            result = self._low_level_execute_command(command, sudoable=False, in_data=script, executable=False)
            code, text = int(result["rc"]), str(result["stderr"])
            raw = str(result["stdout"]).encode("utf-8", "surrogateescape")
        except AnsibleConnectionFailure as error:
            code, text = 255, str(error)
        except AnsibleError as error:
            return {"outcome": "error", "stderr": str(error)[:STDERR_KEPT]}
        answer = {"exit": code, "asked_at": asked_at, "answered_at": time.time()}
        taken = time.monotonic() - started
        try:
            if plan["connection"] == "ssh":
                text = _start_of(output.with_name(output.name + ".err")) or text
                facts = _parse_file(output.with_name(output.name + ".out"), nonce)
            else:
                facts = parse(raw, nonce)
        finally:
            for ending in (".out", ".err"):
                with suppress(FileNotFoundError):
                    output.with_name(output.name + ending).unlink()
        answer["logged_in"] = "\nAuthenticated to " in f"\n{text}" or facts["frame"]
        answer["frame"] = facts["frame"]
        if facts["frame"] and facts["complete"]:
            spent = facts.get("probe_seconds")
            connect = taken - spent if isinstance(spent, float) and 0 <= spent <= taken else taken
            return answer | {"outcome": "answered", "connect_ms": round(connect * 1000), "facts": facts}
        answer["noise"] = facts["noise"]
        answer["stderr"] = text[:STDERR_KEPT]
        if code in _TOO_MUCH:
            return answer | {"outcome": "too-much"}
        if code not in (*_TIME_UP, 255):
            return answer | {"outcome": "no-probe-output"}
        if plan["connection"] == "ssh":
            answer |= _examine(plan, text)
        return answer | {"outcome": "timed-out" if code in _TIME_UP else "ssh-failed"}

    def _bound_ssh(self, plan: dict[str, Any], output: Path, workdir: Workdir) -> None:
        """Give this one connection its options, its limits, and files to print into."""
        connection = self._connection
        ssh = str(connection.get_option("ssh_executable"))
        os.environ |= {
            "REMOTESTATUS_SECONDS": str(plan["seconds"]),
            "REMOTESTATUS_BLOCKS": str(OUTPUT_BLOCKS),
            "REMOTESTATUS_OUTPUT": str(output),
            "REMOTESTATUS_SSH": shutil.which(ssh) or ssh,
            "LC_ALL": "C.UTF-8",
        }
        for option, value in {
            "ssh_executable": str(workdir.tool("bounded-ssh")),
            "ssh_args": plan["ssh_args"],
            "ssh_common_args": "",
            "ssh_extra_args": "",
            "reconnection_retries": 0,
            "use_tty": False,
        }.items():
            connection.set_option(option, value)
        if plan["key_file"]:  # a relative one starts at the inventory, not at the working directory
            connection.set_option("private_key_file", plan["key_file"])
        if connection.get_option("timeout") == 10:  # Ansible's default: nobody chose it
            connection.set_option("timeout", plan["connect_seconds"])


def _examine(plan: dict[str, Any], text: str) -> dict[str, Any]:
    """What ssh's own words leave open: whose key was offered, why the proxy refused, and whether it is still there."""
    found: dict[str, Any] = {"answered_by": owners_of_offered_key(text, Path(plan["known_hosts"]))}
    if plan["proxy_socket"] is None:
        return found
    socket = Path(plan["proxy_socket"])
    found["proxy_lost"] = not opening.is_open(socket)
    refusal = opening.refusal_of(socket, plan["address"], plan["port"])
    if refusal:
        found["stderr"] = f"{refusal}\n{text}"[:STDERR_KEPT]
    return found


def _open(workdir: Workdir, spec: str) -> bool:
    answer = workdir.find("proxies", spec)
    return answer is not None and answer.get("outcome") == "answered"


def _parse_file(path: Path, nonce: str) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return parse(b"", nonce)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
                return parse(raw, nonce)
    except FileNotFoundError:
        return nothing_read()


def _start_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(STDERR_KEPT).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _in_words(answer: dict[str, Any]) -> str:
    if answer["outcome"] == "proxy-down":
        return f"not checked: the proxy {answer['proxy']} does not answer"
    if answer["outcome"] != "answered":
        return str(answer.get("stderr") or answer.get("noise") or answer["outcome"]).strip()[-300:]
    facts = answer["facts"]
    processes = facts["processes"]
    count = "processes unknown" if processes is None else f"{len(processes)} processes"
    return f"reached in {answer['connect_ms']} ms, {count}, load {facts['load']}"
