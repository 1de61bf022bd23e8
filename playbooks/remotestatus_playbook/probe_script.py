"""
Composes what the probe is sent: the script, and before it what it has to know.

Takes the nonce and what one remote is asked; returns the bytes for standard input of `exec /bin/sh -s`.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from remotestatus_playbook.machine_facts import LINES, SYSCTLS
from remotestatus_playbook.protocol import CHECK_SECONDS, LOG_FILE

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
    What one remote is asked beyond its facts and processes.

    `files` are pairs of a name and a shell pattern, of which the newest file is looked at; `units` are systemd units.
    With `hourly` it is also asked what costs too much to be asked in every round, and with `listeners` which TCP ports
    something listens on. With `journal` the last log lines of the units are asked for, with `log_files` to which files
    processes write, and `last_lines` are such files of which the last lines are asked for.
    """

    checks: Sequence[Check] = ()
    files: Sequence[tuple[str, str]] = ()
    units: Sequence[str] = ()
    hourly: bool = False
    listeners: bool = False
    journal: bool = False
    log_files: bool = False
    last_lines: Sequence[str] = ()


_NO_CHECKS = b"\nchecks() {\n:\n"

UNIT_NAME = re.compile(r"[A-Za-z0-9:_.@\\-]{1,255}", re.ASCII)
"""A unit's name (systemd.unit(5)): nothing that a shell could read as more than a word."""


def compose(
    nonce: str, *, root_pid: int | None, checks: Sequence[Check] = (), questions: Questions | None = None
) -> bytes:
    """
    Return the script for standard input.

    `nonce` is 8 to 64 letters and digits, new for each attempt; `root_pid` is the pid whose whole subtree is the
    checker's own, for local connections only. Raises ValueError for another nonce, for a check whose command
    holds a NUL or whose timeout is not at least one second, and for a unit or file that no shell can be given.
    """
    if not re.fullmatch(r"[0-9A-Za-z]{8,64}", nonce):
        raise ValueError("the nonce must be 8 to 64 letters and digits")
    asked = questions or Questions(checks=checks)
    lines = [f"NONCE={nonce}", f"ROOT={root_pid or ''}", "PROC=/proc", "TOP=", *_read_facts()]
    lines += [f"HOURLY={'yes' if asked.hourly else ''}", f"UNITS={shlex.quote(' '.join(_right_units(asked.units)))}"]
    lines += [f"JOURNAL={'yes' if asked.journal else ''}"]
    lines += [f"LISTENERS={'yes' if asked.listeners else ''}"]
    lines += [f"LOG_FILES={'yes' if asked.log_files else ''}", f"LAST_LINES={'yes' if asked.last_lines else ''}"]
    lines += [f"FILES={'yes' if asked.files else ''}", "files() {", ":", *_look_at(asked.files), "}"]
    lines += ["logs() {", ":", *_print_logs(asked.last_lines), "}"]
    lines += ["checks() {", ":", "}\n"]
    script = "\n".join(lines).encode("utf-8", "surrogateescape") + _sent_script()
    return add_checks(script, asked.checks)


@cache
def _sent_script() -> bytes:
    """The script without its comments: every remote is sent it in every round."""
    return re.sub(rb"^ *#.*\n", b"", SCRIPT.read_bytes(), flags=re.MULTILINE)


def add_checks(script: bytes, checks: Sequence[Check]) -> bytes:
    """Add checks to a script that was composed without any. Raises ValueError, as `compose` does."""
    lines = "".join(f"{line}\n" for line in _run_checks(checks)).encode("utf-8", "surrogateescape")
    return script.replace(_NO_CHECKS, _NO_CHECKS + lines, 1)


def _read_facts() -> Iterator[str]:
    """What reads the facts that need no more than a line: of files on Linux, and of sysctl elsewhere."""
    files = (f'"$PROC"{path.removeprefix("/proc")}' if path.startswith("/proc/") else f'"$TOP"{path}' for path in LINES)
    beginnings = shlex.quote(f"^({'|'.join(dict.fromkeys(LINES.values()))})")
    yield from ("grep_facts() {", f"grep -E {beginnings} {' '.join(files)}", "}")
    yield from ("sysctl_facts() {", f"sysctl {' '.join(SYSCTLS)}", "}")


def _right_units(units: Sequence[str]) -> Iterator[str]:
    for unit in units:
        if not UNIT_NAME.fullmatch(unit):
            raise ValueError(f"{unit!r} is no name of a systemd unit")
        yield unit


def _look_at(files: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, path in files:
        if "\0" in path:
            raise ValueError(f"file {name}: a path cannot hold a NUL")
        yield f"look_at '{_hex(name)}' {shlex.quote(path)}"


def _print_logs(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if not LOG_FILE.fullmatch(path):
            raise ValueError(f"{path!r} is no path of a log file")
        yield f"print_log '{_hex(path)}' {shlex.quote(path)}"


def _run_checks(checks: Sequence[Check]) -> Iterator[str]:
    for check in checks:
        if "\0" in check.command:
            raise ValueError(f"check {check.name}: a command cannot hold a NUL")
        if check.timeout < 1:
            raise ValueError(f"check {check.name}: its timeout must be at least 1 second")
        yield f"check '{_hex(check.name)}' {int(check.timeout)} {shlex.quote(check.command)}"


def _hex(name: str) -> str:
    return name.encode("utf-8", "replace").hex()
