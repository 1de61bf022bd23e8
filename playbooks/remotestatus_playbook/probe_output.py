"""
Parses what the probe prints.

`parse` accepts any bytes and never raises: what could not be read is None, with a note that says so. The facts are read
by `machine_facts.py`, the disks by `disk_table.py`, the processes by `process_list.py`; checks, files, units and logs
here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from mmap import mmap

from remotestatus_playbook.disk_table import read_disks
from remotestatus_playbook.listening import read_listeners
from remotestatus_playbook.machine_facts import Facts, read_facts
from remotestatus_playbook.probe_frame import LARGEST, Frame, number, text_of, whole
from remotestatus_playbook.process_list import read_processes
from remotestatus_playbook.protocol import (
    LOG_FILE,
    CheckOutput,
    FileOutput,
    LastLines,
    LogFile,
    Outcome,
    RemoteAnswer,
    UnitOutput,
)

MAX_CHECKS = 200
MAX_CHECK_BYTES = 4096
MAX_FILES = 200
MAX_UNITS = 200
MAX_LOG_LINES = 3
MAX_LOG_FILES = 2000

NOTE_UNITS = "units are unknown: systemctl did not answer"

LATEST_CLOCK = 253402300799.0
"""The end of the year 9999, in seconds since the epoch: the limit of `datetime`."""


@dataclass(frozen=True, slots=True)
class ProbeOutput:
    """
    The parsed output of a probe.

    `frame`: the begin marker was found; `complete`: the end marker too. `noise` is the start of the text before.
    `seconds` is the probe's duration, `clock` the remote's time, in seconds since the epoch. `answer` has everything
    but the facts.
    """

    frame: bool = False
    complete: bool = False
    noise: str = ""
    seconds: float | None = None
    clock: float | None = None
    facts: Facts = field(default_factory=Facts)
    answer: RemoteAnswer = field(default_factory=lambda: RemoteAnswer(Outcome.ANSWERED))

    def answer_of(self, taken: float, asked_at: float, answered_at: float) -> RemoteAnswer | None:
        """The answer of a complete output, which took `taken` seconds between these times (POSIX)."""
        if not self.complete:
            return None
        spent = self.seconds if self.seconds is not None and 0 <= self.seconds <= taken else 0
        facts = replace(self.facts, clock_offset_seconds=_clock_offset(self.clock, asked_at, answered_at))
        return replace(self.answer, connect_ms=round((taken - spent) * 1000), facts=facts)


def _clock_offset(clock: float | None, asked_at: float, answered_at: float) -> float | None:
    """
    How far a remote's clock is ahead, in seconds, from the checker's before and after the probe.

    The remote read its clock between the two, so only an offset outside of them is certain.
    """
    if clock is None:
        return None
    # `date` gives whole seconds: a clock read as n may stand anywhere in [n, n + 1).
    if clock + 1 < asked_at:
        return clock + 1 - asked_at
    return max(0.0, clock - answered_at)


def parse(raw: bytes | mmap, nonce: str) -> ProbeOutput:
    """Read the output of a probe with this nonce."""
    marker = nonce.encode("utf-8", "replace")
    begin = raw.find(b"[" + marker + b":frame\n") if marker else -1
    noise = _printable(raw[: 4096 if begin < 0 else min(begin, 4096)])
    if begin < 0:
        return ProbeOutput(noise=noise)
    frame = Frame(raw, marker, begin)
    clock = number(frame.text("clock").strip())
    clock = None if clock is None else min(clock, LATEST_CLOCK)
    began, ended = (number(frame.text(name).strip().rpartition(b" ")[2]) for name in ("began", "ended"))
    processes, all_there, notes = read_processes(frame, clock)
    facts = read_disks(frame, read_facts(frame, clock))
    units = _read_units(frame, facts.uptime_seconds)
    notes += facts.notes
    if units is None and frame.finished("units") is not None:
        notes.append(NOTE_UNITS)
    return ProbeOutput(
        frame=True,
        complete=raw.find(marker + b":frame]", begin) >= 0,
        noise=noise,
        seconds=None if began is None or ended is None else ended - began,
        clock=clock,
        facts=replace(facts, notes=tuple(notes)),
        answer=RemoteAnswer(
            Outcome.ANSWERED,
            logged_in=True,
            frame=True,
            processes=processes,
            processes_complete=all_there,
            checks=tuple(_read_checks(frame)),
            files=tuple(_read_files(frame, clock)),
            units=units,
            listeners=read_listeners(frame),
            log_files=_read_log_files(frame),
            last_lines=tuple(_read_last_lines(frame)),
        ),
    )


def _read_checks(frame: Frame) -> Iterator[CheckOutput]:
    mark = re.compile(rb"\n?" + re.escape(frame.marker) + rb":(at|exit) (\d{1,13}(?:\.\d{1,9})?)\n")
    finished = (section for section in frame.sections("check") if section.finished)
    for section, _ in zip(finished, range(MAX_CHECKS), strict=False):
        content = frame.content(section, 16 * MAX_CHECK_BYTES)
        marks = mark.findall(content)
        times = [float(value) for kind, value in marks if kind == b"at"]
        codes = [int(value) for kind, value in marks if kind == b"exit" and value.isdigit() and len(value) < 4]
        yield CheckOutput(
            name=_unhex(section.words),
            exit=codes[0] if codes else None,
            output=text_of(mark.sub(b"", content)[:MAX_CHECK_BYTES], MAX_CHECK_BYTES).strip(),
            seconds=round(max(0.0, times[-1] - times[0]), 2) if len(times) > 1 else None,
        )


def _read_files(frame: Frame, clock: float | None) -> Iterator[FileOutput]:
    """Read lines such as `6162 3 1700000000 4096`: name, how many there are, and when the newest was written."""
    for line in frame.text("files").split(b"\n")[:MAX_FILES]:
        found = re.fullmatch(rb"([0-9a-f]*) (\d{1,9}) (?:(\d{1,13})(?: (\d{1,15}))?|(hidden)|\?)", line)
        if found:
            written, size = (None if part is None else min(int(part), LARGEST) for part in (found[3], found[4]))
            age = None if written is None or clock is None else clock - written
            name = _unhex([found[1].decode("ascii")])
            yield FileOutput(name, int(found[2]), age, size, hidden=found[5] is not None)


def _read_units(frame: Frame, uptime: float | None) -> tuple[UnitOutput, ...] | None:
    """Read what `systemctl show` printed of each unit, a line for each property and an empty one between two units."""
    _, asked, shown = frame.text("units", 1024 * 1024).partition(frame.marker + b":show\n")
    if not asked or not re.search(frame.marker + rb":exit 0\n", shown):
        return None
    shown = shown.partition(frame.marker)[0]
    blocks = [block for block in re.split(rb"\n{2,}", shown.strip()) if block][:MAX_UNITS]
    units = [_unit(dict(_property(line) for line in block.split(b"\n")), uptime) for block in blocks]
    logs = _read_journal(frame)
    # Both are in the order in which the units were asked about.
    return tuple(replace(unit, log=logs[at] if at < len(logs) else ()) for at, unit in enumerate(units))


def _read_journal(frame: Frame) -> list[tuple[str, ...]]:
    """The last lines that each unit logged, in the order in which they were asked for."""
    parts = frame.text("journal", MAX_UNITS * MAX_CHECK_BYTES).split(frame.marker + b":unit\n")[1 : MAX_UNITS + 1]
    return [_last_of(part) for part in parts]


def _last_of(log: bytes) -> tuple[str, ...]:
    return tuple(text_of(line) for line in log.splitlines() if line.strip())[-MAX_LOG_LINES:]


def _read_log_files(frame: Frame) -> tuple[LogFile, ...] | None:
    """Read lines such as `12/fd/1 /var/log/capture.log`: of each process the first, its standard output."""
    section = frame.finished("written")
    if section is None:
        return None
    found: dict[int, str] = {}
    for line in frame.lines(section, MAX_LOG_FILES):
        pid, at, rest = line.partition(b"/fd/")
        path = text_of(rest[2:])
        if at and len(pid) <= 10 and pid.isdigit() and LOG_FILE.fullmatch(path):
            found.setdefault(int(pid), path)
    return tuple(LogFile(pid, path) for pid, path in found.items())


def _read_last_lines(frame: Frame) -> Iterator[LastLines]:
    finished = (section for section in frame.sections("log") if section.finished)
    for section, _ in zip(finished, range(MAX_UNITS), strict=False):
        yield LastLines(_unhex(section.words), _last_of(frame.content(section, MAX_CHECK_BYTES)))


def _property(line: bytes) -> tuple[str, str]:
    name, _, value = line.partition(b"=")
    return text_of(name, 100), text_of(value, 255)


def _unit(values: dict[str, str], uptime: float | None) -> UnitOutput:
    restarts, code, status, changed = (
        whole(values.get(name, "").encode())
        for name in ("NRestarts", "ExecMainCode", "ExecMainStatus", "StateChangeTimestampMonotonic")
    )
    return UnitOutput(
        unit=values.get("Id", ""),
        load=values.get("LoadState", ""),
        active=values.get("ActiveState", ""),
        sub=values.get("SubState", ""),
        result=values.get("Result", ""),
        restarts=restarts,
        exit_code=code,
        exit_status=status,
        triggered=bool(values.get("TriggeredBy")),
        since_seconds=None if not changed or uptime is None else max(0.0, uptime - changed / 1e6),
    )


def _unhex(words: list[str]) -> str:
    try:
        return text_of(bytes.fromhex(words[0] if words else ""))
    except ValueError:
        return ""


def _printable(start: bytes) -> str:
    """Return the first 200 characters that can be shown on one line."""
    text = "".join(char if char.isprintable() else " " for char in start.decode("utf-8", "replace"))
    return " ".join(text.split())[:200]
