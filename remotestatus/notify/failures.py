"""
Says why a service rejected a message, and whether a retry may help, from Apprise's log.

The rule: what Apprise logs quotes URLs. Of its debugging lines only codes and known phrases are used, of a warning its
text without every piece of the URL.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from http import HTTPStatus

from remotestatus.model.untrusted_text import one_line


class Failure(StrEnum):
    """The kinds of failure, as far as retries are concerned."""

    PASSING = "passing"
    """A retry may succeed."""
    DESTINATION = "destination"
    """It accepts nothing: a wrong password, recipient or address."""
    MESSAGE = "message"
    """It may reject this message, or all."""


_HTTP = re.compile(r"error=(\d{3})\b")
_SMTP = re.compile(r"\((\d{3}), b?['\"]")
_SMTP_PERSON = re.compile(r"'[^'\s]*': \(\d{3}, b?['\"]|\(\d{3}, b?['\"].*['\"], '[^'\s]*'\)")
"""How Python writes a refused recipient (smtplib.SMTPRecipientsRefused) or sender (SMTPSenderRefused)."""

_KNOWN = (
    (re.compile(r"certificate.verify.failed|CERTIFICATE_VERIFY_FAILED|hostname.*doesn't match", re.IGNORECASE),
     "its certificate is not accepted"),
    (re.compile(r"name or service not known|name resolution|getaddrinfo|nodename nor servname", re.IGNORECASE),
     "its host name cannot be resolved"),
    (re.compile(r"connection refused|Errno 111", re.IGNORECASE), "the connection is refused"),
    (re.compile(r"no route to host|network is unreachable", re.IGNORECASE), "there is no route to it"),
    (re.compile(r"timed? ?out", re.IGNORECASE), "it does not answer in time"),
    (re.compile(r"unexpectedly closed|reset by peer|connection aborted|remote end closed", re.IGNORECASE),
     "it closes the connection"),
)  # fmt: skip

_PASSING_HTTP = frozenset({408, 409, 421, 423, 425, 429})
_DESTINATION_HTTP = frozenset({401, 403, 404, 405, 407, 410})
_DESTINATION_SMTP = frozenset({502, 503, 504, 530, 534, 535, 538})
_SMTP_WORDS = {
    421: "not available now", 450: "mailbox busy", 451: "error while processing", 452: "no room", 454: "TLS or log-in "
    "not available now", 500: "command unknown", 501: "malformed address", 530: "log-in or TLS required",
    534: "log-in too weak", 535: "log-in refused", 550: "recipient or sender refused", 551: "recipient not here",
    552: "too much mail", 553: "recipient's address refused", 554: "refused",
}  # fmt: skip


def explain_failure(logged: Sequence[str], secrets: Sequence[str]) -> tuple[str, Failure]:
    """Why a service did not take a message, and whether trying again may help. `logged` are the lines of its log."""
    text = "\n".join(logged)
    if found := _HTTP.search(text):
        code = int(found[1])
        words = HTTPStatus(code).phrase if code in set(HTTPStatus) else "unknown"
        lasting = Failure.DESTINATION if code in _DESTINATION_HTTP else Failure.MESSAGE
        passing = not 400 <= code < 500 or code in _PASSING_HTTP
        return f"its server answers {code} ({words})", Failure.PASSING if passing else lasting
    if found := _SMTP.search(text):
        code = int(found[1])
        theirs = code in _DESTINATION_SMTP or _SMTP_PERSON.search(text)
        lasting = Failure.DESTINATION if theirs else Failure.MESSAGE
        words = _SMTP_WORDS.get(code, "refused")
        return f"its mail server answers {code} ({words})", lasting if code >= 500 else Failure.PASSING
    for pattern, words in _KNOWN:
        if pattern.search(text):
            return words, Failure.PASSING
    warnings = [line.partition(" ")[2] for line in logged if line.startswith(("WARNING", "ERROR", "CRITICAL"))]
    if warnings:
        return f"Apprise says: {one_line(_without(warnings[-1], secrets), 160)}", Failure.PASSING
    return "its service did not take the message", Failure.PASSING


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "…")
    return text
