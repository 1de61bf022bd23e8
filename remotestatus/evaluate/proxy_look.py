"""
Makes the check result of a proxy that is probed like a remote.

A proxy that answers is never down because its account has no shell. Facts that could not be read are notes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from remotestatus_playbook.protocol import Outcome, Process, RemoteAnswer

from remotestatus.evaluate.check_results import Past, read_remote
from remotestatus.evaluate.finding_states import Look, unseen_findings
from remotestatus.evaluate.process_matching import match
from remotestatus.model.check_result import CheckResult, Key
from remotestatus.model.facts import Facts
from remotestatus.model.fleet import Remote
from remotestatus.model.states import State
from remotestatus.model.status_words import Status
from remotestatus.model.tunnels import Listener, TunnelPort
from remotestatus.model.untrusted_text import one_line

PORTS_KEPT = 2000


def read_look(
    proxy: Remote, opened: CheckResult, answer: RemoteAnswer, at: datetime, past: Past | None = None
) -> CheckResult:
    """Make the CheckResult of a proxy from how its connection was `opened` and what its probe answered."""
    past = past or Past()
    if opened.status is not Status.UP:
        return replace(opened, memory=past.memory)
    if answer.outcome is not Outcome.ANSWERED or answer.facts is None:
        processes = match(proxy.settings.processes, None)
        return replace(opened, processes=processes, facts=Facts(notes=(_say_unseen(answer),)), memory=past.memory)
    looked = read_remote(proxy, answer, at, past)
    return replace(
        looked,
        connect_ms=opened.connect_ms,
        attempts=opened.attempts,
        tunnels=(),
        ports=tunnel_ports(answer.listeners or (), answer.processes or ()),
    )


_OUTCOMES: Mapping[Outcome, str] = {
    Outcome.TIMED_OUT: "the shell of its account did not come to an end in time",
    Outcome.TOO_MUCH: "the shell of its account printed without end",
    Outcome.BECOME_FAILED: "the change of user was refused",
    Outcome.MISCONFIGURED: "one of its variables is wrong",
    Outcome.ERROR: "the checker itself failed",
    Outcome.SSH_FAILED: "its SSH server opens no session for the account",
}


def _say_unseen(answer: RemoteAnswer) -> str:
    """Say why a proxy that answers has no facts."""
    why = _OUTCOMES.get(answer.outcome, "its account has no shell that runs the probe")
    seen = one_line(answer.printed or answer.noise or answer.stderr, 150)
    return f"it answers, and could not be looked at: {why}{f' ({seen})' if seen else ''}"


def says_nothing(result: CheckResult) -> bool:
    """Whether a round has no facts of a proxy."""
    return replace(result.facts, notes=()) == Facts()


def unseen_of_proxy(proxy: Remote | None, result: CheckResult, base: State | None) -> dict[Key, Look]:
    """Find the findings of a state that one round of a proxy could not check; `proxy` is None if it is not probed."""
    found = {trouble.key for trouble in result.troubles}
    known = [one.key for one in (base.findings if base else ())]
    own = [key for key in known if key[0].status is Status.DEGRADED and key not in found]
    if proxy is None:
        return dict.fromkeys(own, Look.NOT_ASKED)
    return dict.fromkeys(own, Look.NOT_SEEN) if says_nothing(result) else unseen_findings(proxy, result, base)


def tunnel_ports(listeners: Iterable[Listener], processes: Sequence[Process]) -> tuple[TunnelPort, ...]:
    """List the ports that a tunnel may have bound: all but those that a process outside of SSH sessions holds."""
    by_pid = {process.pid: process for process in processes}
    others = {process.user for process in processes if not _is_session(process) and not process.kernel}
    only_sessions = {process.user for process in processes if process.user} - others
    found: dict[TunnelPort, None] = {}
    for one in listeners:
        session: bool | None = True if one.user in only_sessions else None
        if held_by := [by_pid[pid] for pid in one.pids if pid in by_pid]:
            session = all(map(_is_session, held_by))
        if session is not False:
            found[TunnelPort(one.port, one.address, one.user, session, one.pids, one.peers)] = None
    return tuple(found)[:PORTS_KEPT]


def _is_session(process: Process) -> bool:
    """Whether it is a process of one SSH session (`sshd: tunnel`, since OpenSSH 9.8 `sshd-session: tunnel`)."""
    program, colon, _ = (process.argv[0] if process.argv else "").partition(":")
    listens = any("[listener]" in word for word in process.argv)
    return bool(colon) and program.rpartition("/")[2] in ("sshd", "sshd-session", "sshd-auth") and not listens
