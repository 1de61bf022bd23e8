"""
Parses what the probe prints.

`parse` takes whatever bytes came back and never raises: what could not be read is None, with a note that says so. A new
fact is a field of `Facts` in `protocol.py`, and is read in `_read_linux` or `_read_sysctl`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from mmap import mmap

from remotestatus_playbook.probe_frame import Frame, number, text_of, whole
from remotestatus_playbook.process_list import ProcessList, read_processes
from remotestatus_playbook.protocol import LARGEST, CheckOutput, Disk, Facts

MAX_CHECKS = 200
MAX_CHECK_BYTES = 4096
MAX_DISKS = 500
MAX_DISK_BYTES = 256 * 1024
MAX_DISK_TABLES = 4
"""The probe asks df twice at most."""
MAX_SYSCTL_LINES = 200

NOTE_DISKS_HUNG = "disks are unknown: df did not answer in time"
NOTE_DISKS_FAILED = "disks are unknown: df gave nothing that could be read"

LATEST_CLOCK = 253402300799.0
"""The end of the year 9999, in seconds since the epoch: what a clock says beyond it no calendar can hold."""

LONGEST_UPTIME = 100 * 366 * 86400
"""A hundred years, in seconds."""

FULLEST = 1000
"""What a file system may say of itself, in percent: some are over 100 when they use what is kept for root."""


@dataclass(frozen=True, slots=True)
class ProbeOutput:
    """
    What the probe's output says, for any bytes at all.

    `frame`: our begin marker came; `complete`: so did the end marker. `noise` is the beginning of what came before, and
    `noise_bytes` its length. `seconds` is how long the probe took, and `clock` what the remote's clock said, in seconds
    since the epoch.
    """

    frame: bool = False
    complete: bool = False
    noise: str = ""
    noise_bytes: int = 0
    seconds: float | None = None
    clock: float | None = None
    facts: Facts = field(default_factory=Facts)
    processes: ProcessList = field(default_factory=ProcessList)
    checks: tuple[CheckOutput, ...] = ()


def parse(raw: bytes | mmap, nonce: str) -> ProbeOutput:
    """Read the output of a probe with this nonce."""
    marker = nonce.encode("utf-8", "replace")
    begin = raw.find(b"[" + marker + b":frame\n") if marker else -1
    before = len(raw) if begin < 0 else begin
    # The newline before the marker is the probe's own.
    noise_bytes = before - 1 if begin > 0 and raw[begin - 1 : begin] == b"\n" else before
    output = ProbeOutput(noise=_printable(raw[: min(before, 4096)]), noise_bytes=noise_bytes)
    if begin < 0:
        return output
    frame = Frame(raw, marker, begin)
    clock = number(frame.text("clock").strip())
    clock = None if clock is None else min(clock, LATEST_CLOCK)
    began, ended = (number(frame.text(name).strip().rpartition(b" ")[2]) for name in ("began", "ended"))
    processes = read_processes(frame, clock)
    facts = _read_facts(frame, clock)
    return replace(
        output,
        frame=True,
        complete=raw.find(marker + b":frame]", begin) >= 0,
        seconds=None if began is None or ended is None else ended - began,
        clock=clock,
        facts=replace(facts, notes=(*processes.notes, *facts.notes)),
        processes=processes,
        checks=tuple(_read_checks(frame)),
    )


def _read_facts(frame: Frame, clock: float | None) -> Facts:
    return _read_disks(frame, _read_sysctl(frame, clock, _read_linux(frame, Facts())))


def _read_linux(frame: Frame, facts: Facts) -> Facts:
    """Read the lines that grep printed, each behind the path of its file and a colon."""
    memory: dict[bytes, int] = {}
    cpus = 0
    for line in frame.lines_of("linux"):
        path, _, rest = line.partition(b":")
        words = rest.replace(b":", b" ").split(None, 3)
        match path.rpartition(b"/")[2]:
            case b"uptime" if words:
                facts = replace(facts, uptime_seconds=_uptime(number(words[0])))
            case b"loadavg" if len(words) > 3:
                facts = replace(facts, load=_load(words[:3]))
            case b"meminfo" if len(words) > 1 and (size := whole(words[1])) is not None:
                memory[words[0]] = size
            case b"stat" if words and re.fullmatch(rb"cpu\d+", words[0]):
                cpus += 1
    facts = replace(facts, cpus=cpus or None)
    if b"MemTotal" not in memory:
        return facts
    # MemAvailable came with Linux 3.14; before, this sum was what people took for it.
    rough = sum(memory.get(key, 0) for key in (b"MemFree", b"Buffers", b"Cached"))
    return replace(
        facts,
        memory_total_kb=memory[b"MemTotal"],
        memory_available_kb=memory.get(b"MemAvailable", min(rough, LARGEST)),
        swap_total_kb=memory.get(b"SwapTotal", 0),
        swap_free_kb=memory.get(b"SwapFree", 0),
    )


def _read_sysctl(frame: Frame, clock: float | None, facts: Facts) -> Facts:
    """Read `name: value` (FreeBSD, macOS) or `name=value` (OpenBSD)."""
    for line in frame.text("sysctl")[:65536].split(b"\n", MAX_SYSCTL_LINES)[:MAX_SYSCTL_LINES]:
        name, _, value = line.replace(b"=", b":", 1).partition(b":")
        match name.strip():
            case b"vm.loadavg":
                facts = replace(facts, load=_load(re.findall(rb"\d{1,6}\.\d{1,6}", value[:200])[:3]))
            case b"hw.ncpu":
                facts = replace(facts, cpus=whole(value.strip()))
            case b"kern.boottime":
                booted = re.search(rb"sec\s{0,9}[=:]\s{0,9}(\d{1,12})", value[:200])
                if booted and clock is not None:
                    facts = replace(facts, uptime_seconds=_uptime(clock - int(booted[1])))
    return facts


def _uptime(seconds: float | None) -> float | None:
    """An uptime that can be true: what was started before there were computers, or later than now, was not."""
    return seconds if seconds is not None and 0 <= seconds <= LONGEST_UPTIME else None


def _load(tokens: list[bytes]) -> tuple[float, ...] | None:
    numbers = [one for token in tokens if (one := number(token)) is not None]
    return tuple(numbers) if len(numbers) == 3 else None


_WORD = re.compile(rb"\S+")
_PSEUDO = re.compile(
    "auto_home|autofs|cgroup|dev|devfs|devpts|devtmpfs|efivarfs|fdescfs|fusectl|linprocfs|linsysfs|map|mqueue|none|"
    "proc|procfs|ramfs|rootfs|run|shm|squashfs|swap|sysfs|tmpfs|tracefs|udev|/dev/loop.*"
)


def _read_disks(frame: Frame, facts: Facts) -> Facts:
    hung = False
    for section in islice(frame.sections("disks"), MAX_DISK_TABLES):
        text = frame.content(section, MAX_DISK_BYTES)
        code = re.search(frame.marker + rb":exit (\d{1,3})\n", text)
        hung = hung or not section.finished or bool(code and code[1] == b"124")
        disks = [disk for line in text.split(b"\n")[: 10 * MAX_DISKS] if (disk := _disk(line))]
        if section.finished and disks:
            return replace(facts, disks=tuple(disks[:MAX_DISKS]))
    return replace(facts, notes=(*facts.notes, NOTE_DISKS_HUNG if hung else NOTE_DISKS_FAILED))


def _disk(line: bytes) -> Disk | None:
    """Read one line of `df -Pk`, if it is a filesystem that can fill up: not memory, not a snap's read-only image."""
    line = line[:4096].strip()
    # The filesystem and the mount point may hold spaces; between them are three numbers and a share.
    words = list(_WORD.finditer(line))
    texts = [word[0] for word in words]
    for at in range(1, len(texts) - 4):
        if not (texts[at + 3].endswith(b"%") and texts[at + 4].startswith(b"/")):
            continue
        size, used, percent = whole(texts[at]), _signed(texts[at + 1]), whole(texts[at + 3].removesuffix(b"%"))
        if size is not None and used is not None and percent is not None and _signed(texts[at + 2]) is not None:
            filesystem, mount = text_of(line[: words[at - 1].end()]), text_of(line[words[at + 4].start() :])
            return _countable(filesystem, Disk(mount, size, used, percent=min(percent, FULLEST)))
    return None


def _countable(filesystem: str, disk: Disk) -> Disk | None:
    """The disk, unless it is none that can fill up."""
    pseudo = _PSEUDO.fullmatch(filesystem.partition(" ")[0])
    container = filesystem == "overlay" or disk.mount in {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
    return None if not disk.size_kb or (disk.mount != "/" and (pseudo or container)) else disk


def _signed(token: bytes) -> int | None:
    """A number that may be negative: what is free, where root's reserve is used."""
    found = whole(token.removeprefix(b"-"))
    return -found if found is not None and token.startswith(b"-") else found


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


def _unhex(words: list[str]) -> str:
    try:
        return text_of(bytes.fromhex(words[0] if words else ""))
    except ValueError:
        return ""


def _printable(start: bytes) -> str:
    """Return the first 200 characters that can be shown on one line."""
    text = "".join(char if char.isprintable() else " " for char in start.decode("utf-8", "replace"))
    return " ".join(text.split())[:200]
