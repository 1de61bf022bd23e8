"""
Composes the probe's input: its parameters, then the script.

The result goes to standard input of `exec /bin/sh -s`.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from remotestatus_playbook.machine_facts import LINES, SYSCTLS
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


@dataclass(frozen=True, slots=True)
class Questions:
    """
    The questions to one remote beyond its facts and processes.

    `files` are pairs of a name and a shell pattern, whose newest file counts; `units` are systemd units. `hourly` asks
    for facts that are too expensive for every round, `listeners` for listening TCP ports, `journal` for the last log
    lines of the units, `log_files` for the log files of processes. `last_lines` are log files whose last lines are
    read.
    """

    checks: Sequence[Check] = ()
    files: Sequence[tuple[str, str]] = ()
    units: Sequence[str] = ()
    hourly: bool = False
    listeners: bool = False
    journal: bool = False
    log_files: bool = False
    last_lines: Sequence[str] = ()


UNIT_NAME = re.compile(r"[A-Za-z0-9:_.@\\-]{1,255}", re.ASCII)
"""A unit's name (systemd.unit(5)), in characters that are safe in a shell."""


def compose(nonce: str, asked: Questions, root_pid: int | None = None) -> bytes:
    """
    Return the script for standard input.

    `nonce` is letters and digits, new for each attempt; `root_pid` is the pid whose whole subtree is the checker's own,
    for local connections only.
    """
    lines = [f"NONCE={nonce}", f"ROOT={root_pid or ''}", "PROC=/proc", "TOP=", *_read_facts()]
    lines += [f"UNITS={shlex.quote(' '.join(asked.units))}"]
    for name in ("hourly", "journal", "listeners", "log_files", "last_lines", "files"):
        lines.append(f"{name.upper()}={'yes' if getattr(asked, name) else ''}")
    lines += ["files() {", ":", *(f"look_at '{_hex(name)}' {shlex.quote(path)}" for name, path in asked.files), "}"]
    lines += ["logs() {", ":", *(f"print_log '{_hex(path)}' {shlex.quote(path)}" for path in asked.last_lines), "}"]
    checks = (f"check '{_hex(one.name)}' {one.timeout} {shlex.quote(one.command)}" for one in asked.checks)
    lines += ["checks() {", ":", *checks, "}\n"]
    return "\n".join(lines).encode("utf-8", "surrogateescape") + _sent_script()


@cache
def _sent_script() -> bytes:
    """The script without comments, because each remote gets it in each round."""
    return re.sub(rb"^ *#.*\n", b"", SCRIPT.read_bytes(), flags=re.MULTILINE)


def _read_facts() -> Iterator[str]:
    """The commands for facts of one line: from files on Linux, from sysctl elsewhere."""
    files = (f'"$PROC"{path.removeprefix("/proc")}' if path.startswith("/proc/") else f'"$TOP"{path}' for path in LINES)
    beginnings = shlex.quote(f"^({'|'.join(dict.fromkeys(LINES.values()))})")
    yield from ("grep_facts() {", f"grep -E {beginnings} {' '.join(files)}", "}")
    yield from ("sysctl_facts() {", f"sysctl {' '.join(SYSCTLS)}", "}")


def _hex(name: str) -> str:
    return name.encode("utf-8", "replace").hex()
