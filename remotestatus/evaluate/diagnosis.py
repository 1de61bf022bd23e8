"""
Decides why something could not be reached: which of all that was seen counts.

The result is a Trouble with one cause of the closed list. What the texts of ssh mean is in `ssh_error_texts`, how a
cause is worded in `make_trouble`.
"""

import re
from collections.abc import Mapping, Sequence

from remotestatus_playbook.checker_faults import LocalFault, local_fault
from remotestatus_playbook.protocol import HostAnswer, Outcome

from remotestatus.evaluate.make_trouble import explain
from remotestatus.evaluate.ssh_error_texts import cause_of_text, evidence, key_trouble, recognise, tells_throttling
from remotestatus.model.causes import Cause, SpecialCase
from remotestatus.model.check_result import Trouble
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.status_words import Status
from remotestatus.model.untrusted_text import one_line
from remotestatus.model.worker_faults import NO_ROOM, NOT_STARTED, FaultKind

_REFUSED_BY = {
    **dict.fromkeys(("sudo", "ansible.builtin.sudo"), SpecialCase.SUDO_REFUSED),
    **dict.fromkeys(("doas", "community.general.doas"), SpecialCase.DOAS_REFUSED),
    **dict.fromkeys(("run0", "community.general.run0"), SpecialCase.RUN0_REFUSED),
}
"""By the become plugin: what to write into its configuration on the remote."""

_BECOME_TEXTS = (
    # Messages of sh, bash or fish that cannot find a program.
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
"""Special cases of a refused change of user, by the text."""

_BREAKS = frozenset({Cause.CONNECTION_LOST, Cause.CONNECTION_TIMEOUT, Cause.TUNNEL_STALE})


def diagnose(subject: Remote | Proxy, answer: HostAnswer) -> Trouble:
    """Say why a remote or proxy was not reached."""
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
            key = key_trouble(text)
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
    """Make the trouble of a fault of the checker itself, with a hint if the text names a known fault."""
    found = local_fault(text)
    if found is None:
        special = SpecialCase.PLUGIN_UNUSABLE if _is_by_plugin(subject) else None
        return explain(Cause.CHECKER_ERROR, subject, special, detail=evidence(text))
    fault, line = found
    return explain(Cause.CHECKER_ERROR, subject, _FAULTS[fault], detail=one_line(line))


def _cause_of_failure(subject: Remote | Proxy, answer: HostAnswer) -> Cause:
    """Say why ssh itself failed, or printed nothing before its timeout."""
    tunnelled = _is_tunnelled(subject)
    cause = cause_of_text(answer.stderr, tunnelled=tunnelled)
    if answer.logged_in:
        # The remote's own programs may print anything on standard error, "connection refused" as well.
        lost = cause in _BREAKS or answer.frame
        cause = Cause.CONNECTION_LOST if lost else Cause.PROBE_FAILED
    if cause in (Cause.SSHD_DOWN, Cause.CONNECTION_LOST, None) and tells_throttling(answer.banner):
        return Cause.CONNECTION_THROTTLED
    refused = cause is not None and (cause.declaration.about_trust or cause is Cause.PROBE_FAILED)
    if answer.proxy_lost and not refused:
        return Cause.NOT_CHECKED
    if cause is not None:
        return cause
    if answer.outcome is not Outcome.TIMED_OUT:
        return Cause.CONNECTION_LOST
    # ConnectTimeout covers the banner; a later silence means that the other end is gone.
    return Cause.TUNNEL_STALE if tunnelled else Cause.CONNECTION_TIMEOUT


def _special_case(
    subject: Remote | Proxy, cause: Cause, text: str, owners: Sequence[str], key: str
) -> SpecialCase | None:
    """Find the special case of this cause, if any."""
    if cause is Cause.HOST_KEY_CHANGED and owners:
        return SpecialCase.ANOTHER_REMOTE_ANSWERS if _is_tunnelled(subject) else SpecialCase.ANOTHER_HOST_ANSWERS
    if cause is Cause.NOT_CHECKED and subject.path:
        return SpecialCase.PROXY_CONNECTION_LOST
    if cause is Cause.AUTHENTICATION_FAILED and key:
        return SpecialCase.KEY_NOT_USED
    if cause is Cause.CONNECTION_TIMEOUT and subject.path:
        return None  # behind a proxy, it is not known what accepted the connection
    known = recognise(text)
    return known.special if known and known.cause is cause else None


def _is_tunnelled(subject: Remote | Proxy) -> bool:
    return bool(subject.path) and isinstance(subject, Remote)


def _is_by_plugin(subject: Remote | Proxy) -> bool:
    return isinstance(subject, Remote) and subject.connection not in ("ssh", "local")


_WORKER_FAULTS: Mapping[FaultKind, tuple[Cause, SpecialCase | None]] = {
    FaultKind.LOST: (Cause.CONNECTION_LOST, None),
    FaultKind.SILENT: (Cause.PROBE_TIMEOUT, SpecialCase.WORKER_SILENT),
    FaultKind.TOO_SLOW: (Cause.PROBE_TIMEOUT, SpecialCase.WORKER_TOO_SLOW),
    FaultKind.GARBAGE: (Cause.PROBE_FAILED, SpecialCase.WORKER_SENDS_GARBAGE),
    FaultKind.LIES: (Cause.PROBE_FAILED, SpecialCase.WORKER_LIES),
    FaultKind.FAILED: (Cause.PROBE_FAILED, SpecialCase.WORKER_FAILED),
}


def diagnose_worker(worker: Proxy, fault: FaultKind, seen: str, stderr: str, *, by_ssh: bool) -> Trouble:
    """Say why a worker returned no answers: from ssh's text, else from the fault that was seen."""
    if by_ssh and (full := next((line for line in stderr.splitlines() if NO_ROOM in line), None)):
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
