"""
Tells what ssh itself says from what a server makes it print.

Takes the log that ssh wrote (`-E`) and what came on its standard error; returns ssh's own words, which alone say why a
connection failed. The rule: a server's banner, and what its programs print, come on standard error, never in the log.
And where ssh quotes a server in its log, or prints for it, what follows is the server's.
"""

import os
import re
from pathlib import Path

from remotestatus_playbook.checker_faults import without_warnings

KEPT = 6000
"""Characters kept of ssh's own words, and of what a server printed."""

READ = 256 * 1024
"""Bytes that are read of a log, which may be a flood of a server's doing."""

_DEBUG = re.compile(r"debug\d: |OpenSSH_\d")

_QUOTES = re.compile(
    r"(Received disconnect from \S+ port \d+:\d+:) |(Bad remote protocol version identification): "
    r"|(.*Their offer:(?: [a-z0-9@.,+-]{1,400}$)?)"
)
"""Lines that end in a server's words, which may hold line breaks: what follows may be the server's as well."""

_ASKS = re.compile(r"debug1: (Next authentication method: (password|keyboard-interactive)|Remote: )")
"""From here on, up to OpenSSH 10.0, a server's questions and remarks stand in the log as lines of their own."""

_METHODS = re.compile(r"(.*: Permission denied) \((?![\w,@.-]{1,200}\)\.$)")
"""The server names the methods; anything else in their place is not taken over."""

_TOO_MANY = "Too many authentication failures"

_OF_A_CONNECTION = re.compile(
    r"Authenticated to |\S+: Permission denied|Connection (closed|reset|to) |client_loop: |Timeout, server |"
    r"Disconnected from |ssh_dispatch_run_fatal: |mux_client_|packet_write_wait: "
)
"""What ssh may say once a server can write into its log; whoever forges one of these only says it of itself."""

_BEFORE_ANY_BANNER = re.compile(
    r"(kex|ssh)_exchange_identification: |banner exchange: |.*during banner exchange|ssh: ", re.IGNORECASE
)
"""What ssh says when it ended before a server could have it print anything."""


_ENDED = re.compile(r"Connection to \S+ closed by remote host\.|Read from remote host \S+( port \d+)?: [\w ]{1,60}")
"""How ssh says on standard error, after a log-in, that the connection broke. A remote can say so only of itself."""


def own_words(log: Path, stderr: Path) -> str:
    """What ssh itself said: of its log, and of standard error as long as nothing else can stand there."""
    words = read_own(read_text(log))
    if not log.exists() or any(_BEFORE_ANY_BANNER.match(line) for line in words.splitlines()):
        # Before its log is open it complains on standard error, where also those complain that carry the connection.
        words = f"{read_text(stderr, KEPT)}\n{words}"
    elif _ENDED.fullmatch(last := read_text(stderr).strip().rpartition("\n")[2].strip()):
        words = f"{words}\n{last}"
    return without_warnings(words).strip()[:KEPT]


def printed_words(log: Path, stderr: Path) -> str:
    """What came on standard error and is not ssh's own: banners, and what programs at the other end print."""
    return without_warnings(read_text(stderr, KEPT)) if log.exists() else ""


def tells_log_in(words: str) -> bool:
    """Whether ssh's own words say that it has logged in."""
    return "\nAuthenticated to " in f"\n{words}"


def read_own(text: str) -> str:
    """What is ssh's own of the text of its log."""
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
    """The first so many bytes of a file, or the `last`, as text; nothing where there is no file."""
    try:
        with path.open("rb") as file:
            if last:
                file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
