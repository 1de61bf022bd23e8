"""
Reads replies: from an ntfy topic or a mailbox, polled once in a round. Nothing listens.

Each read continues at the last position. The rule: input is hostile. So everything has a limit, a broken reply never
stops the reading of later ones, and no error contains an address or password.
"""

import email.policy
import imaplib
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.parser import BytesParser
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from remotestatus.model.inventory_variables import AnswerSource
from remotestatus.model.replies import ReadSource
from remotestatus.notify.failures import explain_failure
from remotestatus.notify.sendings import Attempt, run_together

TIMEOUT = 10.0
"""Seconds that one request may take; all sources together have twice as much."""

READING = 10.0
"""Seconds after which no further mail is begun in a round; the next round goes on."""

MOST = 100
"""Texts read from one source in one round; the rest is read in the next."""

LARGEST = 2_000_000
"""Bytes read of one ntfy poll at most."""

LARGEST_MAIL = 20_000
"""Bytes read of one mail at most."""

_IMAP_PORT = {"imap": 143, "imaps": 993}


class _Unprotected(ValueError):
    """A mail server that would get the password in clear text."""


def read_sources(sources: Sequence[tuple[AnswerSource, str]]) -> list[ReadSource]:
    """Read all sources at the same time; each result has the new position."""
    by_key = {source.key: (source, position) for source, position in sources}

    def read(key: str) -> Iterator[ReadSource]:
        source, position = by_key[key]
        try:
            texts, now_at = _read_ntfy(source, position) if source.ntfy else _read_imap(source, position)
        except (OSError, ValueError, imaplib.IMAP4.error, urllib.error.URLError) as error:
            yield ReadSource(key, failure=_explain(error))
        else:
            yield ReadSource(key, tuple(texts), now_at)

    outcomes = dict(run_together(by_key, read, 2 * TIMEOUT))
    return [
        ReadSource(key, failure=found.error) if isinstance(found, Attempt) else found for key, found in outcomes.items()
    ]


def _explain(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"its server answers {error.code}"
    if isinstance(error, _Unprotected):
        return "its mail server offers no STARTTLS, so it was not logged in to; write imaps:// if it speaks that"
    if isinstance(error, imaplib.IMAP4.error):
        return "its mail server refuses the log-in or the mailbox"
    why, _ = explain_failure([f"DEBUG {error}"], ())
    return why


def _read_ntfy(source: AnswerSource, position: str) -> tuple[list[str], str]:
    parts = urlsplit(str(source.ntfy))
    place = parts.netloc.rpartition("@")[2]
    # A topic keeps its messages for some hours; codes are younger than that, or refused.
    query = f"poll=1&since={position or 'all'}"
    url = urlunsplit((parts.scheme, place, parts.path.rstrip("/") + "/json", query, ""))
    request = urllib.request.Request(url)  # noqa: S310 - http(s) only, the settings say so
    request.add_header("User-Agent", "remotestatus")
    if source.token:
        request.add_header("Authorization", f"Bearer {source.token}")
    elif parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {b64encode(pair.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
        lines = answer.read(LARGEST).splitlines()
    texts: list[str] = []
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(event, dict) or event.get("event") != "message" or len(texts) >= MOST:
            continue
        texts.append(str(event.get("message", "")))
        number = str(event.get("id", ""))
        position = number if re.fullmatch(r"[A-Za-z0-9]{1,40}", number) else position
    return texts, position


def _read_imap(source: AnswerSource, position: str) -> tuple[list[str], str]:
    """Read new mails by their numbers, and change nothing in the mailbox."""
    end = time.monotonic() + READING
    parts = urlsplit(str(source.imap))
    with _connect(parts) as mailbox:
        mailbox.login(unquote(parts.username or ""), unquote(parts.password or ""))
        folder = unquote(parts.path.strip("/")) or "INBOX"
        status, _ = mailbox.select(f'"{folder}"', readonly=True)
        if status != "OK":
            raise imaplib.IMAP4.error("no such mailbox")
        validity = _text_of(mailbox.response("UIDVALIDITY")[1])
        known, _, last = position.partition(" ")
        is_known = known == validity and last.isdecimal()
        begin = int(last) + 1 if is_known else 1
        _, found = mailbox.uid("SEARCH", f"UID {begin}:*")
        numbers = sorted(number for number in map(int, _text_of(found).split()) if number >= begin)
        texts, last = [], str(begin - 1)
        # On the first read, or after the UIDVALIDITY changed, the mailbox may hold years of mail.
        for number in numbers[:MOST] if is_known else numbers[-MOST:]:
            _, data = mailbox.uid("FETCH", str(number), f"(BODY.PEEK[]<0.{LARGEST_MAIL}>)")
            texts += [_text_of_mail(part[1][:LARGEST_MAIL]) for part in data if isinstance(part, tuple)]
            last = str(number)
            if time.monotonic() > end:
                break
    return texts, f"{validity} {last}"


def _connect(parts: SplitResult) -> imaplib.IMAP4:
    """
    Connect to a mail server and verify its certificate.

    `imap://` uses STARTTLS (RFC 3501), which is optional only on loopback.
    """
    port, host = parts.port or _IMAP_PORT[parts.scheme], parts.hostname or ""
    context = ssl.create_default_context()
    if parts.scheme == "imaps":
        return imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=TIMEOUT)
    mailbox = imaplib.IMAP4(host, port, timeout=TIMEOUT)
    try:
        if "STARTTLS" in mailbox.capabilities:
            mailbox.starttls(context)
        elif not _is_loopback(host):
            raise _Unprotected
    except BaseException:
        with suppress(OSError):
            mailbox.shutdown()
        raise
    return mailbox


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _text_of(data: Sequence[object]) -> str:
    first = next(iter(data), None)
    return first.decode("ascii", "replace") if isinstance(first, bytes) else str(first or "")


def _text_of_mail(raw: bytes) -> str:
    """
    The plain text of a mail, and below it the subject, in which the code may stand.

    A mail that cannot be parsed counts as read, without text.
    """
    try:
        message = BytesParser(_class=EmailMessage, policy=email.policy.default).parsebytes(raw)
        body = message.get_body(("plain", "html"))
        text = str(body.get_content())[:LARGEST_MAIL] if body else ""
        if body and body.get_content_type() == "text/html":
            text = re.sub(r"<[^>]{0,2000}>", "\n", text)
        return f"{text}\n{message.get('Subject', '')}"
    except Exception:
        return ""
