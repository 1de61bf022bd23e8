"""
Probes remotes: each with one SSH exec of one shell script, many at the same time.

It writes an answer for each remote to the round's directory as soon as there is one. A failure of a remote is an
answer, not an error.
"""

import mmap
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import disk_usage
from threading import Lock

from remotestatus_playbook.become import Become
from remotestatus_playbook.checker_faults import local_fault
from remotestatus_playbook.children import TOO_MUCH, Child, Password, run_all
from remotestatus_playbook.control_socket import end_connection, is_open, read_banner
from remotestatus_playbook.device_probe import ask_devices
from remotestatus_playbook.host_keys import owners_of_offered_key
from remotestatus_playbook.order import root
from remotestatus_playbook.output_limits import PROBE_BYTES
from remotestatus_playbook.plan import ProbePlan
from remotestatus_playbook.plugin_probe import PLUGIN_PROBES, PluginProbe
from remotestatus_playbook.probe_output import ProbeOutput, parse
from remotestatus_playbook.probe_script import compose
from remotestatus_playbook.protocol import REMOTE_ANSWERS, Outcome, ProxyAnswer, RemoteAnswer
from remotestatus_playbook.proxy_connections import find_refusals, log_of
from remotestatus_playbook.ssh_log import KEPT, own_words, printed_words, tells_log_in
from remotestatus_playbook.workdir import Workdir

_AT_ONCE = 16
"""Threads for the probes of devices, and for the examination of failed remotes."""
_SSH_FAILED = 255
_NEARLY_FULL = 64 * 1024  # bytes
_NOT_STARTED = (125, 126, 127)  # timeout(1) failed, or what it was to start


@dataclass
class Prober:
    """
    Probes remotes. A plan comes only after its proxies have answered (`proxies`, by alias).

    `passwords` gives, by name, how to get a remote's password. `attempt` is the number of this attempt in the round.
    """

    workdir: Workdir
    known_hosts: Path
    proxies: Mapping[str, ProxyAnswer]
    passwords: Mapping[str, Password]
    attempt: int = 1
    by_plugin: list[str] = field(default_factory=list)
    """The remotes that are left to Ansible's own connections."""
    _plans: dict[str, tuple[ProbePlan, str]] = field(default_factory=dict)
    """Each plan with the nonce of its probe."""
    _asked: dict[Path, tuple[bool, Mapping[str, str]]] = field(default_factory=dict)
    """For each proxy, whether its connection is open, and what it could not connect to."""
    _one_asks: Lock = field(default_factory=Lock)

    def probe_all(self, plans: Iterable[ProbePlan | None], at_once: int) -> None:
        """
        Probe every remote that has a plan and is not reached by a plugin, `at_once` at the same time.

        `plans` may yield None: see `run_all`.
        """
        failed: dict[str, RemoteAnswer] = {}
        full = False
        asking: list[Future[None]] = []
        pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="devices")
        for child in run_all(self._children(plans), at_once):
            full = full or disk_usage(self.workdir.path).free < _NEARLY_FULL
            plan, nonce = self._plans[child.name]
            answer = read_answer(child, nonce, plan)
            child.forget()
            if (full or child.no_room) and answer.outcome is not Outcome.ANSWERED:
                # Its answer may be incomplete because of our full disk.
                where = self.workdir.path.parent
                answer = RemoteAnswer(Outcome.ERROR, stderr=f"no space was left on the checker, in {where}")
            if plan.devices and answer.outcome is Outcome.ANSWERED and self.attempt == 1:
                asking.append(pool.submit(self._ask_devices, plan, answer, plan.seconds - child.taken))
            else:
                self._leave(child.name, answer)
            if plan.looking:
                continue
            self.workdir.count(answer.outcome)
            if plan.host and answer.outcome in (Outcome.SSH_FAILED, Outcome.TIMED_OUT):
                failed[child.name] = answer
        with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="examined") as examining:
            asking += [examining.submit(self._examine, self._plans[name][0], answer) for name, answer in failed.items()]
        pool.shutdown()
        for one in asking:
            one.result()

    def _ask_devices(self, plan: ProbePlan, answer: RemoteAnswer, seconds: float) -> None:
        """Ask the devices behind a remote that has answered, within the rest of its time."""
        devices = ask_devices(plan.kept, plan.devices, seconds)
        if plan.kept and plan.passing:
            end_connection(plan.kept)
        self._leave(plan.name, replace(answer, devices=devices))

    def _children(self, plans: Iterable[ProbePlan | None]) -> Iterator[Child | None]:
        """Yield the child of each remote that can be reached; the others get their answer at once."""
        unasked: dict[tuple[Outcome, str, str], list[ProbePlan]] = {}
        for plan in plans:
            answer = self._answer_without(plan) if plan else None
            if plan and answer:
                unasked.setdefault((answer.outcome, answer.stderr, answer.proxy), []).append(plan)
                continue
            self._leave_unasked(unasked)
            if plan is None:
                yield None
                continue
            nonce = secrets.token_hex(16)
            if plan.by_plugin:
                probe = PluginProbe.of(plan, attempt=self.attempt, nonce=nonce)
                self.workdir.leave(PLUGIN_PROBES, plan.name, probe)
                self.by_plugin.append(plan.name)
                continue
            if plan.kept and plan.suspect:
                end_connection(plan.kept)
            self._plans[plan.name] = plan, nonce
            yield self._child(plan, nonce)
        self._leave_unasked(unasked)

    def _leave_unasked(self, unasked: dict[tuple[Outcome, str, str], list[ProbePlan]]) -> None:
        """Write the shared answers of remotes that are not probed."""
        for (outcome, stderr, proxy), alike in unasked.items():
            answer = RemoteAnswer(outcome, stderr=stderr, proxy=proxy, attempts=self.attempt)
            self.workdir.leave_alike([plan.name for plan in alike], answer)
            self.workdir.count(outcome, sum(not plan.looking for plan in alike))
        unasked.clear()

    def _answer_without(self, plan: ProbePlan) -> RemoteAnswer | None:
        """The answer for a remote that is not probed."""
        if plan.answer:
            return plan.answer
        for hop in (*plan.hop.path, plan.hop) if plan.hop else ():
            answer = self.proxies.get(hop.spec)
            if answer is not None and answer.outcome is Outcome.ERROR:
                # The proxy may be up: the checker could not test it.
                return RemoteAnswer(Outcome.ERROR, stderr=answer.stderr)
            if answer is None or answer.outcome is not Outcome.ANSWERED:
                return RemoteAnswer(Outcome.PROXY_DOWN, proxy=hop.name)
        return None

    def _child(self, plan: ProbePlan, nonce: str) -> Child:
        local = plan.host is None
        password = self.passwords.get(plan.name) if plan.host and plan.host.password and not plan.looking else None
        return Child(
            name=plan.name,
            words=plan.command,
            stdin=compose(nonce, plan.questions, root() if local else None),
            output=self.workdir.output(plan.name),
            seconds=plan.seconds,
            # Checks on this machine may write their own files without a limit.
            printing=None if local else PROBE_BYTES,
            password=password,
            asked=plan.asked,
            askpass=self.workdir.tool("askpass") if password else None,
        )

    def _leave(self, name: str, answer: RemoteAnswer) -> None:
        self.workdir.leave(REMOTE_ANSWERS, name, replace(answer, attempts=self.attempt))

    def _examine(self, plan: ProbePlan, answer: RemoteAnswer) -> None:
        """Complete the answer with what ssh does not print: whose key was offered, and why the proxy refused."""
        answer = replace(answer, answered_by=owners_of_offered_key(answer.stderr, self.known_hosts))
        address, port = plan.place
        if plan.host is None or plan.hop is None:
            if plan.host is not None and _is_lost(answer.stderr):
                answer = replace(answer, banner=read_banner(None, address, port or 22))
            self._leave(plan.name, answer)
            return
        socket = self.workdir.control / plan.hop.socket
        with self._one_asks:
            if socket not in self._asked:
                self._asked[socket] = is_open(socket), find_refusals(log_of(socket))
        stands, refusals = self._asked[socket]
        refusal = refusals.get(f"{address}:{port or 22}", "")
        stderr = f"{refusal}\n{answer.stderr}"[:KEPT] if refusal else answer.stderr
        banner = read_banner(socket, address, port or 22) if stands and _is_lost(stderr) else ""
        self._leave(plan.name, replace(answer, proxy_lost=not stands, stderr=stderr, banner=banner))


def read_answer(child: Child, nonce: str, plan: ProbePlan) -> RemoteAnswer:
    """Read the answer of one finished probe."""
    if child.secret_trouble:
        return RemoteAnswer(Outcome.MISCONFIGURED, stderr=child.secret_trouble)
    if child.trouble:
        return RemoteAnswer(Outcome.ERROR, stderr=child.trouble)
    stderr, printed = own_words(child.log, child.err), printed_words(child.log, child.err)
    output = _parse_file(child.out, nonce)
    answer = output.answer_of(child.taken, child.asked_at, child.answered_at)
    if answer is not None:
        return answer
    logged_in = tells_log_in(stderr) or output.frame or plan.looking
    if child.timed_out:
        outcome = Outcome.TIMED_OUT
    elif (logged_in or plan.host is None) and _was_refused(child, plan.become, output):
        said = _last_line(printed or (stderr if plan.host is None else ""))
        return RemoteAnswer(Outcome.BECOME_FAILED, stderr=said or output.noise, logged_in=True)
    elif not logged_in and (child.code in _NOT_STARTED or local_fault(stderr)):
        outcome = Outcome.ERROR
    elif child.code in TOO_MUCH:
        outcome = Outcome.TOO_MUCH
    else:
        outcome = Outcome.SSH_FAILED if child.code == _SSH_FAILED else Outcome.NO_PROBE_OUTPUT
    return RemoteAnswer(
        outcome, stderr=stderr, printed=printed, noise=output.noise, frame=output.frame, logged_in=logged_in
    )


def _was_refused(child: Child, become: Become | None, output: ProbeOutput) -> bool:
    """Whether become failed: its program ended, and our shell never started."""
    if become is None or output.frame or child.code in (0, _SSH_FAILED, *TOO_MUCH):
        return False
    with suppress(OSError), child.out.open("rb") as file:
        return become.marker.encode() not in file.read(KEPT)
    return True


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _parse_file(path: Path, nonce: str) -> ProbeOutput:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return parse(b"", nonce)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
                return parse(raw, nonce)
    except FileNotFoundError:
        return ProbeOutput()


def _is_lost(words: str) -> bool:
    """Whether ssh's own words say that the connection was closed before any banner."""
    lowered = words.lower()
    return "exchange_identification" in lowered and "timed out" not in lowered and "open failed" not in lowered
