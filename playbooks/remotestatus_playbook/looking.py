"""
Looks at remotes: each with one SSH exec of one shell script, many at the same time.

Takes a plan for each remote; leaves an answer for each in the round's directory (`readings/<name>.json`) as soon as
there is one. Nothing that a remote does is an error: whatever happened is the answer.
"""

import mmap
import os
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remotestatus_playbook import opening
from remotestatus_playbook.children import Child, run_all
from remotestatus_playbook.host_keys import owners_of_offered_key
from remotestatus_playbook.probe_output import Check, compose, nothing_read, parse
from remotestatus_playbook.workdir import Workdir

OUTPUT_BYTES = 16 * 1024 * 1024
"""What a look may print: real ones print a hundredth of that, and garbage in front of one is allowed for."""
STDERR_KEPT = 6000
_SSH_FAILED = 255
_NOT_STARTED = (125, 126, 127)  # timeout(1) failed, or what it was to start
_TOO_MUCH = (-signal.SIGXFSZ, 128 + signal.SIGXFSZ)  # as timeout(1) of coreutils and of busybox passes it on

Plan = dict[str, Any]
Answer = dict[str, Any]


def look_at_all(
    plans: Mapping[str, Plan], workdir: Workdir, *, passwords: Mapping[str, Callable[[], str]], at_once: int, root: int
) -> None:
    """
    Look at every remote that has a plan, so many at the same time.

    `passwords` gives, by name, how to learn a remote's password; `root` is the process whose children are our own.
    """
    nonces: dict[str, str] = {}
    proxies = _Proxies(workdir)

    def leave(name: str, answer: Answer) -> None:
        workdir.leave("readings", name, answer | {"name": name, "attempts": plans[name]["look"]})

    def children() -> Iterator[Child]:
        for name, plan in plans.items():
            dead = next((hop["name"] for hop in plan["path"] if not proxies.answered(hop["spec"])), None)
            if dead is not None:
                leave(name, {"outcome": "proxy-down", "proxy": dead})
                workdir.count(reached=False)
                continue
            if not plan["command"]:
                sentence = f"the connection {plan['connection']!r} is none that remotestatus can look through"
                leave(name, {"outcome": "error", "stderr": sentence})
                workdir.count(reached=False)
                continue
            nonces[name] = secrets.token_hex(16)
            if plan.get("kept") and plan["look"] > 1:
                opening.end(Path(plan["kept"]))
            yield _child(name, plan, nonces[name], workdir, passwords.get(name), root)

    failed: dict[str, Answer] = {}
    full = False
    for child in run_all(children(), at_once):
        full = full or workdir.is_full()
        answer = _answer_of(child, nonces[child.name])
        child.forget()
        if full and answer["outcome"] != "answered":
            # What is missing of its answer may be missing because of us.
            answer = {"outcome": "error", "stderr": f"no space was left on the checker, in {workdir.path.parent}"}
        leave(child.name, answer)
        workdir.count(reached=answer["outcome"] == "answered")
        if plans[child.name]["connection"] == "ssh" and answer["outcome"] in ("ssh-failed", "timed-out"):
            failed[child.name] = answer
    for name, answer in failed.items():
        leave(name, answer | proxies.examine(plans[name], answer))


def _child(name: str, plan: Plan, nonce: str, workdir: Workdir, password: Callable[[], str] | None, root: int) -> Child:
    local = plan["connection"] == "local"
    return Child(
        name=name,
        words=plan["command"],
        stdin=compose(nonce, root_pid=root if local else None, checks=[Check(**check) for check in plan["checks"]]),
        output=workdir.output(name),
        seconds=plan["seconds"],
        # What a check on this very machine writes into files of its own is its own affair.
        printing=None if local else OUTPUT_BYTES,
        password=None if local else password,
        asked=plan.get("asked", ""),
        askpass=workdir.tool("askpass") if password else None,
    )


def _answer_of(child: Child, nonce: str) -> Answer:
    if child.trouble:
        return {"outcome": "error", "stderr": child.trouble}
    text = _start_of(child.err)
    facts = _parse_file(child.out, nonce)
    answer: Answer = {
        "exit": child.code,
        "asked_at": child.asked_at,
        "answered_at": child.answered_at,
        "frame": facts["frame"],
        "logged_in": "\nAuthenticated to " in f"\n{text}" or facts["frame"],
    }
    if facts["frame"] and facts["complete"]:
        spent = facts["probe_seconds"]
        known = isinstance(spent, float) and 0 <= spent <= child.taken
        connect = child.taken - spent if known else child.taken
        return answer | {"outcome": "answered", "connect_ms": round(connect * 1000), "facts": facts}
    answer |= {"noise": facts["noise"], "stderr": text}
    if child.timed_out:
        return answer | {"outcome": "timed-out"}
    if child.code in _NOT_STARTED and not answer["logged_in"]:
        return answer | {"outcome": "error"}
    if child.code in _TOO_MUCH:
        return answer | {"outcome": "too-much"}
    return answer | {"outcome": "ssh-failed" if child.code == _SSH_FAILED else "no-probe-output"}


@dataclass
class _Proxies:
    """What is known of the proxies while remotes are looked at; each is asked once."""

    workdir: Workdir
    _answered: dict[str, bool] = field(default_factory=dict)
    _open: dict[Path, bool] = field(default_factory=dict)
    _refusals: dict[Path, opening.Refusals] = field(default_factory=dict)

    def answered(self, spec: str) -> bool:
        """Whether the proxy answered when its connection was opened."""
        if spec not in self._answered:
            answer = self.workdir.find("proxies", spec)
            self._answered[spec] = answer is not None and answer.get("outcome") == "answered"
        return self._answered[spec]

    def examine(self, plan: Plan, answer: Answer) -> Answer:
        """What ssh's own words leave open: whose key was offered, why the proxy refused, and whether it is there."""
        found: Answer = {"answered_by": owners_of_offered_key(answer["stderr"], Path(plan["known_hosts"]))}
        if plan["proxy_socket"] is None:
            return found
        socket = Path(plan["proxy_socket"])
        if socket not in self._open:
            self._open[socket] = opening.is_open(socket)
            self._refusals[socket] = opening.Refusals(opening.log_of(socket))
        found["proxy_lost"] = not self._open[socket]
        refusal = self._refusals[socket].of(plan["address"], plan["port"])
        if refusal:
            found["stderr"] = f"{refusal}\n{answer['stderr']}"[:STDERR_KEPT]
        return found


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
