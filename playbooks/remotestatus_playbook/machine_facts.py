"""
The Facts of a remote: what is read there, and how it is parsed.

Nothing here raises: what cannot be read is None, with a note if people expect it.

A new fact of Linux is a file in LINES, a field of Facts, and a line in `_read_linux`; the package shows it by a row in
`report/fact_table.py`. What must be asked in another way than by reading a file has a function in `files/probe.sh`.

Pure: the same inputs always give the same values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from remotestatus_playbook.probe_frame import LARGEST, Frame, Number, Whole, number, text_of, whole

MAX_MOUNTS = 200
MAX_SENSORS = 500
MAX_UNITS = 100

MAX_SYSCTL_LINES = 200

LONGEST_UPTIME = 100 * 366 * 86400
"""A hundred years, in seconds."""

HOTTEST = 200.0
"""Degrees Celsius above which a reading is ignored."""

OF_A_CONTAINER = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})
"""Files that are mounted into each container."""

# -- what is read there -----------------------------------------------------------------------------------------------

_STORED = "ext[234]|xfs|btrfs|f2fs|vfat|exfat|jfs|reiserfs|ubifs|jffs2|zfs|bcachefs|ntfs3?|fuseblk|nilfs2"
"""Writable file system types, without squashfs, overlay and the like."""

_A_MOUNT = f"[^ \t#]+[ \t]+[^ \t]+[ \t]+({_STORED})[ \t]"

LINES: Mapping[str, str] = {
    "/proc/uptime": "[0-9]",
    "/proc/loadavg": "[0-9]",
    "/proc/meminfo": "Mem(Total|Free|Available):|Buffers:|Cached:|Swap(Total|Free):",
    "/proc/stat": "btime |cpu[0-9]",
    "/etc/passwd": "[^:]*:[^:]*:[0-9]+:",
    "/proc/sys/kernel/random/boot_id": "[0-9a-f]{8}-",
    "/proc/sys/kernel/osrelease": "[0-9]",
    "/etc/os-release": "PRETTY_NAME=",
    "/proc/mounts": _A_MOUNT,
    "/etc/fstab": _A_MOUNT,
    "/sys/fs/ext4/*/errors_count": "[0-9]",
    "/proc/vmstat": "oom_kill ",
    "/proc/pressure/cpu": "some ",
    "/proc/pressure/memory": "some ",
    "/proc/pressure/io": "some ",
}
"""
The files that one `grep -E` reads on Linux, and the beginnings (regex(7)) of the wanted lines.

All files are searched for all beginnings, and are told apart by the last part of their path. `process_list.py` reads
the lines of stat and passwd.
"""

SYSCTLS = (
    *("kern.boottime", "vm.loadavg", "hw.ncpu", "kern.ostype", "kern.osrelease"),
    *("hw.pagesize", "vm.stats.vm.v_page_count", "vm.stats.vm.v_free_count", "vm.stats.vm.v_inactive_count"),
    *("dev.cpu.0.temperature", "hw.acpi.thermal.tz0.temperature"),
)
"""What sysctl(8) is asked for where there is no /proc."""

# -- the Facts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Disk:
    """One mounted filesystem; sizes in KiB, `percent` is the used share, `inodes_percent` that of its inodes."""

    mount: str
    size_kb: Whole
    used_kb: Whole
    percent: Number
    inodes_percent: Number | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """
    A mounted file system of a writable type.

    `read_only` is its state, `meant` whether fstab says `ro`.
    """

    mount: str
    device: str
    kind: str
    read_only: bool
    meant: bool = False


class ReserveState(StrEnum):
    """The state of an eMMC's spare blocks (JEDEC 84-B50, PRE_EOL_INFO)."""

    NORMAL = "normal"
    WARNING = "80 % used"
    URGENT = "90 % used"


@dataclass(frozen=True, slots=True)
class Facts:
    """
    The facts of a remote: sizes in KiB, times in seconds, shares in percent; None if unknown.

    `clock_offset_seconds` is positive when its clock is ahead. `boot_id` changes at each boot. `filesystem_errors` has
    the errors that ext4 has counted, by device; `oom_kills` counts the processes that were killed for lack of memory
    since the start. `pressure` has, for cpu, memory and io, the share of the last 300 seconds in which something waited
    for it. `temperature_celsius` is that of the hottest sensor. `emmc_wear_percent` is the used lifetime of the most
    worn eMMC, upper estimate. Hourly facts (`clock_synchronised`, `failed_units`) are set if `hourly` is. `notes` say
    what could not be read.
    """

    uptime_seconds: Number | None = None
    load: tuple[Number, ...] | None = None
    cpus: Whole | None = None
    memory_total_kb: Whole | None = None
    memory_available_kb: Whole | None = None
    swap_total_kb: Whole | None = None
    swap_free_kb: Whole | None = None
    disks: tuple[Disk, ...] | None = None
    clock_offset_seconds: Number | None = None
    boot_id: str | None = None
    kernel: str | None = None
    distribution: str | None = None
    mounts: tuple[Mount, ...] | None = None
    filesystem_errors: Mapping[str, Whole] | None = None
    oom_kills: Whole | None = None
    pressure: Mapping[str, Number] | None = None
    temperature_celsius: Number | None = None
    under_voltage: bool | None = None
    emmc_wear_percent: Whole | None = None
    emmc_reserve: ReserveState | None = None
    reboot_required: bool | None = None
    clock_synchronised: bool | None = None
    failed_units: tuple[str, ...] | None = None
    hourly: bool = False
    notes: tuple[str, ...] = ()

    @property
    def memory_percent(self) -> float | None:
        """The used share of its memory, without caches that can be freed."""
        return _used_percent(self.memory_total_kb, self.memory_available_kb)

    @property
    def swap_percent(self) -> float | None:
        """The used share of its swap; None when there is none."""
        return _used_percent(self.swap_total_kb, self.swap_free_kb)


def _used_percent(total: int | None, free: int | None) -> float | None:
    return 100 * (1 - free / total) if total and free is not None else None


def read_facts(frame: Frame, clock: float | None) -> Facts:
    """Read all facts but the disks; `clock` is the remote's own, in seconds since the epoch."""
    facts = _read_signs(frame, _read_hardware(frame, _read_linux(frame, Facts())))
    return _read_hourly(frame, _read_mount(frame, _read_sysctl(frame, clock, facts)))


def _read_linux(frame: Frame, facts: Facts) -> Facts:
    """Read the lines that grep printed, each behind the path of its file and a colon."""
    files: dict[bytes, list[bytes]] = {}
    errors: dict[str, int] = {}
    for line in frame.lines_of("linux"):
        path, _, rest = line.partition(b":")
        folder, _, name = path.rpartition(b"/")
        if name == b"errors_count" and (found := whole(rest.strip())) is not None and len(errors) < MAX_MOUNTS:
            errors[text_of(folder.rpartition(b"/")[2], 100)] = found
        elif name != b"passwd":
            files.setdefault(name, []).append(rest)
    first = {name: lines[0].strip() for name, lines in files.items()}
    load = first.get(b"loadavg", b"").split()
    counted = [line.split() for line in files.get(b"vmstat", ())]
    killed = next((whole(words[1]) for words in counted if len(words) == 2 and words[0] == b"oom_kill"), None)
    return replace(
        _read_memory(files.get(b"meminfo", []), facts),
        uptime_seconds=_uptime(number(first.get(b"uptime", b"").partition(b" ")[0])),
        load=_load(load[:3]) if len(load) > 4 else None,
        cpus=sum(re.match(rb"cpu\d", line) is not None for line in files.get(b"stat", ())) or None,
        boot_id=_boot_id(first.get(b"boot_id", b"")),
        kernel=text_of(first.get(b"osrelease", b""), 100) or None,
        distribution=_pretty_name(files.get(b"os-release", [])),
        mounts=_mounts(files.get(b"mounts"), files.get(b"fstab", [])),
        filesystem_errors=errors or None,
        oom_kills=killed,
        pressure={name: value for name in ("cpu", "memory", "io") if (value := _pressure(first, name)) is not None}
        or None,
    )


def _read_memory(lines: list[bytes], facts: Facts) -> Facts:
    memory: dict[bytes, int] = {}
    for line in lines:
        name, _, rest = line.partition(b":")
        if (size := whole(rest.split(None, 1)[0] if rest.strip() else b"")) is not None:
            memory[name] = size
    if b"MemTotal" not in memory:
        return facts
    # MemAvailable came with Linux 3.14; before, this sum was the usual estimate.
    rough = sum(memory.get(key, 0) for key in (b"MemFree", b"Buffers", b"Cached"))
    return replace(
        facts,
        memory_total_kb=memory[b"MemTotal"],
        memory_available_kb=memory.get(b"MemAvailable", min(rough, LARGEST)),
        swap_total_kb=memory.get(b"SwapTotal", 0),
        swap_free_kb=memory.get(b"SwapFree", 0),
    )


def _boot_id(text: bytes) -> str | None:
    return text.decode("ascii") if re.fullmatch(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) else None


def _pretty_name(lines: list[bytes]) -> str | None:
    """Read PRETTY_NAME of os-release(5), which is quoted as in a shell."""
    for line in lines:
        name, _, value = line.partition(b"=")
        if name == b"PRETTY_NAME":
            return text_of(value.strip().strip(b"\"'"), 100) or None
    return None


def _pressure(first: dict[bytes, bytes], name: str) -> float | None:
    """Read the average of 300 seconds of a line such as `some avg10=0.00 avg60=0.00 avg300=0.12 total=7`."""
    found = re.match(rb"some .{0,100}\bavg300=(\d{1,3}\.\d{1,4})\b", first.get(name.encode(), b""))
    return float(found[1]) if found else None


def _mounts(lines: list[bytes] | None, table: list[bytes]) -> tuple[Mount, ...] | None:
    """Read the lines of /proc/mounts, and what fstab wants of them."""
    if lines is None:
        return None
    meant = {
        _unescape(words[1]) for line in table if len(words := line.split()) > 3 and "ro" in text_of(words[3]).split(",")
    }
    mounts: dict[str, Mount] = {}
    for line in lines[:MAX_MOUNTS]:
        words = line.split()
        if len(words) < 4:
            continue
        options = set(text_of(words[3]).split(","))
        # An ext4 that was made read-only by its own errors says so with the second since Linux 6.15.
        stopped = bool(options & {"ro", "emergency_ro", "shutdown"})
        mount = _unescape(words[1])
        if mount in OF_A_CONTAINER:
            continue
        # Of several mounts at one path, programs see the last.
        mounts[mount] = Mount(mount, _unescape(words[0]), text_of(words[2], 30), stopped, mount in meant)
    return tuple(mounts.values())


def _unescape(word: bytes) -> str:
    r"""Read a path as /proc/mounts and fstab(5) write it: `\040` is a space."""
    return text_of(re.sub(rb"\\([0-3][0-7]{2})", lambda found: bytes([int(found[1], 8)]), word))


def _read_signs(frame: Frame, facts: Facts) -> Facts:
    """Read the facts from the existence of files. A container has no kernel that could need a reboot."""
    section = frame.finished("signs")
    signs = frame.content(section, 4096).split() if section else []
    if section is None or b"container" in signs:
        return facts
    return replace(facts, reboot_required=b"reboot-required" in signs or b"modules-gone" in signs)


def _read_hardware(frame: Frame, facts: Facts) -> Facts:
    """Read what sensors and eMMCs say, each line behind the path of its file."""
    degrees: list[float] = []
    worn: list[int] = []
    reserves: list[int] = []
    low: list[bool] = []
    for line in frame.lines_of("hardware")[:MAX_SENSORS]:
        path, _, value = line.partition(b":")
        name, value = path.rpartition(b"/")[2], value.strip()
        if name == b"temp" or name.startswith(b"temp"):
            millidegrees = re.fullmatch(rb"-?\d{1,7}", value)
            degrees += [int(value) / 1000] if millidegrees and 0 < int(value) <= HOTTEST * 1000 else []
        elif name == b"life_time":
            # Two estimates in tenths of the life, 0 for unknown, 0x0b for more than all of it (JEDEC 84-B50).
            worn += [10 * int(one, 16) for one in re.findall(rb"0x0[1-9abAB]\b", value)]
        elif name == b"pre_eol_info":
            reserves += [int(one, 16) for one in re.findall(rb"0x0[1-3]\b", value)]
        elif name.endswith(b"_lcrit_alarm") and value in (b"0", b"1"):
            low.append(value == b"1")
    return replace(
        facts,
        temperature_celsius=max(degrees, default=None),
        under_voltage=any(low) if low else None,
        emmc_wear_percent=min(max(worn), 110) if worn else None,
        emmc_reserve=tuple(ReserveState)[max(reserves) - 1] if reserves else None,
    )


def _read_sysctl(frame: Frame, clock: float | None, facts: Facts) -> Facts:
    """Read `name: value` (FreeBSD, macOS) or `name=value` (OpenBSD)."""
    values: dict[bytes, bytes] = {}
    for line in frame.text("sysctl")[:65536].split(b"\n", MAX_SYSCTL_LINES)[:MAX_SYSCTL_LINES]:
        name, _, value = line.replace(b"=", b":", 1).partition(b":")
        values[name.strip()] = value.strip()[:200]
    if not any(values.values()):
        return facts
    booted = re.search(rb"sec\s{0,9}[=:]\s{0,9}(\d{1,12})", values.get(b"kern.boottime", b""))
    system = [text_of(values.get(name, b""), 50) for name in (b"kern.ostype", b"kern.osrelease")]
    size, total, free, inactive = (
        whole(values.get(name, b""))
        for name in (b"hw.pagesize", *(b"vm.stats.vm.v_%s_count" % one for one in (b"page", b"free", b"inactive")))
    )
    degrees = [
        float(found[1])
        for name in (b"dev.cpu.0.temperature", b"hw.acpi.thermal.tz0.temperature")
        if (found := re.fullmatch(rb"(\d{1,3}(\.\d{1,3})?)C", values.get(name, b"")))
    ]
    pages = None if size is None or free is None or inactive is None else (free + inactive) * size // 1024
    return replace(
        facts,
        load=_load(re.findall(rb"\d{1,6}\.\d{1,6}", values.get(b"vm.loadavg", b""))[:3]),
        cpus=whole(values.get(b"hw.ncpu", b"")),
        uptime_seconds=_uptime(clock - int(booted[1])) if booted and clock is not None else None,
        # There is no boot id: the boot time identifies a boot.
        boot_id=booted[1].decode("ascii") if booted else None,
        kernel=" ".join(system) if all(system) else None,
        memory_total_kb=min(total * size // 1024, LARGEST) if total and size else None,
        memory_available_kb=min(pages, LARGEST) if total and pages is not None else None,
        temperature_celsius=max((one for one in degrees if one <= HOTTEST), default=None),
    )


_MOUNT = re.compile(rb"(/dev/\S{1,200}) on (/.{0,1000}?) (?:type (\S{1,30}) )?\(([^()]{1,500})\)")


def _read_mount(frame: Frame, facts: Facts) -> Facts:
    """Read what mount(8) prints elsewhere: `/dev/ada0p2 on / (ufs, local, read-only)`."""
    if facts.mounts is not None:
        return facts
    mounts = []
    for line in frame.text("mounts")[:65536].split(b"\n", MAX_MOUNTS)[:MAX_MOUNTS]:
        if found := _MOUNT.fullmatch(line[:2000].strip()):
            options = text_of(found[4]).split(", ")
            kind = text_of(found[3] or b"") or options[0]
            read_only = "read-only" in options
            mounts.append(Mount(text_of(found[2]), text_of(found[1]), kind[:30], read_only))
    return replace(facts, mounts=tuple(mounts)) if mounts else facts


def _read_hourly(frame: Frame, facts: Facts) -> Facts:
    """Read the hourly facts. Failed units are also read with the units of each round."""
    section = frame.finished("synchronised")
    if section is not None:
        said = frame.content(section, 65536)
        right = re.search(rb"^NTPSynchronized=(yes|no)$", said, re.MULTILINE)
        # busybox's adjtimex: `return value: 5 (clock not synchronized)`
        code = re.search(rb"return value:\s{1,30}(\d)\b", said)
        known = right[1] == b"yes" if right else code[1] != b"5" if code else None
        facts = replace(facts, hourly=True, clock_synchronised=known)
    units = frame.finished("units")
    if units is None:
        return facts
    text = frame.content(units, 1024 * 1024)
    failed, shown, _ = text.partition(frame.marker + b":show\n")
    code = re.search(frame.marker + rb":exit (\d{1,3})\n", text)
    if code is None or (code[1] != b"0" and not shown):
        return facts
    names = [line.split(None, 1)[0] for line in failed.split(b"\n", MAX_UNITS) if b" failed " in line and line.strip()]
    return replace(facts, failed_units=tuple(text_of(name, 255) for name in names[:MAX_UNITS]))


def _uptime(seconds: float | None) -> float | None:
    """A plausible uptime: not negative, and at most a hundred years."""
    return seconds if seconds is not None and 0 <= seconds <= LONGEST_UPTIME else None


def _load(tokens: list[bytes]) -> tuple[float, ...] | None:
    numbers = [one for token in tokens if (one := number(token)) is not None]
    return tuple(numbers) if len(numbers) == 3 else None
