"""
Declares the error texts of SSH clients, and the cause that each means.

The texts are those of OpenSSH 8.4 to 10 and of Ansible. The first row of the table that matches counts, because one
failure often brings the texts of others.
"""

import re
from dataclasses import dataclass

from remotestatus_playbook.checker_faults import without_warnings
from remotestatus_playbook.protocol import PROXY_LOST

from remotestatus.model.causes import Cause, SpecialCase
from remotestatus.model.untrusted_text import one_line


@dataclass(frozen=True, slots=True)
class KnownText:
    """A text of an SSH client, and what it means on a connection that passes no proxy."""

    cause: Cause
    pattern: re.Pattern[str]
    special: SpecialCase | None = None


_TEXTS = tuple(
    KnownText(cause, re.compile(pattern, re.IGNORECASE), *special)
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
"""Without a tunnel, a connection closed before the banner may be a firewall's doing."""


def cause_of_text(text: str, *, tunnelled: bool) -> Cause | None:
    """
    Find the cause that an SSH client's error text means, or None when the text says nothing known.

    `tunnelled` says whether the connection led through a proxy to the port of a tunnel. A proxy has no tunnel.
    """
    known = recognise(text)
    if known is None:
        return None
    return (_THROUGH_A_TUNNEL if tunnelled else _WITHOUT_A_TUNNEL).get(known.cause, known.cause)


def recognise(text: str) -> KnownText | None:
    """Find the first row of the table whose text is there."""
    return next((known for known in _TEXTS if known.pattern.search(text)), None)


def evidence(text: str) -> str:
    """Return the most specific line of an SSH client's error text, cleaned and cut."""
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


def key_trouble(text: str) -> str:
    """Say why our own ssh could not use the private key. No path is quoted, because a banner may fake one."""
    found = _KEY_TROUBLE.search(text)
    return one_line(found[1], 80).rstrip(".") if found else ""


_THROTTLED = re.compile(r"not allowed at this time|exceeded maxstartups", re.IGNORECASE)
"""What sshd writes instead of its banner (OpenSSH 9.8 and later, and before)."""


def tells_throttling(banner: str) -> bool:
    """Whether the text that a server wrote instead of its banner says that it limits connections."""
    return bool(_THROTTLED.search(banner))
