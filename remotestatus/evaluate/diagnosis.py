"""
Decides why something could not be reached, from the output of OpenSSH and the shell.

Takes the remote or proxy and the playbook's answer; returns a Trouble: one cause of the closed list, a sentence for
people, what to try, and one line of evidence. The texts are OpenSSH's own (8.4 to 10); they are believed in the order
of the table below, because one failure often brings the texts of others with it.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from remotestatus_playbook.checker_faults import LocalFault, local_fault, without_warnings
from remotestatus_playbook.protocol import PROXY_LOST, HostAnswer, Outcome

from remotestatus.model.causes import Cause, SpecialCase
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.errors import say_error
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.status_words import Severity, Status
from remotestatus.model.untrusted_text import one_line
from remotestatus.model.worker_faults import NOT_STARTED, FaultKind


@dataclass(frozen=True, slots=True)
class _KnownText:
    """A text of an SSH client, and what it means on a connection that passes no proxy."""

    cause: Cause
    pattern: re.Pattern[str]
    special: SpecialCase | None = None


_TEXTS = tuple(
    _KnownText(cause, re.compile(pattern, re.IGNORECASE), *special)
    for cause, pattern, *special in (
        (Cause.NOT_CHECKED, re.escape(PROXY_LOST), SpecialCase.PROXY_CONNECTION_LOST),
        (Cause.HOST_KEY_CHANGED, r"host identification has changed|host key for \S+ has changed"),
        (
            Cause.HOST_KEY_UNKNOWN,
            r"no \S+ host key is known for|authenticity of host .* can't be established"
            r"|host key verification failed|host key checking is enabled",
        ),
        (Cause.AUTHENTICATION_FAILED, r"administratively prohibited", SpecialCase.FORWARDING_PROHIBITED),
        (
            Cause.AUTHENTICATION_FAILED,
            r"unable to negotiate with|no matching \S+( \S+)* (found|method)",
            SpecialCase.NO_COMMON_ALGORITHM,
        ),
        (
            Cause.AUTHENTICATION_FAILED,
            r"permission denied|too many authentication failures|no supported authentication methods"
            r"|invalid/incorrect password|account .*(expired|locked)",
        ),
        (Cause.NAME_UNRESOLVED, r"could not resolve hostname|name or service not known|name resolution"),
        (Cause.CONNECTION_REFUSED, r"session open refused by peer|open failed: connect failed: connection refused"),
        (Cause.NO_ROUTE, r"no route to host|network is unreachable|host is (down|unreachable)"),
        (Cause.CONNECTION_TIMEOUT, r"timed out during banner exchange", SpecialCase.SAYS_NOTHING),
        (Cause.CONNECTION_TIMEOUT, r"port \d+: .*timed out|port \d+ timed out"),
        (Cause.CONNECTION_REFUSED, r"connection refused"),
        (Cause.SSHD_DOWN, r"kex_exchange_identification|ssh_exchange_identification|bad remote protocol version"),
        (Cause.CONNECTION_TIMEOUT, r"(connection|operation) timed out"),
        (
            Cause.CONNECTION_LOST,
            r"connection (to \S+ )?(reset|closed)|broken pipe|timeout, server \S+ not responding"
            r"|client_loop|lost connection|read from master failed",
        ),
    )
)

_THROUGH_A_TUNNEL = {Cause.CONNECTION_TIMEOUT: Cause.TUNNEL_STALE, Cause.CONNECTION_REFUSED: Cause.TUNNEL_DOWN}
"""Behind a proxy these texts are about the tunnel's port there, and not about the machine."""

_WITHOUT_A_TUNNEL = {Cause.SSHD_DOWN: Cause.CONNECTION_LOST}
"""What is closed before any banner may be a firewall where no tunnel has led us to the machine."""

_REFUSED_BY = {
    **dict.fromkeys(("sudo", "ansible.builtin.sudo"), SpecialCase.SUDO_REFUSED),
    **dict.fromkeys(("doas", "community.general.doas"), SpecialCase.DOAS_REFUSED),
    **dict.fromkeys(("run0", "community.general.run0"), SpecialCase.RUN0_REFUSED),
}
"""By the become plugin: what to write into its configuration on the remote."""

_BECOME_TEXTS = (
    # What a shell says, sh or bash or fish, that cannot find what it is to start.
    (
        re.compile(r"^-?[\w./-]*sh:.*\b(not found|no such file|unknown command)\b", re.IGNORECASE | re.MULTILINE),
        SpecialCase.BECOME_NOT_FOUND,
    ),
    # Ansible's words, and sudo's own where Ansible did not see them.
    (
        re.compile(r"^incorrect \S+ password|incorrect password attempt", re.IGNORECASE | re.MULTILINE),
        SpecialCase.BECOME_PASSWORD_WRONG,
    ),
)
"""What else there is to say of a refused change of user, by what was said."""

_BREAKS = frozenset({Cause.CONNECTION_LOST, Cause.CONNECTION_TIMEOUT, Cause.TUNNEL_STALE})


_MAY_BE_THROTTLED = frozenset({Cause.SSHD_DOWN, Cause.CONNECTION_LOST, None})
_THROTTLED = re.compile(r"not allowed at this time|exceeded maxstartups", re.IGNORECASE)
"""What sshd writes in place of its banner (OpenSSH 9.8 and later, and before)."""


def cause_of_text(text: str, *, tunnelled: bool) -> Cause | None:
    """
    The cause that an SSH client's error text means, or None when the text says nothing known.

    `tunnelled` tells whether the connection led through a proxy to the port of a tunnel. A proxy has no tunnel.
    """
    known = _recognise(text)
    if known is None:
        return None
    return (_THROUGH_A_TUNNEL if tunnelled else _WITHOUT_A_TUNNEL).get(known.cause, known.cause)


def _recognise(text: str) -> _KnownText | None:
    return next((known for known in _TEXTS if known.pattern.search(text)), None)


def diagnose(subject: Remote | Proxy, answer: HostAnswer) -> Trouble:
    """Say why a remote or proxy that did not answer as it should was not reached."""
    text, noise = answer.stderr, one_line(answer.noise) or one_line(answer.printed)
    match answer.outcome:
        case Outcome.PROXY_DOWN:
            return explain(Cause.PROXY_UNREACHABLE, subject, proxy=answer.proxy)
        case Outcome.MISCONFIGURED:
            return explain(
                Cause.CHECKER_ERROR, subject, SpecialCase.VARIABLE_WRONG, problem=_ended(one_line(text, 400))
            )
        case Outcome.UNSUPPORTED:
            return explain(Cause.UNSUPPORTED, subject, detail=evidence(text))
        case Outcome.BECOME_FAILED:
            method = subject.become_method if isinstance(subject, Remote) else ""
            known = next((case for words, case in _BECOME_TEXTS if words.search(text)), _REFUSED_BY.get(method))
            return explain(Cause.BECOME_FAILED, subject, known, detail=one_line(text))
        case Outcome.CONNECTION_FAILED:
            cause = cause_of_text(text, tunnelled=False) or Cause.CONNECTION_LOST
            return explain(cause, subject, SpecialCase.PLUGIN_FAILED, detail=evidence(text) or noise)
        case Outcome.ERROR:
            return _checker_error(subject, text)
        case Outcome.TOO_MUCH:
            return explain(Cause.PROBE_TIMEOUT, subject, SpecialCase.ENDLESS_OUTPUT, detail=noise)
        case Outcome.TIMED_OUT if answer.logged_in:
            special = SpecialCase.PLUGIN_HANGS if _is_by_plugin(subject) else None
            return explain(Cause.PROBE_TIMEOUT, subject, special, detail=noise or evidence(text))
        case Outcome.TIMED_OUT | Outcome.SSH_FAILED if not answer.logged_in and local_fault(text):
            return _checker_error(subject, text)
        case Outcome.TIMED_OUT | Outcome.SSH_FAILED:
            cause = _cause_of_failure(subject, answer)
            owners = tuple(one_line(name, 80) for name in answer.answered_by if name != subject.name)[:3]
            key = _key_trouble(text)
            special = _special_case(subject, cause, text, owners, key)
            detail = evidence(text) or noise
            if cause is Cause.CONNECTION_THROTTLED:
                detail = one_line(answer.banner)
            return explain(cause, subject, special, detail=detail, owners=owners, key=key)
        case _:
            return explain(Cause.PROBE_FAILED, subject, detail=noise or evidence(text))


_FAULTS = {
    LocalFault.NO_TIMEOUT: SpecialCase.NO_TIMEOUT,
    LocalFault.NO_SSH: SpecialCase.NO_SSH,
    LocalFault.NO_ASKPASS: SpecialCase.NO_ASKPASS,
    LocalFault.NO_PROXY_PROGRAM: SpecialCase.NO_PROXY_PROGRAM,
    LocalFault.FILE_REFUSED: SpecialCase.FILE_REFUSED,
    LocalFault.OPTION_REFUSED: SpecialCase.OPTION_REFUSED,
    LocalFault.SOCKET: SpecialCase.SOCKET_TOO_LONG,
}


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."


def _checker_error(subject: Remote | Proxy, text: str) -> Trouble:
    """The checker itself is at fault, and if ssh or a program beside it says how, that is told with its cure."""
    found = local_fault(text)
    if found is None:
        special = SpecialCase.PLUGIN_UNUSABLE if _is_by_plugin(subject) else None
        return explain(Cause.CHECKER_ERROR, subject, special, detail=evidence(text))
    fault, line = found
    return explain(Cause.CHECKER_ERROR, subject, _FAULTS[fault], detail=one_line(line))


def _cause_of_failure(subject: Remote | Proxy, answer: HostAnswer) -> Cause:
    """Why ssh itself failed, or was still silent when its time was up."""
    tunnelled = _is_tunnelled(subject)
    cause = cause_of_text(answer.stderr, tunnelled=tunnelled)
    if answer.logged_in:
        # The remote's own programs may print anything on standard error, "connection refused" as well.
        lost = cause in _BREAKS or answer.frame
        cause = Cause.CONNECTION_LOST if lost else Cause.PROBE_FAILED
    if cause in _MAY_BE_THROTTLED and _THROTTLED.search(answer.banner):
        return Cause.CONNECTION_THROTTLED
    refused = cause is not None and (cause.declaration.about_trust or cause is Cause.PROBE_FAILED)
    if answer.proxy_lost and not refused:
        return Cause.NOT_CHECKED
    if cause is not None:
        return cause
    if answer.outcome is not Outcome.TIMED_OUT:
        return Cause.CONNECTION_LOST
    # OpenSSH's own limit covers the banner; what is later and still silent has lost its other end.
    return Cause.TUNNEL_STALE if tunnelled else Cause.CONNECTION_TIMEOUT


def _special_case(
    subject: Remote | Proxy, cause: Cause, text: str, owners: Sequence[str], key: str
) -> SpecialCase | None:
    """The case of this cause that more is known of."""
    if cause is Cause.HOST_KEY_CHANGED and owners:
        return SpecialCase.ANOTHER_REMOTE_ANSWERS if _is_tunnelled(subject) else SpecialCase.ANOTHER_HOST_ANSWERS
    if cause is Cause.NOT_CHECKED and subject.path:
        return SpecialCase.PROXY_CONNECTION_LOST
    if cause is Cause.AUTHENTICATION_FAILED:
        known = _recognise(text)
        return SpecialCase.KEY_NOT_USED if key else known.special if known else None
    if cause is Cause.CONNECTION_TIMEOUT and not subject.path:
        # Behind a proxy, nobody knows who accepted the connection.
        known = _recognise(text)
        return known.special if known else None
    return None


def _is_tunnelled(subject: Remote | Proxy) -> bool:
    return bool(subject.path) and isinstance(subject, Remote)


def _say_shell(subject: Remote | Proxy) -> str:
    """How somebody gets a shell there."""
    if not isinstance(subject, Remote) or subject.connection == "ssh":
        return f"`remotestatus ssh {shlex.quote(subject.name)}`"
    return "a shell on this machine" if subject.connection == "local" else f"a shell on {subject.name}"


def _is_by_plugin(subject: Remote | Proxy) -> bool:
    return isinstance(subject, Remote) and subject.connection not in ("ssh", "local")


def evidence(text: str) -> str:
    """The most telling line of an SSH client's error text, cleaned and capped."""
    lines = [line.strip() for line in without_warnings(text).splitlines() if line.strip()]
    lines = [line for line in lines if not _CHATTER.search(line)]
    for known in _TEXTS:
        for line in lines:
            if known.pattern.search(line):
                return one_line(line)
    return one_line(lines[-1]) if lines else ""


_CHATTER = re.compile(
    r"^(@+|Authenticated to |Transferred: |Bytes per second|IT IS POSSIBLE|Someone could be|Killed by signal)"
)


_KEY_TROUBLE = re.compile(r'^Load key ".*": (.+)$', re.MULTILINE)


def _key_trouble(text: str) -> str:
    """Why our own ssh could not use the private key. A remote's banner may say the same, so no path is taken over."""
    found = _KEY_TROUBLE.search(text)
    return one_line(found[1], 80).rstrip(".") if found else ""


_WORKER_FAULTS: Mapping[FaultKind, tuple[Cause, SpecialCase | None]] = {
    FaultKind.LOST: (Cause.CONNECTION_LOST, None),
    FaultKind.SILENT: (Cause.PROBE_TIMEOUT, SpecialCase.WORKER_SILENT),
    FaultKind.TOO_SLOW: (Cause.PROBE_TIMEOUT, SpecialCase.WORKER_TOO_SLOW),
    FaultKind.GARBAGE: (Cause.PROBE_FAILED, SpecialCase.WORKER_SENDS_GARBAGE),
    FaultKind.LIES: (Cause.PROBE_FAILED, SpecialCase.WORKER_LIES),
    FaultKind.FAILED: (Cause.PROBE_FAILED, SpecialCase.WORKER_FAILED),
}


_NO_ROOM = "No space left on device"


def diagnose_worker(worker: Proxy, fault: FaultKind, seen: str, stderr: str, *, by_ssh: bool) -> Trouble:
    """Say why a worker did not bring its answers: what ssh says, when it led there, or what was seen of it."""
    if by_ssh and (full := next((line for line in stderr.splitlines() if _NO_ROOM in line), None)):
        return explain(Cause.PROBE_FAILED, worker, SpecialCase.WORKER_FULL, detail=one_line(full))
    if by_ssh and NOT_STARTED in stderr:
        why = stderr.partition(NOT_STARTED)[0].strip().rpartition("\n")[2]
        return explain(Cause.PROBE_FAILED, worker, SpecialCase.WORKER_NOT_STARTED, detail=one_line(why))
    cause = (
        cause_of_text(stderr, tunnelled=False)
        if by_ssh and fault not in (FaultKind.FAILED, FaultKind.TOO_SLOW, FaultKind.LIES)
        else None
    )
    if cause is not None and cause.status is Status.DOWN:
        return explain(cause, worker, _special_case(worker, cause, stderr, (), ""), detail=evidence(stderr))
    cause, special = _WORKER_FAULTS.get(fault, (Cause.CONNECTION_LOST, SpecialCase.WORKER_ENDED))
    return explain(cause, worker, special, detail=one_line(seen) or evidence(stderr))


def explain(
    cause: Cause,
    subject: Remote | Proxy,
    special: SpecialCase | None = None,
    *,
    detail: str = "",
    proxy: str = "",
    names: Sequence[str] = (),
    what: str = "",
    severity: Severity = Severity.CRITICAL,
    owners: Sequence[str] = (),
    key: str = "",
    problem: str = "",
    place: str = "",
) -> Trouble:
    """
    The Trouble of a remote or proxy for this cause, in the words of its declaration.

    `what` is the process, limit, check, file or unit that it is about, and `names` says it in a few words.
    `proxy` is the proxy that did not answer, `owners` are the hosts whose key was offered, `key` says why a private key
    was not used, `problem` what is wrong with its variables, and `place` from where it was tried.
    """
    phrase = one_line(", ".join(names), 600)
    words = {**_words_about(subject, proxy), "names": phrase, "owners": " or ".join(owners)}
    words |= {"key": key, "problem": problem, "place": place}
    declared = cause.declaration
    message = special.message if special else declared.message
    own_hint = (isinstance(subject, Proxy) and declared.proxy_hint) or declared.hint
    hint = (special and special.hint) or own_hint
    listed = "{names}" in message
    return Trouble(
        cause,
        message.format_map(words),
        _fill_hint(hint, words),
        detail,
        proxy,
        what=what or (", ".join(names) if listed else ""),
        severity=severity,
        phrase=phrase if listed else "",
    )


def _words_about(subject: Remote | Proxy, proxy: str) -> dict[str, object]:
    """What the declaration of a cause calls a remote or proxy, and the way to it; `proxy` did not answer."""
    last_proxy = proxy or (subject.path[-1] if subject.path else "")
    return {
        "name": subject.name,
        "proxy": last_proxy or "the proxy",
        "port": subject.port if subject.port is not None else 22,
        "address": subject.address or subject.name,
        "user": f"{subject.user}@" if subject.user else "",
        "login": subject.name if "@" in subject.name or not subject.user else f"{subject.user}@{subject.name}",
        "who": subject.user or "USER",
        "as_user": f" as {subject.user}" if subject.user else "",
        "connection": getattr(subject, "connection", "ssh"),
        "shell": _say_shell(subject),
        "method": getattr(subject, "become_method", ""),
        "become": getattr(subject, "become_user", "") or "root",
        "to": f"{subject.name} through {last_proxy}" if last_proxy else subject.name,
    }


def _fill_hint(hint: str, words: Mapping[str, object]) -> str:
    """A hint with these words; in its commands (between backticks) as a shell has to be given them."""
    quoted = {key: shlex.quote(word) if isinstance(word, str) and word else word for key, word in words.items()}
    parts = hint.split("`")
    return "`".join(part.format_map(quoted if at % 2 else words) for at, part in enumerate(parts))


def failed_result(subject: Remote | Proxy, error: Exception, at: datetime) -> CheckResult:
    """The check result of a remote or proxy whose answer could not be evaluated."""
    return CheckResult(name=subject.name, at=at, troubles=(failed_trouble(subject, error),))


def failed_trouble(subject: Remote | Proxy, error: Exception) -> Trouble:
    """The trouble of a remote or proxy with which a stage of the round failed."""
    return explain(Cause.CHECKER_ERROR, subject, detail=f"{say_error(error)}; please report this")
