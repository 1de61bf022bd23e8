"""
Composes what the probe is sent, and parses what comes back.

`compose` takes the nonce and the custom checks of one remote and returns the bytes for standard input of
`exec /bin/sh -s`; `parse` takes whatever bytes came out and returns plain values that JSON can hold. The one rule:
`parse` never raises and never guesses. What could not be read is None, with a note that says so; never an empty list.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any, NamedTuple

SCRIPT = Path(__file__).resolve().parent.parent / "files" / "probe.sh"

MAX_PROCESSES = 20_000
MAX_ARGV_BYTES = 32_768
"""A process's command line is cut here, by the probe and again by the parser."""
MAX_ALL_ARGV_BYTES = 16 * 1024 * 1024
MAX_TEXT_BYTES = 4 * 1024 * 1024
"""What is read of any other section."""
MAX_CHECKS = 200
MAX_CHECK_BYTES = 4096
MAX_DISKS = 500
MAX_FIELD = 1024
"""Characters of a user's name, a mount point or a filesystem."""

NOTE_NO_PROCESSES = "processes are unknown: there is neither a readable /proc nor a ps that could be used"
NOTE_CUT_SHORT = "the list of processes was cut short: what is not in it may still be running"
NOTE_TOO_MANY = f"there are too many processes to read them all: the list ends after {MAX_PROCESSES} or 16 MiB"
NOTE_HIDDEN = (
    "other users' processes are hidden from this account (/proc is mounted with hidepid): what is not in the list may "
    "still be running"
)
NOTE_DISKS_HUNG = "disks are unknown: df did not answer in time"
NOTE_DISKS_FAILED = "disks are unknown: df gave nothing that could be read"

LATEST_CLOCK = 253402300799.0
"""The end of the year 9999, in seconds since the epoch: what a clock says beyond it no calendar can hold."""

_USER_HZ = 100
"""Clock ticks a second in /proc/PID/stat: 100 for programs on every Linux architecture but alpha (time(7))."""
_PF_KTHREAD = 0x00200000
"""Marks a kernel thread in /proc/PID/stat's flags (Linux, include/linux/sched.h)."""


@dataclass(frozen=True, slots=True)
class Check:
    """
    A command with the conventions of Nagios plugins: exit codes 0 to 3 and one line of text, perhaps with `|` and
    performance data. The remote's /bin/sh runs it and ends it, with all its children, after `timeout` seconds.
    """

    name: str
    command: str
    timeout: int = 10


def compose(nonce: str, *, root_pid: int | None, checks: Sequence[Check]) -> bytes:
    """
    Return the script for standard input.

    `nonce` is 8 to 64 letters and digits, new for each look; `root_pid` is the pid whose whole subtree is the
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


def parse(raw: bytes | mmap, nonce: str) -> dict[str, Any]:
    """
    Return what the probe's output says, for any bytes at all, as values that JSON can hold.

    The keys are those of `nothing_read`. `processes_complete` is False when processes may be missing from the list
    (hidden by the remote, or the output was cut short): then a rule that finds too few is unknown, not wrong.
    """
    reading = nothing_read()
    marker = nonce.encode("utf-8", "replace")
    begin = raw.find(b"[" + marker + b":frame\n") if marker else -1
    before = len(raw) if begin < 0 else begin
    reading["noise"] = _printable(raw[: min(before, 4096)])
    # The newline before the marker is the probe's own.
    reading["noise_bytes"] = before - 1 if begin > 0 and raw[begin - 1 : begin] == b"\n" else before
    if begin < 0:
        return reading
    reading["frame"] = True
    frame = _Frame(raw, marker, begin)
    reading["complete"] = raw.find(marker + b":frame]", begin) >= 0

    clock = _float(frame.text("clock").strip())
    reading["clock"] = None if clock is None else min(clock, LATEST_CLOCK)
    began, ended = (_float(frame.text(name).strip().rpartition(b" ")[2]) for name in ("began", "ended"))
    if began is not None and ended is not None:
        reading["probe_seconds"] = ended - began
    _read_linux(frame, reading)
    _read_sysctl(frame, reading)
    _read_processes(frame, reading)
    _read_disks(frame, reading)
    _read_checks(frame, reading)
    return reading


def nothing_read() -> dict[str, Any]:
    """Return what `parse` returns when nothing at all came back."""
    return {
        "frame": False,
        "complete": False,
        "noise_bytes": 0,
        "noise": "",
        "probe_seconds": None,
        "clock": None,
        "uptime_seconds": None,
        "load": None,
        "cpus": None,
        "memory": None,
        "disks": None,
        "processes": None,
        "processes_complete": False,
        "process_source": None,
        "checks": [],
        "notes": [],
    }


class _Section(NamedTuple):
    words: list[str]
    start: int
    end: int
    finished: bool


class _Frame:
    """The output from our begin marker on, whose sections are found by marker and never all in memory at once."""

    def __init__(self, raw: bytes | mmap, marker: bytes, begin: int) -> None:
        self.raw = raw
        self.marker = marker
        self.begin = begin

    def sections(self, name: str) -> Iterator[_Section]:
        """Yield each section of that name, the last perhaps unfinished."""
        opening = b"[" + self.marker + b":" + name.encode()
        closing = self.marker + b":" + name.encode() + b"]"
        at = self.begin
        while (at := self.raw.find(opening, at)) >= 0:
            head = at + len(opening)
            # At most this much of a line of ours: a section's own words are few and short.
            newline = self.raw.find(b"\n", head, head + 8192)
            if newline < 0:
                return
            end = self.raw.find(closing, newline)
            finished = end >= 0
            if not finished:
                end = len(self.raw)
            words = self.raw[head:newline].decode("utf-8", "replace").split()
            yield _Section(words, newline + 1, end, finished)
            at = end

    def finished(self, name: str) -> _Section | None:
        """Return the first finished section of that name."""
        return next((section for section in self.sections(name) if section.finished), None)

    def content(self, section: _Section, limit: int = MAX_TEXT_BYTES) -> bytes:
        return self.raw[section.start : min(section.end, section.start + limit)]

    def text(self, name: str) -> bytes:
        """Return what the first finished section of that name holds, or nothing."""
        section = self.finished(name)
        return self.content(section) if section else b""


def _read_linux(frame: _Frame, reading: dict[str, Any]) -> None:
    """Read the lines that grep printed, each behind the path of its file and a colon."""
    memory: dict[str, int] = {}
    cpus = 0
    for line in frame.text("linux").split(b"\n"):
        path, _, rest = line.partition(b":")
        fields = rest.replace(b":", b" ").split(None, 3)
        match path.rpartition(b"/")[2]:
            case b"uptime" if fields:
                reading["uptime_seconds"] = _float(fields[0])
            case b"loadavg" if len(fields) > 3:
                reading["load"] = _floats(fields[:3])
            case b"meminfo" if len(fields) > 1 and (number := _int(fields[1])) is not None:
                memory[fields[0].decode("ascii", "replace")] = number
            case b"stat" if fields and re.fullmatch(rb"cpu\d+", fields[0]):
                cpus += 1
    reading["cpus"] = cpus or None
    if "MemTotal" in memory:
        # MemAvailable came with Linux 3.14; before, this sum was what people took for it.
        rough = sum(memory.get(key, 0) for key in ("MemFree", "Buffers", "Cached"))
        reading["memory"] = {
            "total_kb": memory["MemTotal"],
            "available_kb": memory.get("MemAvailable", rough),
            "swap_total_kb": memory.get("SwapTotal", 0),
            "swap_free_kb": memory.get("SwapFree", 0),
        }


def _read_sysctl(frame: _Frame, reading: dict[str, Any]) -> None:
    """Read `name: value` (FreeBSD, macOS) or `name=value` (OpenBSD)."""
    for line in frame.text("sysctl")[:65536].split(b"\n"):
        name, _, value = line.replace(b"=", b":", 1).partition(b":")
        match name.strip():
            case b"vm.loadavg":
                reading["load"] = _floats(re.findall(rb"\d{1,6}\.\d{1,6}", value[:200])[:3])
            case b"hw.ncpu":
                reading["cpus"] = _int(value.strip())
            case b"kern.boottime":
                booted = re.search(rb"sec\s{0,9}[=:]\s{0,9}(\d{1,12})", value[:200])
                if booted and reading["clock"] is not None:
                    reading["uptime_seconds"] = reading["clock"] - int(booted[1])


class _Seen(NamedTuple):
    """A process as its source tells it, before it is known whose it is."""

    pid: int
    ppid: int
    session: int | None
    user: str
    state: str
    started: int | None
    rss_kb: int | None
    argv: list[str]
    exact: bool
    kernel: bool


def _read_processes(frame: _Frame, reading: dict[str, Any]) -> None:
    notes: list[str] = reading["notes"]
    seen: list[_Seen] = []
    complete = False
    for section in frame.sections("processes"):
        seen, all_read = _processes_from_proc(frame, section)
        reading["process_source"] = "proc"
        complete = section.finished and all_read and "hidden" not in section.words
        if "hidden" in section.words:
            notes.append(NOTE_HIDDEN)
        if not section.finished:
            notes.append(NOTE_CUT_SHORT)
        elif not all_read:
            notes.append(NOTE_TOO_MANY)
        break
    else:
        for section in frame.sections("ps"):
            seen, all_read = _processes_from_ps(frame, section, reading["clock"])
            if seen:
                reading["process_source"] = "ps"
                complete = section.finished and all_read
                if not section.finished:
                    notes.append(NOTE_CUT_SHORT)
                elif not all_read:
                    notes.append(NOTE_TOO_MANY)
                break
    if not seen:
        # Even the probe's own shell is a process: an empty list can only mean that nothing could be read.
        reading["process_source"] = None
        notes.append(NOTE_NO_PROCESSES)
        return
    own = _own_pids(frame, seen)
    reading["processes_complete"] = complete
    reading["processes"] = [
        {
            "pid": one.pid,
            "ppid": one.ppid,
            "user": one.user,
            "state": one.state,
            "started": one.started,
            "rss_kb": one.rss_kb,
            "argv": one.argv,
            "exact": one.exact,
            "kernel": one.kernel,
            "own": one.pid in own,
        }
        for one in seen
    ]


# The name of a process may hold spaces, parentheses and lines that look like the rest; it is at most 64 bytes long,
# so the last match within those is the true one. After it: state, ppid, pgrp, session, tty, tpgid, flags, ...
_STAT = re.compile(rb"(\d{1,10}) \((.{0,64})\) (\S) (\d{1,10}) -?\d{1,10} (-?\d{1,10}) ([-\d ]{10,1000})\n", re.DOTALL)


def _processes_from_proc(frame: _Frame, section: _Section) -> tuple[list[_Seen], bool]:
    """Read /proc/PID/stat and /proc/PID/cmdline, each pair behind a separator that only this look knows."""
    uids, resident = _owners(frame)
    names = _user_names(frame)
    booted = _boot_time(frame)
    separator = b"S=" + frame.marker + b":process\0"
    seen: list[_Seen] = []
    left = MAX_ALL_ARGV_BYTES
    at = frame.raw.find(separator, section.start, section.end)
    while at >= 0:
        start = at + len(separator)
        following = frame.raw.find(separator, start, section.end)
        if following < 0 and not section.finished:
            return seen, False  # the last one may be cut
        if len(seen) >= MAX_PROCESSES or left <= 0:
            return seen, False
        end = following if following >= 0 else section.end
        record = frame.raw[start : min(end, start + 2048 + MAX_ARGV_BYTES)]
        at = following
        stat = _STAT.match(record)
        if not stat:
            continue  # it ended while we looked
        pid = int(stat[1])
        # From the terminal on: field 7 of proc(5) is number 0 here, flags (9) number 2, start time (22) number 15.
        numbers = stat[6].split()
        flags, ticks = (_int(numbers[at]) if len(numbers) > at else None for at in (2, 15))
        command_line = record[stat.end() :][:MAX_ARGV_BYTES]
        left -= len(command_line)
        argv = _argv(command_line)
        state = stat[3].decode("ascii", "replace")
        if state == "Z" and not argv:
            # What has ended has no arguments any more, only the first 15 bytes of its program's name.
            argv = [stat[2].decode("utf-8", "backslashreplace")]
        uid = uids.get(pid)
        seen.append(
            _Seen(
                pid=pid,
                ppid=int(stat[4]),
                session=int(stat[5]),
                user="" if uid is None else names.get(uid, str(uid)),
                state=state,
                started=None if booted is None or ticks is None else booted + ticks // _USER_HZ,
                rss_kb=resident.get(pid),
                argv=argv,
                exact=state != "Z",
                kernel=bool((flags or 0) & _PF_KTHREAD),
            )
        )
    return seen, True


def _argv(command_line: bytes) -> list[str]:
    """Split at NULs. A program that wrote its own title leaves one argument, and the rest of its room filled up."""
    title = command_line.rstrip(b"\0 ")
    if not title:
        return []
    parts = [title] if b"\0" not in title and b" " in title else command_line.removesuffix(b"\0").split(b"\0")
    return [part.decode("utf-8", "backslashreplace") for part in parts]


def _owners(frame: _Frame) -> tuple[dict[int, int], dict[int, int]]:
    """Return real uid and resident kB by pid."""
    uids: dict[int, int] = {}
    resident: dict[int, int] = {}
    for section in frame.sections("owners"):
        for line in frame.content(section).split(b"\n"):
            owner = re.match(rb"[^:]{0,100}/(\d{1,10})/status:(Uid|VmRSS):\s{0,20}(\d{1,18})\s", line + b"\n")
            if owner:
                (uids if owner[2] == b"Uid" else resident)[int(owner[1])] = int(owner[3])
    return uids, resident


def _user_names(frame: _Frame) -> dict[int, str]:
    """Return names by uid: the first that /etc/passwd has for it, else what the name service said."""
    names: dict[int, str] = {}
    own = [line.removeprefix(b"/etc/passwd:") for line in frame.text("linux").split(b"\n") if b"/passwd:" in line[:20]]
    for line in own + frame.text("names").split(b"\n"):
        fields = line.split(b":", 3)
        if len(fields) > 3 and fields[0] and (uid := _int(fields[2])) is not None:
            names.setdefault(uid, fields[0].decode("utf-8", "backslashreplace")[:MAX_FIELD])
    return names


def _boot_time(frame: _Frame) -> int | None:
    found = re.search(rb"stat:btime (\d{1,12})\n", frame.text("linux"))
    return int(found[1]) if found else None


def _processes_from_ps(frame: _Frame, section: _Section, clock: float | None) -> tuple[list[_Seen], bool]:
    """Read a table by the columns that were asked for; the last one, the command line, takes the rest of its line."""
    columns = [word for word in section.words if not word.startswith("-")]
    if not columns or columns[-1] != "args":
        return [], False
    seen: list[_Seen] = []
    whole = section.finished and section.end - section.start <= MAX_ALL_ARGV_BYTES
    lines = frame.content(section, MAX_ALL_ARGV_BYTES).split(b"\n")
    if not whole:
        lines.pop()
    for line in lines:
        fields = line[: MAX_ARGV_BYTES + 512].split(None, len(columns) - 1)
        row = dict(zip(columns, fields, strict=False))
        pid = _int(row.get("pid", b""))
        if pid is None or "user" not in row:
            continue  # the header, or ps's exit code
        if len(seen) >= MAX_PROCESSES:
            return seen, False
        ppid = _int(row.get("ppid", b""))
        age = _elapsed(row.get("etime", b""))
        args = row.get("args", b"").decode("utf-8", "backslashreplace")
        state = row.get("stat", row.get("s", b"?")).decode("ascii", "replace")[:1]
        seen.append(
            _Seen(
                pid=pid,
                ppid=-1 if ppid is None else ppid,
                session=None,
                user=row["user"].decode("utf-8", "backslashreplace")[:MAX_FIELD],
                state=state,
                started=None if clock is None or age is None else int(clock) - age,
                rss_kb=_int(row.get("rss", b"")),
                argv=_split_line(args, zombie=state == "Z"),
                exact=False,
                # ps puts what has no command line into brackets: kernel threads, whose parent is the kernel's own.
                kernel=args.startswith("[") and args.endswith("]") and ppid in (0, 2),
            )
        )
    return seen, whole


_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"})


def _split_line(args: str, *, zombie: bool) -> list[str]:
    """Split at spaces, but keep what a shell was given with -c as the one argument that it was."""
    words = args.split()
    if (
        len(words) > 2
        and words[0].rpartition("/")[2].lstrip("-") in _SHELLS
        and re.fullmatch(r"-[a-z]{0,3}c", words[1])
    ):
        return [*words[:2], " ".join(words[2:])]
    ended = re.fullmatch(r"[\[(](.{1,255})[\])](?: <defunct>)?", args) if zombie else None
    return [ended[1]] if ended else words


def _elapsed(etime: bytes) -> int | None:
    """Return the seconds in `[[dd-]hh:]mm:ss` (POSIX, ps)."""
    found = re.fullmatch(rb"(?:(?:(\d{1,6})-)?(\d{1,6}):)?(\d{1,6}):(\d{1,2})", etime)
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _own_pids(frame: _Frame, seen: list[_Seen]) -> set[int]:
    """
    Return the checker's own processes: the probe's shell, all that it started, and its ancestors up to the SSH session.

    sshd gives each connection a session of its own, shared by its two processes `sshd: user [priv]` and `sshd:
    user@notty`, while the listening sshd is in another; so the ancestors in the nearest foreign session are ours, and
    the listener is not.
    """
    words = section.words if (section := frame.finished("self")) else []
    numbers = [_int(word.encode()) or 0 for word in words[:3]]
    shell, _parent, root = [*numbers, 0, 0, 0][:3]
    by_pid = {one.pid: one for one in seen}
    children: dict[int, list[int]] = {}
    for one in seen:
        children.setdefault(one.ppid, []).append(one.pid)

    own = _subtree(shell, children) if shell in by_pid else set()
    if root > 1 and root in by_pid:
        tree = _subtree(root, children)
        own |= tree
        if shell in tree:
            return own
    if shell not in by_pid:
        return own
    ancestors = _ancestors(by_pid[shell], by_pid)
    if by_pid[shell].session is None:
        for one in ancestors:
            if one.ppid <= 1:
                break
            own.add(one.pid)
        return own
    ours = {by_pid[shell].session}
    foreign = next((one.session for one in ancestors if one.session not in ours), None)
    own |= {one.pid for one in ancestors if one.session in {*ours, foreign}}
    return own


def _subtree(pid: int, children: dict[int, list[int]]) -> set[int]:
    found = {pid}
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _ancestors(one: _Seen, by_pid: dict[int, _Seen]) -> list[_Seen]:
    """Return parent, grandparent and so on, without pid 1."""
    found: list[_Seen] = []
    met = {one.pid}
    while (parent := by_pid.get(one.ppid)) and parent.pid > 1 and parent.pid not in met:
        found.append(parent)
        met.add(parent.pid)
        one = parent
    return found


_DISK = re.compile(
    rb"(.{1,1024}?)\s{1,100}(\d{1,18})\s{1,30}(-?\d{1,18})\s{1,30}(-?\d{1,18})\s{1,30}(-|\d{1,9}%)\s{1,30}(/.{0,1024})"
)
_PSEUDO = re.compile(
    "auto_home|autofs|cgroup|dev|devfs|devpts|devtmpfs|efivarfs|fdescfs|fusectl|linprocfs|linsysfs|map|mqueue|none|"
    "proc|procfs|ramfs|rootfs|run|shm|squashfs|swap|sysfs|tmpfs|tracefs|udev|/dev/loop.*"
)


def _read_disks(frame: _Frame, reading: dict[str, Any]) -> None:
    hung = False
    for section in frame.sections("disks"):
        text = frame.content(section, 1024 * 1024)
        code = re.search(frame.marker + rb":exit (\d{1,3})\n", text)
        hung = hung or not section.finished or bool(code and code[1] == b"124")
        disks = [disk for line in text.split(b"\n")[: 10 * MAX_DISKS] if (disk := _disk(line))]
        if section.finished and disks:
            reading["disks"] = disks[:MAX_DISKS]
            return
    reading["notes"].append(NOTE_DISKS_HUNG if hung else NOTE_DISKS_FAILED)


def _disk(line: bytes) -> dict[str, Any] | None:
    """Read one line of `df -Pk`, if it is a filesystem that can fill up: not memory, not a snap's read-only image."""
    found = _DISK.fullmatch(line[:4096].strip())
    if not found:
        return None
    filesystem, mount = found[1].decode("utf-8", "backslashreplace"), found[6].decode("utf-8", "backslashreplace")
    size, used, available = int(found[2]), int(found[3]), int(found[4])
    pseudo = _PSEUDO.fullmatch(filesystem.partition(" ")[0])
    container = filesystem == "overlay" or mount in {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
    if size == 0 or (mount != "/" and (pseudo or container)):
        return None
    percent = None if found[5] == b"-" else int(found[5].rstrip(b"%"))
    return {
        "mount": mount,
        "filesystem": filesystem,
        "size_kb": size,
        "used_kb": used,
        "available_kb": available,
        "percent": percent,
    }


def _read_checks(frame: _Frame, reading: dict[str, Any]) -> None:
    mark = re.compile(rb"\n?" + re.escape(frame.marker) + rb":(at|exit) (\d{1,15}(?:\.\d{1,9})?)\n")
    for section in frame.sections("check"):
        if len(reading["checks"]) >= MAX_CHECKS:
            return
        content = frame.content(section, 16 * MAX_CHECK_BYTES)
        marks = mark.findall(content)
        moments = [float(value) for kind, value in marks if kind == b"at"]
        codes = [int(value) for kind, value in marks if kind == b"exit" and value.isdigit() and len(value) < 4]
        output = mark.sub(b"", content)[:MAX_CHECK_BYTES].decode("utf-8", "backslashreplace").strip()
        if section.finished:
            reading["checks"].append(
                {
                    "name": _unhex(section.words),
                    "exit": codes[0] if codes else None,
                    "output": output[:MAX_CHECK_BYTES],
                    "seconds": round(max(0.0, moments[-1] - moments[0]), 2) if len(moments) > 1 else None,
                }
            )


def _unhex(words: list[str]) -> str:
    try:
        return bytes.fromhex(words[0] if words else "").decode("utf-8", "backslashreplace")[:MAX_FIELD]
    except ValueError:
        return ""


def _int(token: bytes) -> int | None:
    return int(token) if len(token) <= 18 and token.isdigit() else None


def _float(token: bytes) -> float | None:
    return float(token) if re.fullmatch(rb"\d{1,15}(\.\d{1,9})?", token) else None


def _floats(tokens: list[bytes]) -> list[float] | None:
    numbers = [_float(token) for token in tokens]
    return [number for number in numbers if number is not None] if len(numbers) == 3 and None not in numbers else None


def _printable(start: bytes) -> str:
    """Return the first 200 characters that can be shown on one line."""
    text = "".join(char if char.isprintable() else " " for char in start.decode("utf-8", "replace"))
    return " ".join(text.split())[:200]
