"""
Fills a cause's sentence and hint with what is known of a remote or proxy, and makes a Trouble of them.

The words themselves are declared in `model/causes.py`.
"""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime

from remotestatus.model.causes import Cause, SpecialCase
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.errors import say_error
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.status_words import Severity
from remotestatus.model.untrusted_text import one_line


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
    Make the Trouble of a remote or proxy for this cause, from its declaration.

    `what` is the process, limit, check, file or unit that it is about, and `names` says it in a few words. `proxy` is
    the proxy that did not answer, `owners` are the hosts whose key was offered, `key` says why a private key was not
    used, `problem` what is wrong with its variables, and `place` from where it was tried.
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
    """Collect the values of a declaration's placeholders; `proxy` is the one that did not answer."""
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
    """Fill these words into a hint; in its commands (in backticks) they are quoted for a shell."""
    quoted = {key: shlex.quote(word) if isinstance(word, str) and word else word for key, word in words.items()}
    parts = hint.split("`")
    return "`".join(part.format_map(quoted if at % 2 else words) for at, part in enumerate(parts))


def failed_result(subject: Remote | Proxy, error: Exception, at: datetime) -> CheckResult:
    """Make the check result of a remote or proxy whose answer could not be evaluated."""
    return CheckResult(name=subject.name, at=at, troubles=(failed_trouble(subject, error),))


def failed_trouble(subject: Remote | Proxy, error: Exception) -> Trouble:
    """Make the trouble of a remote or proxy on which a stage of the round failed."""
    return explain(Cause.CHECKER_ERROR, subject, detail=f"{say_error(error)}; please report this")


def _say_shell(subject: Remote | Proxy) -> str:
    """Say how to get a shell there."""
    if not isinstance(subject, Remote) or subject.connection == "ssh":
        return f"`remotestatus ssh {shlex.quote(subject.name)}`"
    return "a shell on this machine" if subject.connection == "local" else f"a shell on {subject.name}"
