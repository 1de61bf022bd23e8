"""
Declares each fact once, in FACTS: its line on pages, its keys in `status.json`, its metrics.

Unknown facts are left out. Metrics have the names and units of Prometheus's node_exporter, if it has them, with our
prefix; shares are ratios from 0 to 1 there.

Pure: the same inputs always give the same values.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from remotestatus.model.facts import Disk, Facts
from remotestatus.model.times import write_time
from remotestatus.report import fact_texts as texts
from remotestatus.report.clean_text import clean
from remotestatus.report.status_keys import Key, Part, Time


class Box(Protocol):
    """The facts of a remote or proxy, their time, and the OOM kills since the last round."""

    @property
    def said(self) -> Facts: ...
    @property
    def seen_at(self) -> datetime: ...
    @property
    def new_oom_kills(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class PageLine:
    """A line of the page: its label, and its text, or several texts by object; None when not known."""

    label: str
    text: Callable[[Facts], str | Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class Metric:
    """
    A metric family. `value` gives a number, or several by object, which is then the value of `label`.

    It may also be the name of a field of Facts; the default is the field of its own name. `labels` are further labels;
    a series needs a value for at least one of them.
    """

    name: str
    about: str
    value: Callable[[Box], float | Mapping[str, float | None] | None] | str = ""
    label: str = ""
    labels: Callable[[Facts], Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """
    One fact and its outputs. `public` are the fields of Facts for public pages.

    A key without a value has that of the Facts field of its name.
    """

    lines: tuple[PageLine, ...] = ()
    keys: tuple[Key[Box], ...] = ()
    metrics: tuple[Metric, ...] = ()
    public: tuple[str, ...] = ()


# -- values -----------------------------------------------------------------------------------------------------------


def _of(read: Callable[[Facts], float | None]) -> Callable[[Box], float | None]:
    return lambda box: read(box.said)


def _each_disk(read: Callable[[Disk], float | None]) -> Callable[[Box], Mapping[str, float | None]]:
    return lambda box: {disk.mount: read(disk) for disk in box.said.disks or ()}


def _bytes(kib: int | None) -> int | None:
    return None if kib is None else 1024 * kib


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 4)


def _clean(text: str | None) -> str | None:
    return None if text is None else clean(text)


def _rounded(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 1)


def _booted_at(box: Box) -> str | None:
    if box.said.uptime_seconds is None:
        return None
    try:
        return write_time(box.seen_at - timedelta(seconds=box.said.uptime_seconds))
    except (OverflowError, ValueError):
        return None


def _boot_time(box: Box) -> float | None:
    up = box.said.uptime_seconds
    return None if up is None else round(box.seen_at.timestamp() - up)


def _load_at(at: int) -> Callable[[Box], float | None]:
    return lambda box: box.said.load[at] if box.said.load else None


_DISK = Part[Disk](
    "DiskEntry",
    "One local file system.",
    Key("mount", str, "where it is mounted", lambda disk: clean(disk.mount)),
    Key("percent", float, "the used share"),
    Key("bytes", int, "its size", lambda disk: 1024 * disk.size_kb),
    Key("used_bytes", int, "how much of it is used", lambda disk: 1024 * disk.used_kb),
    Key("inodes_percent", float | None, "the used share of its inodes"),
)


def _read_only(box: Box) -> tuple[str, ...] | None:
    if box.said.mounts is None:
        return None
    return tuple(clean(mount.mount, 100) for mount in box.said.mounts if mount.read_only)


def _errors(box: Box) -> dict[str, int] | None:
    return {clean(name, 100): number for name, number in (box.said.filesystem_errors or {}).items()} or None


def _failed(facts: Facts) -> tuple[str, ...] | None:
    return None if facts.failed_units is None else tuple(clean(unit) for unit in facts.failed_units)


# -- the table --------------------------------------------------------------------------------------------------------

FACTS: tuple[Fact, ...] = (
    Fact(
        lines=(PageLine("Running for", texts.running_for),),
        keys=(
            Key(
                "booted_at",
                Time,
                "when it was started",
                _booted_at,
            ),
            Key("boot_id", str, "another one after each start"),
        ),
        metrics=(
            Metric(
                "remotestatus_boot_time_seconds", "When a remote was started, in seconds since the epoch.", _boot_time
            ),
        ),
        public=("uptime_seconds",),
    ),
    Fact(
        lines=(
            PageLine("System", lambda facts: _clean(facts.distribution) or None),
            PageLine("Kernel", lambda facts: _clean(facts.kernel) or None),
        ),
        keys=(
            Key("distribution", str, "its operating system", lambda box: _clean(box.said.distribution)),
            Key("kernel", str, "the kernel's release", lambda box: _clean(box.said.kernel)),
        ),
        metrics=(
            Metric(
                "remotestatus_os_info",
                "A remote's kernel and operating system.",
                lambda box: 1,
                labels=lambda facts: {
                    "release": clean(facts.kernel or ""),
                    "pretty_name": clean(facts.distribution or ""),
                },
            ),
        ),
    ),
    Fact(
        lines=(PageLine("Restart", texts.restart),),
        keys=(Key("reboot_required", bool, "whether an update waits for a restart"),),
        metrics=(Metric("remotestatus_reboot_required", "Whether an update waits for a restart."),),
    ),
    Fact(
        lines=(PageLine("Load", texts.load),),
        keys=(
            Key("load", tuple[float, ...], "averages of 1, 5 and 15 minutes"),
            Key("cpus", int, "how many processors it has"),
        ),
        metrics=(
            *(
                Metric(f"remotestatus_load{minutes}", f"Load average of {minutes} minutes.", _load_at(at))
                for at, minutes in enumerate((1, 5, 15))
            ),
            Metric("remotestatus_cpus", "How many processors a remote has."),
        ),
    ),
    Fact(
        lines=(PageLine("Pressure, 5 min", texts.pressure),),
        keys=(
            Key(
                "pressure_percent",
                dict[str, float],
                "share of 5 minutes in which something waited for `cpu`, `memory` or `io`",
                lambda box: dict(box.said.pressure) if box.said.pressure else None,
            ),
        ),
        metrics=(
            Metric(
                "remotestatus_pressure_ratio",
                "Share of the last 5 minutes in which something waited for a resource.",
                lambda box: {name: _ratio(share) for name, share in (box.said.pressure or {}).items()},
                label="resource",
            ),
        ),
    ),
    Fact(
        lines=(PageLine("Memory", lambda facts: texts.used(facts.memory_percent, facts.memory_total_kb)),),
        keys=(
            Key(
                "memory_percent",
                float,
                "used memory, without what the system could free",
                lambda box: _rounded(box.said.memory_percent),
            ),
            Key("memory_bytes", int, "how much memory it has", lambda box: _bytes(box.said.memory_total_kb)),
        ),
        metrics=(
            Metric("remotestatus_memory_size_bytes", "Memory.", _of(lambda facts: _bytes(facts.memory_total_kb))),
            Metric(
                "remotestatus_memory_available_bytes",
                "Memory that is free or could be made free.",
                _of(lambda facts: _bytes(facts.memory_available_kb)),
            ),
        ),
    ),
    Fact(
        lines=(PageLine("Swap", lambda facts: texts.used(facts.swap_percent, facts.swap_total_kb)),),
        keys=(
            Key(
                "swap_percent",
                float,
                "used swap; absent when there is none",
                lambda box: _rounded(box.said.swap_percent),
            ),
            Key("swap_bytes", int, "how much swap it has", lambda box: _bytes(box.said.swap_total_kb)),
        ),
        metrics=(
            Metric("remotestatus_swap_size_bytes", "Swap.", _of(lambda facts: _bytes(facts.swap_total_kb))),
            Metric("remotestatus_swap_free_bytes", "Swap that is free.", _of(lambda facts: _bytes(facts.swap_free_kb))),
        ),
    ),
    Fact(
        lines=(PageLine("Killed for lack of memory", texts.oom_kills),),
        keys=(
            Key("oom_kills", int, "processes that were killed for lack of memory since its start"),
            Key("new_oom_kills", int, "those of them since the last round", lambda box: box.new_oom_kills),
        ),
        metrics=(Metric("remotestatus_oom_kills", "Processes that were killed for lack of memory since the start."),),
    ),
    Fact(
        lines=(PageLine("Disk", texts.disk_shares), PageLine("Inodes", texts.inode_shares)),
        keys=(_DISK.each("disks", "its local file systems", "said.disks"),),
        metrics=(
            Metric(
                "remotestatus_filesystem_size_bytes",
                "Size of a file system.",
                _each_disk(lambda disk: 1024.0 * disk.size_kb),
                label="mountpoint",
            ),
            Metric(
                "remotestatus_filesystem_used_ratio",
                "Used share of a file system, as df says it.",
                _each_disk(lambda disk: _ratio(disk.percent)),
                label="mountpoint",
            ),
            Metric(
                "remotestatus_filesystem_inodes_used_ratio",
                "Used share of the inodes of a file system.",
                _each_disk(lambda disk: _ratio(disk.inodes_percent)),
                label="mountpoint",
            ),
        ),
    ),
    Fact(
        lines=(PageLine("Read-only", texts.read_only_mounts),),
        keys=(Key("read_only", tuple[str, ...], "mount points that cannot be written to", _read_only),),
        metrics=(
            Metric(
                "remotestatus_filesystem_readonly",
                "Whether a file system can only be read.",
                lambda box: {mount.mount: float(mount.read_only) for mount in box.said.mounts or ()},
                label="mountpoint",
            ),
        ),
    ),
    Fact(
        lines=(PageLine("File system errors", texts.counted_errors),),
        keys=(Key("filesystem_errors", dict[str, int], "errors that ext4 has counted, by device", _errors),),
        metrics=(
            Metric(
                "remotestatus_filesystem_errors",
                "Errors that ext4 has counted on a device.",
                lambda box: {name: float(errors) for name, errors in (box.said.filesystem_errors or {}).items()},
                label="device",
            ),
        ),
    ),
    Fact(
        lines=(PageLine("eMMC", texts.emmc),),
        keys=(
            Key(
                "emmc_used_percent",
                int,
                "the share of its life that the most worn eMMC has used, at most",
                lambda box: box.said.emmc_wear_percent,
            ),
            Key(
                "emmc_reserve",
                str,
                "what the eMMC says of its spare blocks",
                lambda box: box.said.emmc_reserve.value if box.said.emmc_reserve else None,
            ),
        ),
        metrics=(
            Metric(
                "remotestatus_emmc_used_ratio",
                "Share of its life that the most worn eMMC has used, at most.",
                _of(lambda facts: _ratio(facts.emmc_wear_percent)),
            ),
        ),
    ),
    Fact(
        lines=(PageLine("Temperature", texts.temperature),),
        keys=(Key("temperature_celsius", float, "its hottest sensor"),),
        metrics=(Metric("remotestatus_temperature_celsius", "The hottest sensor."),),
    ),
    Fact(
        lines=(PageLine("Power", texts.power),),
        keys=(Key("under_voltage", bool, "whether its power supply is too weak"),),
        metrics=(Metric("remotestatus_under_voltage", "Whether the power supply is too weak."),),
    ),
    Fact(
        lines=(PageLine("Clock", texts.clock), PageLine("Clock synchronised", texts.synchronised)),
        keys=(
            Key("clock_offset_seconds", float, "how far its clock is ahead of the checker's"),
            Key("clock_synchronised", bool, "whether a time server keeps its clock right; asked once an hour"),
        ),
        metrics=(
            Metric("remotestatus_clock_offset_seconds", "How far a remote's clock is ahead of the checker's."),
            Metric(
                "remotestatus_timex_sync_status",
                "Whether a time server keeps a remote's clock right.",
                "clock_synchronised",
            ),
        ),
    ),
    Fact(
        lines=(PageLine("Failed units", texts.failed_units),),
        keys=(
            Key(
                "failed_units",
                tuple[str, ...],
                "systemd units that have failed; asked once an hour",
                lambda box: _failed(box.said),
            ),
        ),
        metrics=(
            Metric(
                "remotestatus_failed_units",
                "How many systemd units have failed.",
                _of(lambda facts: None if facts.failed_units is None else len(facts.failed_units)),
            ),
        ),
    ),
)
"""All facts, in the order of the page."""


# -- derived values ---------------------------------------------------------------------------------------------------

_KEYS = tuple(key for fact in FACTS for key in fact.keys)
_LINES = tuple(line for fact in FACTS for line in fact.lines)
_PUBLIC = tuple(field for fact in FACTS for field in fact.public)
FACT_METRICS = tuple(metric for fact in FACTS for metric in fact.metrics)
"""The families of metrics of all facts."""

FACTS_PART = Part[Box](
    "FactsEntry",
    "What a remote says of itself; each key is absent when it says nothing of it.",
    *(replace(key, value=key.value or f"said.{key.name}") for key in _KEYS),
    sparse=True,
)
"""The `facts` of `status.json`."""


def write_facts(facts: Facts) -> Iterator[tuple[str, str]]:
    """Write the labels and texts of all known facts, in the order of the page."""
    for line in _LINES:
        match line.text(facts):
            case str(text):
                yield line.label, text
            case Mapping() as texts:
                yield from ((f"{line.label} {name}", text) for name, text in texts.items())


def read_metric(metric: Metric, box: Box) -> Iterator[tuple[dict[str, str], float]]:
    """Read the series of a box in a metric family: further labels, and the value."""
    labels = dict(metric.labels(box.said)) if metric.labels else {}
    if metric.labels and not any(labels.values()):
        return
    field = metric.value or metric.name.removeprefix("remotestatus_")
    match getattr(box.said, field) if isinstance(field, str) else field(box):
        case None:
            return
        case Mapping() as values:
            for name, number in values.items():
                if number is not None:
                    yield {metric.label: clean(name)}, number
        case number:
            yield labels, number


def public_facts(facts: Facts) -> Facts:
    """Keep of a remote's facts those for public pages."""
    return Facts(**{field: getattr(facts, field) for field in _PUBLIC})
