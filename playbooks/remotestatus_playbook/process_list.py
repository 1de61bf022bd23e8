"""
Reads the processes of a remote: from /proc where there is one, else from what ps prints.

What could not be read is None, never an empty list, and processes that the checker itself causes are marked as its own.
"""

import re
from dataclasses import replace
from itertools import islice, takewhile
from typing import NamedTuple

from remotestatus_playbook.probe_frame import Frame, Section, text_of, whole
from remotestatus_playbook.protocol import MAX_ALL_ARGUMENTS, MAX_ARGV_BYTES, MAX_PROCESSES, Process

MAX_ALL_ARGV_BYTES = 4 * 1024 * 1024
MAX_OWNER_LINES = 3 * MAX_PROCESSES
"""Most lines about process owners that are read: three per process."""
MAX_SECTIONS = 8
"""Sections of a kind that are read where the probe itself prints one, or a few."""

NOTE_NO_PROCESSES = "processes are unknown: there is neither a readable /proc nor a ps that could be used"
NOTE_CUT_SHORT = "the list of processes was cut short: what is not in it may still be running"
NOTE_TOO_MANY = f"there are too many processes to read them all: the list ends after {MAX_PROCESSES} or 4 MiB"
NOTE_HIDDEN = (
    "other users' processes are hidden from this account (/proc is mounted with hidepid): what is not in the list may "
    "still be running"
)

BECOME = "BECOME-SUCCESS-"
"""The start of the success marker of Ansible's become plugins, which is in their arguments."""

_USER_HZ = 100
"""Clock ticks a second in /proc/PID/stat: 100 for programs on every Linux architecture but alpha (time(7))."""
_PF_KTHREAD = 0x00200000
"""Marks a kernel thread in /proc/PID/stat's flags (Linux, include/linux/sched.h)."""


def read_processes(frame: Frame, clock: float | None) -> tuple[tuple[Process, ...] | None, bool, list[str]]:
    """
    Read the first list that has any process; `clock` is the remote's own, in seconds since the epoch.

    Returns it, whether it is complete, and notes. An incomplete one may miss processes that are hidden, or cut off.
    """
    notes: list[str] = []
    section = next(frame.sections("processes"), None)
    if section is not None:
        hidden = "hidden" in section.words
        seen, sessions, all_read = _processes_from_proc(frame, section)
        notes = [*([NOTE_HIDDEN] if hidden else []), *_notes(section, all_read)]
        if seen:
            complete = section.finished and all_read and not hidden
            return _mark_own(frame, seen, sessions), complete, notes
    else:
        for section in islice(frame.sections("ps"), MAX_SECTIONS):
            seen, all_read = _processes_from_ps(frame, section, clock)
            if seen:
                complete, notes = section.finished and all_read, _notes(section, all_read)
                return _mark_own(frame, seen, {}), complete, notes
    # Even the probe's own shell is a process: an empty list can only mean that nothing could be read.
    return None, False, [*notes, NOTE_NO_PROCESSES]


def _notes(section: Section, all_read: bool) -> list[str]:
    if not section.finished:
        return [NOTE_CUT_SHORT]
    return [] if all_read else [NOTE_TOO_MANY]


# The name of a process may hold spaces, parentheses and lines that look like the rest; it is at most 64 bytes long,
# so the last match within those is the true one. After it: state, ppid, pgrp, session, tty, tpgid, flags, ...
_STAT = re.compile(rb"(\d{1,10}) \((.{0,64})\) (\S) (\d{1,10}) -?\d{1,10} (-?\d{1,10}) ([-\d ]{10,1000})\n", re.DOTALL)


def _processes_from_proc(frame: Frame, section: Section) -> tuple[list[Process], dict[int, int], bool]:
    """
    Read /proc/PID/stat and /proc/PID/cmdline, each pair behind a separator that only this attempt knows.

    Returns the processes, their sessions, and whether all were read.
    """
    owners = _Owners.read(frame)
    separator = b"S=" + frame.marker + b":process\0"
    seen: list[Process] = []
    sessions: dict[int, int] = {}
    left, arguments_left = MAX_ALL_ARGV_BYTES, MAX_ALL_ARGUMENTS
    at = frame.raw.find(separator, section.start, section.end)
    while at >= 0:
        start = at + len(separator)
        at = frame.raw.find(separator, start, section.end)
        if at < 0 and not section.finished:
            return seen, sessions, False  # the last one may be cut
        if len(seen) >= MAX_PROCESSES or left <= 0 or arguments_left <= 0:
            return seen, sessions, False
        end = at if at >= 0 else section.end
        record = frame.raw[start : min(end, start + 2048 + MAX_ARGV_BYTES)]
        if stat := _STAT.match(record):  # else it has just ended
            command_line = record[stat.end() :][:MAX_ARGV_BYTES]
            seen.append(_process(stat, command_line, owners))
            # Invalid bytes are escaped, to four times their size.
            left -= max(len(command_line), sum(map(len, seen[-1].argv)))
            arguments_left -= command_line.count(b"\0") + 1
            sessions[seen[-1].pid] = int(stat[5])
    return seen, sessions, True


def _process(stat: re.Match[bytes], command_line: bytes, owners: "_Owners") -> Process:
    pid, state = int(stat[1]), stat[3].decode("ascii", "replace")
    # From the terminal on: field 7 of proc(5) is number 0 here, flags (9) number 2, start time (22) number 15.
    numbers = stat[6].split()
    flags, ticks = (whole(numbers[at]) if len(numbers) > at else None for at in (2, 15))
    argv = _argv(command_line)
    if state == "Z" and not argv:
        # A zombie has no arguments, only the first 15 bytes of its program's name.
        argv = (text_of(stat[2]),)
    uid = owners.uids.get(pid)
    return Process(
        pid=pid,
        ppid=int(stat[4]),
        user="" if uid is None else owners.names.get(uid, str(uid)),
        state=state,
        started=None if owners.booted is None or ticks is None else owners.booted + ticks // _USER_HZ,
        rss_kb=owners.resident.get(pid),
        argv=argv,
        exact=state != "Z",
        kernel=bool((flags or 0) & _PF_KTHREAD),
        own=False,
        unit=owners.units.get(pid, ""),
    )


def _argv(command_line: bytes) -> tuple[str, ...]:
    """Split at NULs. A program that set its title has one argument, padded with NULs or spaces."""
    title = command_line.rstrip(b"\0 ")
    if not title:
        return ()
    parts = [title] if b"\0" not in title and b" " in title else command_line.removesuffix(b"\0").split(b"\0")
    return tuple(part.decode("utf-8", "backslashreplace") for part in parts)


# The service of a control group such as /system.slice/capture.service. Groups below it are part of it; processes of
# user sessions (user@1000.service) have no system service.
_SERVICE = re.compile(
    rb"[^:]{0,100}/(\d{1,10})/cgroup:(?:0:|1:name=systemd):/(?:[^/]{1,255}\.slice/)*((?!user@)[^/]{1,247}\.service)(?:/|$)"
)


class _Owners(NamedTuple):
    """Data from other files: real uid, resident kB and service by pid, names by uid, and the boot time."""

    uids: dict[int, int]
    resident: dict[int, int]
    names: dict[int, str]
    booted: int | None
    units: dict[int, str]

    @classmethod
    def read(cls, frame: Frame) -> "_Owners":
        """Read the sections that come before the processes."""
        booted = re.search(rb"stat:btime (\d{1,12})\n", frame.text("linux"))
        owners = cls({}, {}, user_names(frame), int(booted[1]) if booted else None, {})
        lines = (line for section in frame.sections("owners") for line in frame.lines(section, MAX_OWNER_LINES))
        for line in islice(lines, MAX_OWNER_LINES):
            if unit := _SERVICE.match(line[:2000]):
                owners.units[int(unit[1])] = text_of(unit[2], 255)
            elif found := _OWNER.match(line + b"\n"):
                (owners.uids if found[2] == b"Uid" else owners.resident)[int(found[1])] = int(found[3])
        return owners


_OWNER = re.compile(rb"[^:]{0,100}/(\d{1,10})/status:(Uid|VmRSS):\s{0,20}(\d{1,13})\s")


def user_names(frame: Frame) -> dict[int, str]:
    """Return names by uid: the first that /etc/passwd has for it, else what the name service said."""
    names: dict[int, str] = {}
    own = [line.removeprefix(b"/etc/passwd:") for line in frame.lines_of("linux") if b"/passwd:" in line[:20]]
    for line in own + frame.lines_of("names"):
        fields = line.split(b":", 3)
        if len(fields) > 3 and fields[0] and (uid := whole(fields[2])) is not None:
            names.setdefault(uid, text_of(fields[0]))
    return names


def _processes_from_ps(frame: Frame, section: Section, clock: float | None) -> tuple[list[Process], bool]:
    """Read a table by the columns that were asked for; the last one, the command line, takes the rest of its line."""
    columns = [word for word in section.words if not word.startswith("-")]
    if not columns or columns[-1] != "args":
        return [], False
    seen: list[Process] = []
    all_read = section.finished and section.end - section.start <= MAX_ALL_ARGV_BYTES
    lines = frame.content(section, MAX_ALL_ARGV_BYTES).split(b"\n")
    if not all_read:
        lines.pop()
    left, arguments_left = MAX_ALL_ARGV_BYTES, MAX_ALL_ARGUMENTS
    for line in lines:
        fields = line[: MAX_ARGV_BYTES + 512].split(None, len(columns) - 1)
        row = dict(zip(columns, fields, strict=False))
        pid = whole(row.get("pid", b""))
        if pid is None or "user" not in row:
            continue  # the header, or ps's exit code
        if len(seen) >= MAX_PROCESSES or left <= 0 or arguments_left <= 0:
            return seen, False
        ppid = whole(row.get("ppid", b""))
        age = _elapsed(row.get("etime", b""))
        args = row.get("args", b"").decode("utf-8", "backslashreplace")
        left -= len(args)
        arguments_left -= args.count(" ") + 1
        state = row.get("stat", row.get("s", b"?")).decode("ascii", "replace")[:1]
        process = Process(
            pid=pid,
            ppid=-1 if ppid is None else ppid,
            user=text_of(row["user"]),
            state=state,
            started=None if clock is None or age is None else int(clock) - age,
            rss_kb=whole(row.get("rss", b"")),
            argv=_split_line(args, zombie=state == "Z"),
            exact=False,
            # ps puts what has no command line into brackets: kernel threads, whose parent is the kernel's own.
            kernel=args.startswith("[") and args.endswith("]") and ppid in (0, 2),
            own=False,
        )
        seen.append(process)
    return seen, all_read


_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"})


def _split_line(args: str, *, zombie: bool) -> tuple[str, ...]:
    """Split at spaces, but keep the argument of a shell's -c as one."""
    words = args.split()
    if (
        len(words) > 2
        and words[0].rpartition("/")[2].lstrip("-") in _SHELLS
        and re.fullmatch(r"-[a-z]{0,3}c", words[1])
    ):
        return (*words[:2], " ".join(words[2:]))
    ended = re.fullmatch(r"[\[(](.{1,255})[\])](?: <defunct>)?", args) if zombie else None
    return (ended[1],) if ended else tuple(words)


def _elapsed(etime: bytes) -> int | None:
    """Return the seconds in `[[dd-]hh:]mm:ss` (POSIX, ps)."""
    found = re.fullmatch(rb"(?:(?:(\d{1,6})-)?(\d{1,6}):)?(\d{1,6}):(\d{1,2})", etime)
    if not found:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _mark_own(frame: Frame, seen: list[Process], sessions: dict[int, int]) -> tuple[Process, ...]:
    own = _own_pids(frame, seen, sessions)
    return tuple(replace(process, own=True) if process.pid in own else process for process in seen)


def _own_pids(frame: Frame, seen: list[Process], sessions: dict[int, int]) -> set[int]:
    """
    Return the checker's own processes: the probe's shell, all that it started, and its ancestors up to the SSH session.

    sshd gives each connection a session of its own, shared by its two processes `sshd: user [priv]` and `sshd:
    user@notty`, while the listening sshd is in another; so the ancestors in the nearest foreign session are ours, and
    the listener is not.
    """
    section = frame.finished("self")
    numbers = [whole(word.encode()) or 0 for word in (section.words[:3] if section else [])]
    shell, _parent, root = [*numbers, 0, 0, 0][:3]
    by_pid = {one.pid: one for one in seen}
    children: dict[int, list[int]] = {}
    for process in seen:
        children.setdefault(process.ppid, []).append(process.pid)

    if shell not in by_pid:
        return set()
    own = _subtree(shell, children)
    if root > 1 and root in by_pid and shell in (tree := _subtree(root, children)):
        # Elsewhere that pid is another process.
        return own | tree
    ancestors = _ancestors(by_pid[shell], by_pid)
    started_by = [number for number, one in enumerate(ancestors) if any(BECOME in word for word in one.argv)]
    if started_by:
        # sudo, su and the like may start sessions: all up to the first of them is ours.
        changed = ancestors[: started_by[-1] + 1]
        own |= {one.pid for one in changed}
        return own | _session_ancestors(changed[-1], by_pid, sessions)
    if by_pid[shell].ppid == 1:
        # run0 has systemd start the shell, and waits for it in the SSH session.
        for one in [one for one in seen if any(BECOME in word for word in one.argv)]:
            own |= {one.pid} | _session_ancestors(one, by_pid, sessions)
    return own | _session_ancestors(by_pid[shell], by_pid, sessions)


def _session_ancestors(shell: Process, by_pid: dict[int, Process], sessions: dict[int, int]) -> set[int]:
    """Return the ancestors of the probe's shell that belong to its SSH session."""
    ancestors = _ancestors(shell, by_pid)
    if not sessions:
        # ps tells no sessions: the listening sshd is the one below pid 1.
        return {one.pid for one in takewhile(lambda one: one.ppid > 1, ancestors)}
    own = sessions[shell.pid]
    foreign = next((sessions[one.pid] for one in ancestors if sessions[one.pid] != own), None)
    return {one.pid for one in ancestors if sessions[one.pid] in (own, foreign)}


def _subtree(pid: int, children: dict[int, list[int]]) -> set[int]:
    found = {pid}
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _ancestors(process: Process, by_pid: dict[int, Process]) -> list[Process]:
    """Return parent, grandparent and so on, without pid 1."""
    found: list[Process] = []
    met = {process.pid}
    while (parent := by_pid.get(process.ppid)) and parent.pid > 1 and parent.pid not in met:
        found.append(parent)
        process = parent
        met.add(process.pid)
    return found
