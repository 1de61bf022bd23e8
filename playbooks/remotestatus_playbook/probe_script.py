"""
Composes what the probe is sent: the script, and before it what it has to know.

Takes the nonce and the custom checks of one remote; returns the bytes for standard input of `exec /bin/sh -s`.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remotestatus_playbook.protocol import CHECK_SECONDS

SCRIPT = Path(__file__).resolve().parent.parent / "files" / "probe.sh"


@dataclass(frozen=True, slots=True)
class Check:
    """
    A command with the conventions of Nagios plugins: exit codes 0 to 3 and one line of text, perhaps with `|` and
    performance data. The remote's /bin/sh runs it and ends it, with all its children, after `timeout` seconds.
    """

    name: str
    command: str
    timeout: int = CHECK_SECONDS


def compose(nonce: str, *, root_pid: int | None, checks: Sequence[Check]) -> bytes:
    """
    Return the script for standard input.

    `nonce` is 8 to 64 letters and digits, new for each attempt; `root_pid` is the pid whose whole subtree is the
    checker's own, for local connections only. Raises ValueError for another nonce, and for a check whose command
    holds a NUL or whose timeout is not at least one second.
    """
    if not re.fullmatch(r"[0-9A-Za-z]{8,64}", nonce):
        raise ValueError("the nonce must be 8 to 64 letters and digits")
    lines = [f"NONCE={nonce}", f"ROOT={root_pid or ''}", "PROC=/proc", "checks() {", ":"]
    for check in checks:
        if "\0" in check.command:
            raise ValueError(f"check {check.name}: a command cannot hold a NUL")
        if check.timeout < 1:
            raise ValueError(f"check {check.name}: its timeout must be at least 1 second")
        name = check.name.encode("utf-8", "replace").hex()
        lines.append(f"check '{name}' {int(check.timeout)} {shlex.quote(check.command)}")
    lines.append("}\n")
    return "\n".join(lines).encode("utf-8", "surrogateescape") + SCRIPT.read_bytes()
