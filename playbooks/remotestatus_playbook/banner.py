"""
Reads what an SSH server says first: its banner, or why it turns us away for now.

Takes the control socket of the connection to the proxy, or none for a direct way; returns the server's first line. A
server that limits connections (MaxStartups, PerSourcePenalties; sshd_config(5)) closes them at once, as one does that
is not there; only what it writes before tells the two apart, and ssh shows that to nobody.
"""

import socket
import time
from contextlib import suppress
from pathlib import Path

from remotestatus_playbook.control_socket import ConnectError, connect_through

SECONDS = 4.0
_LONGEST = 255  # RFC 4253, 4.2


def read_banner(control: Path | None, address: str, port: int, seconds: float = SECONDS) -> str:
    """The first line of the server at this address, as the proxy sees it; empty when there is none within its time."""
    end = time.monotonic() + seconds
    with suppress(ConnectError, OSError, ValueError), connect_through(control, address, port, seconds) as way:
        return _first_line(way, end)
    return ""


def _first_line(way: socket.socket, end: float) -> str:
    """What comes until a line has ended, or until `end` (monotonic): a byte at a time may take no longer."""
    found = b""
    while b"\n" not in found and len(found) < _LONGEST:
        way.settimeout(max(0.01, end - time.monotonic()))
        part = way.recv(_LONGEST)
        if not part:
            break
        found += part
    text = found.partition(b"\n")[0][:_LONGEST].decode("ascii", "replace")
    return "".join(char if char.isprintable() else " " for char in text).strip()


def is_lost(words: str) -> bool:
    """Whether ssh's own words say that the connection was closed before any banner."""
    lowered = words.lower()
    return "exchange_identification" in lowered and "timed out" not in lowered and "open failed" not in lowered
