"""
Opens one shared connection to each proxy, and closes them again.

It writes an answer per proxy to the round's directory. As many are opened at the same time as remotes are probed; a
proxy behind another waits for it. Opening is the proxy's check: a proxy with an open connection is up.
"""

import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue

from remotestatus_playbook.checker_faults import local_fault
from remotestatus_playbook.children import TOO_MUCH, Child, Password, limit_files
from remotestatus_playbook.control_socket import end_connection, is_open
from remotestatus_playbook.host_keys import owners_of_offered_key
from remotestatus_playbook.output_limits import PROXY_BYTES
from remotestatus_playbook.protocol import OPENING, PROXY_ANSWERS, Outcome, ProxyAnswer
from remotestatus_playbook.ssh_commands import opening_arguments
from remotestatus_playbook.ssh_log import own_words, printed_words, read_text
from remotestatus_playbook.topology import Hop, Topology
from remotestatus_playbook.workdir import Workdir

KEEP_SECONDS = 3600
"""
ControlPersist of a shared connection: seconds after its last use. All proxies are opened at the beginning, so the last
of many remotes use theirs late.
"""

_SETTLED = (Outcome.ANSWERED, Outcome.ERROR, Outcome.MISCONFIGURED)
"""Outcomes that are not retried."""


@dataclass(frozen=True)
class Opener:
    """
    Opens the connections to proxies.

    `passwords` gives, by inventory name, how to get a proxy's password; a proxy with `problems` in its variables is not
    connected to. `at_once` is the number of parallel openings, `seconds` the time limit of an attempt. An unused
    connection ends after `keep_seconds`. `fresh` replaces open ones.
    """

    workdir: Workdir
    known_hosts: Path
    passwords: Mapping[str, Password]
    keep_seconds: int = KEEP_SECONDS
    fresh: bool = False
    at_once: int = 100
    attempts: int = 2
    seconds: int = 30
    problems: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def open_all(
        self, topology: Topology, wanted: Collection[str]
    ) -> Iterator[Iterator[tuple[str, ProxyAnswer] | None]]:
        """
        Open the connections to the proxies with these aliases, and to those before them.

        Yields each alias with its answer as soon as it is there, and None while there is none.
        """
        needed = [hop for hop in topology.in_order() if hop.spec in wanted]
        needed = list(dict.fromkeys(one for hop in needed for one in (*hop.path, hop)))
        answers: dict[str, Future[ProxyAnswer]] = {}
        settled: SimpleQueue[str] = SimpleQueue()
        with ThreadPoolExecutor(max_workers=max(1, min(len(needed), self.at_once))) as pool:
            # Proxies are in path order, so a proxy that another waits for has been started.
            for hop in needed:
                before = answers[hop.parent.spec] if hop.parent else None
                answers[hop.spec] = pool.submit(self._settle, hop, before, settled)
            yield self._as_they_come(answers, settled)

    def _as_they_come(
        self, answers: Mapping[str, Future[ProxyAnswer]], settled: SimpleQueue[str]
    ) -> Iterator[tuple[str, ProxyAnswer] | None]:
        for _ in answers:
            while settled.empty():
                yield None
            alias = settled.get()
            answer = answers[alias].result()
            self.workdir.leave(PROXY_ANSWERS, alias, answer)
            yield alias, answer

    def _settle(self, hop: Hop, before: "Future[ProxyAnswer] | None", settled: SimpleQueue[str]) -> ProxyAnswer:
        """Open one, and report it before those behind it start."""
        try:
            return self._open_when(hop, before)
        finally:
            settled.put(hop.spec)

    def _open_when(self, hop: Hop, before: "Future[ProxyAnswer] | None") -> ProxyAnswer:
        """Open one once its parent is open, and retry failures."""
        if before is not None and hop.parent is not None and before.result().outcome is not Outcome.ANSWERED:
            if before.result().outcome is Outcome.ERROR:
                return replace(before.result(), attempts=0)
            return ProxyAnswer(Outcome.PROXY_DOWN, attempts=0, proxy=hop.parent.name)
        if hop.host is not None and (problem := self.problems.get(hop.host.name)):
            return ProxyAnswer(Outcome.MISCONFIGURED, attempts=0, stderr=problem)
        for attempt in range(1, self.attempts + 1):
            time.sleep(1 if attempt > 1 else 0)
            answer = replace(self._open(hop), attempts=attempt)
            if answer.outcome in _SETTLED or is_refusal(answer.stderr):
                break
        owners = owners_of_offered_key(answer.stderr, self.known_hosts)
        return replace(answer, answered_by=owners, banner=_said_first(log_of(self.workdir.control / hop.socket)))

    def _open(self, hop: Hop) -> ProxyAnswer:
        socket = self.workdir.control / hop.socket
        log = log_of(socket)
        if is_open(socket):
            if not self.fresh:
                _shorten(log)
                return ProxyAnswer(Outcome.ANSWERED, kept=True, took_ms=_when_opened(socket))
            end_connection(socket)
        log.unlink(missing_ok=True)
        child = self._start(hop, log)
        child.wait()
        if child.trouble:
            return ProxyAnswer(Outcome.ERROR, stderr=child.trouble)
        code, taken = child.code, round(child.taken * 1000)
        if code == 0:
            with suppress(OSError):  # a full disk loses only this
                _took(socket).write_text(str(taken))
            return ProxyAnswer(Outcome.ANSWERED, connect_ms=taken, took_ms=taken)
        if child.secret_trouble:
            return ProxyAnswer(Outcome.MISCONFIGURED, stderr=child.secret_trouble)
        text = own_words(log, child.err)
        if local_fault(text):
            return ProxyAnswer(Outcome.ERROR, stderr=text)
        outcome = (
            Outcome.TIMED_OUT if code in (124, 137) else Outcome.TOO_MUCH if code in TOO_MUCH else Outcome.SSH_FAILED
        )
        return ProxyAnswer(outcome, stderr=text, printed=printed_words(log, child.err))

    def _start(self, hop: Hop, log: Path) -> Child:
        """Start the connection, which stays in the background once it is open."""
        password = self.passwords.get(hop.host.name) if hop.host else None
        child = Child(
            name=hop.spec,
            words=[
                *(hop.program, "-F", str(self.workdir.config_for(hop.config)), "-f", "-N"),
                *("-o", "ControlMaster=yes", "-o", f"ControlPersist={self.keep_seconds}"),
                # Only this connection's log has the errors of each remote's channel; see `find_refusals`.
                *("-E", str(log), "-o", "LogLevel=DEBUG"),
                # Without it a master connection drops its ProxyCommand's error output.
                *(["-v"] if hop.command is not None else []),
                *opening_arguments(hop),
            ],
            stdin=b"",
            output=self.workdir.path / f"proxy-{hop.socket}",
            seconds=max(self.seconds, 15 + ((hop.host and hop.host.connect_seconds) or 0)),
            password=password,
            asked=f"{hop.user or ''}@{hop.host.key_name}" if hop.host else "",
            askpass=self.workdir.tool("askpass") if password else None,
            before=limit_files(PROXY_BYTES),
            more={OPENING: "1"},
            folder=None,
        )
        child.start()
        return child


_SAID_FIRST = re.compile(r"^debug1: \w*exchange_identification: banner line 0: (.{1,255})$", re.MULTILINE)


def _said_first(log: Path) -> str:
    """The server's text instead of a banner, from ssh's log."""
    found = _SAID_FIRST.search(read_text(log, 100_000, last=True))
    return found[1].strip() if found else ""


def is_refusal(text: str) -> bool:
    """Whether trying again could only lock us out."""
    lowered = text.lower()
    return any(sign in lowered for sign in _REFUSALS)


_REFUSALS = (
    *("permission denied", "too many authentication", "no supported authentication"),
    *("host key", "host identification", "authenticity of host", "unable to negotiate", "no matching "),
    "administratively prohibited",
)
"""ssh's messages, in lower case, when it or the proxy refused the other: the causes `about_trust` of the package."""


def _took(socket: Path) -> Path:
    """The file with the time that opening this connection took, for later rounds."""
    return socket.with_suffix(".took")


def _when_opened(socket: Path) -> int:
    try:
        return int(_took(socket).read_text())
    except (OSError, ValueError):
        return 0


def log_of(socket: Path) -> Path:
    """The log file of the shared connection with this socket."""
    return socket.with_suffix(".log")


def find_refusals(log: Path) -> dict[str, str]:
    """
    OpenSSH's reasons why a proxy could not connect, by `address:port`: the last of each.

    A client of a shared connection gets only "Session open refused by peer", both for a down tunnel and for forbidden
    forwarding. Only the master's log has the reason.
    """
    reasons: dict[str, str] = {}
    asked, channels = "", dict[str, str]()
    for line in read_text(log, 16_000_000, last=True).splitlines():
        words = line.strip()
        if found := _ASKED.search(words):
            asked = found[1]
            reasons.pop(asked, None)
        elif found := _NEW_CHANNEL.search(words):
            # Channel numbers are reused.
            channels[found[1]], asked = asked, ""
        elif found := _OPEN_FAILED.match(words):
            reasons[channels.pop(found[1], "")] = words
    reasons.pop("", None)
    return reasons


_ASKED = re.compile(r"\bchannel_connect_stdio_fwd:? (\S+)$")
_OPEN_FAILED = re.compile(r"channel (\d+): open failed: ")
_NEW_CHANNEL = re.compile(r"\bchannel (\d+): new\b")


def _shorten(log: Path) -> None:
    """Empty the log of a kept connection; ssh appends to it, so it goes on at the start."""
    with suppress(FileNotFoundError):
        os.truncate(log, 0)
