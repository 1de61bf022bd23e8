"""
Separates ssh's own messages from text of the server.

It returns ssh's own messages from its log (`-E`) and standard error; only these explain a failure reliably. A server's
banner and program output are on standard error, never in the log. After text that ssh quotes from a server in its log,
the rest is untrusted.
"""

import os
import re
from pathlib import Path

from remotestatus_playbook.checker_faults import without_warnings

KEPT = 6000
"""Characters kept of ssh's own words, and of what a server printed."""

READ = 256 * 1024
"""Bytes that are read of a log, which a server may flood."""

_DEBUG = re.compile(r"debug\d: |OpenSSH_\d")

_QUOTES = re.compile(
    r"(Received disconnect from \S+ port \d+:\d+:) |(Bad remote protocol version identification): "
    r"|(.*Their offer:(?: [a-z0-9@.,+-]{1,400}$)?)"
)
"""Lines that end in text of the server, which may have line breaks, so following lines are untrusted."""

_ASKS = re.compile(r"debug1: (Next authentication method: (password|keyboard-interactive)|Remote: )")
"""After this line, up to OpenSSH 10.0, a server's prompts and messages are lines of the log."""

_METHODS = re.compile(r"(.*: Permission denied) \((?![\w,@.-]{1,200}\)\.$)")
"""The server names the methods; other text in their place is dropped."""

_TOO_MANY = "Too many authentication failures"

_OF_A_CONNECTION = re.compile(
    r"Authenticated to |\S+: Permission denied|Connection (closed|reset|to) |client_loop: |Timeout, server |"
    r"Disconnected from |ssh_dispatch_run_fatal: |mux_client_|packet_write_wait: "
)
"""ssh's messages that are accepted even where a server can write; a forged one affects only that server."""

_BEFORE_ANY_BANNER = re.compile(
    r"(kex|ssh)_exchange_identification: |banner exchange: |.*during banner exchange|ssh: ", re.IGNORECASE
)
"""ssh's messages from before a server can make it print anything."""


_ENDED = re.compile(r"Connection to \S+ closed by remote host\.|Read from remote host \S+( port \d+)?: [\w ]{1,60}")
"""ssh's messages on standard error about a connection lost after log-in. A forged one affects only its remote."""


def own_words(log: Path, stderr: Path) -> str:
    """ssh's own messages: from its log, and from standard error until other text can be there."""
    words = read_own(read_text(log))
    if not log.exists() or any(_BEFORE_ANY_BANNER.match(line) for line in words.splitlines()):
        # Before its log is open, its errors are on standard error, like those of the jump's ssh.
        words = f"{read_text(stderr, KEPT)}\n{words}"
    elif _ENDED.fullmatch(last := read_text(stderr).strip().rpartition("\n")[2].strip()):
        words = f"{words}\n{last}"
    return without_warnings(words).strip()[:KEPT]


def printed_words(log: Path, stderr: Path) -> str:
    """The rest of standard error: banners, and output of programs at the other end."""
    return without_warnings(read_text(stderr, KEPT)) if log.exists() else ""


def tells_log_in(words: str) -> bool:
    """Whether ssh's own words say that it has logged in."""
    return "\nAuthenticated to " in f"\n{words}"


def read_own(text: str) -> str:
    """ssh's own part of its log's text."""
    found: list[str] = []
    asked = False
    for line in text.replace("\r\n", "\n").split("\n"):
        asked = asked or bool(_ASKS.match(line))
        if _DEBUG.match(line) or (asked and not _OF_A_CONNECTION.match(line)):
            continue
        if quoted := _QUOTES.match(line):
            cut = next(part for part in quoted.groups() if part)
            found.append(f"{cut} {_TOO_MANY}" if line.endswith(f": {_TOO_MANY}") else cut)
            break
        if odd := _METHODS.match(line):
            found.append(odd[1])
            break
        found.append(line)
    return "\n".join(found)


def read_text(path: Path, most: int = READ, *, last: bool = False) -> str:
    """The first `most` bytes of a file, or the `last`, as text; nothing where there is no file."""
    try:
        with path.open("rb") as file:
            if last:
                file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
