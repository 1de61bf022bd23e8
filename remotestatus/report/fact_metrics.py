"""
The metrics of what each remote says of itself, and of its limits, checks, files and units.

Names and units are those of Prometheus's node_exporter where it has one, behind our prefix; shares are ratios from 0 to
1. What a remote does not tell has no series, and so has a remote that was not reached. A proxy that is looked at as a
remote is has the same series with another label.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from remotestatus.model.check_result import Finding
from remotestatus.model.facts import Facts
from remotestatus.report.build import Report
from remotestatus.report.clean_text import clean
from remotestatus.report.remote_view import RemoteView

Sample = tuple[dict[str, str], float]
Family = tuple[str, str, Callable[[Report], Iterable[Sample]]]


def looked_at(report: Report) -> Iterator[tuple[dict[str, str], RemoteView]]:
    """All that was looked at, with the label that its series have: `remote`, or `proxy` for a proxy."""
    for remote in report.remotes:
        yield {"remote": remote.name}, remote
    for proxy in report.proxies:
        if proxy.looked:
            yield {"proxy": proxy.name}, proxy.looked


def _of_fact(name: str, about: str, read: Callable[[Facts], float | None]) -> Family:
    """A family with at most one series for each remote."""

    def samples(report: Report) -> Iterator[Sample]:
        for labels, remote in looked_at(report):
            value = read(remote.said)
            if value is not None:
                yield labels, value

    return name, about, samples


def _of_each(name: str, about: str, label: str, read: Callable[[RemoteView], Mapping[str, float | None]]) -> Family:
    """A family with a series for each of several things of a remote, named by a label."""

    def samples(report: Report) -> Iterator[Sample]:
        for labels, remote in looked_at(report):
            for key, value in read(remote).items():
                if value is not None:
                    yield {**labels, label: clean(key)}, value

    return name, about, samples


def _kib(number: int | None) -> float | None:
    return None if number is None else 1024.0 * number


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 4)


def _limits(remote: RemoteView) -> Iterable[Finding]:
    return (finding for finding in remote.findings if finding.kind == "limit")


def _bounds(report: Report) -> Iterator[Sample]:
    for labels, remote in looked_at(report):
        for finding in _limits(remote):
            for severity, bound in (("warning", finding.warning), ("critical", finding.critical)):
                if bound is not None:
                    yield {**labels, "limit": finding.name, "severity": severity}, bound


def _boot_time(report: Report) -> Iterator[Sample]:
    for labels, remote in looked_at(report):
        if remote.said.uptime_seconds is not None:
            yield labels, round(remote.seen_at.timestamp() - remote.said.uptime_seconds)


def _systems(report: Report) -> Iterator[Sample]:
    for labels, remote in looked_at(report):
        release, system = clean(remote.said.kernel or ""), clean(remote.said.distribution or "")
        if release or system:
            yield {**labels, "release": release, "pretty_name": system}, 1


FACT_FAMILIES: tuple[Family, ...] = (
    ("remotestatus_boot_time_seconds", "When a remote was started, in seconds since the epoch.", _boot_time),
    ("remotestatus_os_info", "A remote's kernel and operating system.", _systems),
    *(
        _of_fact(
            f"remotestatus_load{minutes}",
            f"Load average of {minutes} minutes.",
            lambda facts, at=at: facts.load[at] if facts.load else None,  # type: ignore[misc]
        )
        for at, minutes in enumerate((1, 5, 15))
    ),
    _of_fact("remotestatus_cpus", "How many processors a remote has.", lambda facts: facts.cpus),
    _of_each(
        "remotestatus_pressure_ratio",
        "Share of the last 5 minutes in which something waited for a resource.",
        "resource",
        lambda remote: {name: _ratio(share) for name, share in (remote.said.pressure or {}).items()},
    ),
    _of_fact("remotestatus_memory_size_bytes", "Memory.", lambda facts: _kib(facts.memory_total_kb)),
    _of_fact(
        "remotestatus_memory_available_bytes",
        "Memory that is free or could be made free.",
        lambda facts: _kib(facts.memory_available_kb),
    ),
    _of_fact("remotestatus_swap_size_bytes", "Swap.", lambda facts: _kib(facts.swap_total_kb)),
    _of_fact("remotestatus_swap_free_bytes", "Swap that is free.", lambda facts: _kib(facts.swap_free_kb)),
    _of_fact(
        "remotestatus_oom_kills",
        "Processes that were killed for lack of memory since the start.",
        lambda facts: facts.oom_kills,
    ),
    _of_fact(
        "remotestatus_clock_offset_seconds",
        "How far a remote's clock is ahead of the checker's.",
        lambda facts: facts.clock_offset_seconds,
    ),
    _of_fact(
        "remotestatus_timex_sync_status",
        "Whether a time server keeps a remote's clock right.",
        lambda facts: facts.clock_synchronised,
    ),
    _of_each(
        "remotestatus_filesystem_size_bytes",
        "Size of a file system.",
        "mountpoint",
        lambda remote: {disk.mount: 1024.0 * disk.size_kb for disk in remote.said.disks or ()},
    ),
    _of_each(
        "remotestatus_filesystem_used_ratio",
        "Used share of a file system, as df says it.",
        "mountpoint",
        lambda remote: {disk.mount: _ratio(disk.percent) for disk in remote.said.disks or ()},
    ),
    _of_each(
        "remotestatus_filesystem_inodes_used_ratio",
        "Used share of the inodes of a file system.",
        "mountpoint",
        lambda remote: {disk.mount: _ratio(disk.inodes_percent) for disk in remote.said.disks or ()},
    ),
    _of_each(
        "remotestatus_filesystem_readonly",
        "Whether a file system can only be read.",
        "mountpoint",
        lambda remote: {mount.mount: float(mount.read_only) for mount in remote.said.mounts or ()},
    ),
    _of_each(
        "remotestatus_filesystem_errors",
        "Errors that ext4 has counted on a device.",
        "device",
        lambda remote: {device: float(errors) for device, errors in (remote.said.filesystem_errors or {}).items()},
    ),
    _of_fact("remotestatus_temperature_celsius", "The hottest sensor.", lambda facts: facts.temperature_celsius),
    _of_fact("remotestatus_under_voltage", "Whether the power supply is too weak.", lambda facts: facts.under_voltage),
    _of_fact(
        "remotestatus_emmc_used_ratio",
        "Share of its life that the most worn eMMC has used, at most.",
        lambda facts: _ratio(facts.emmc_wear_percent),
    ),
    _of_fact(
        "remotestatus_reboot_required", "Whether an update waits for a restart.", lambda facts: facts.reboot_required
    ),
    _of_fact(
        "remotestatus_failed_units",
        "How many systemd units have failed.",
        lambda facts: None if facts.failed_units is None else len(facts.failed_units),
    ),
    _of_each(
        "remotestatus_limit_value",
        "The value that a limit is about: percent, seconds, degrees Celsius or load per processor.",
        "limit",
        lambda remote: {finding.name: finding.number for finding in _limits(remote)},
    ),
    ("remotestatus_limit_bound", "From where on a limit is exceeded, in the same unit.", _bounds),
    _of_each(
        "remotestatus_limit_ok",
        "Whether a limit is kept.",
        "limit",
        lambda remote: {finding.name: float(finding.ok) for finding in _limits(remote)},
    ),
    _of_each(
        "remotestatus_check_status",
        "The exit code of a check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; no series when it did not end.",
        "check",
        lambda remote: {finding.name: finding.exit for finding in remote.findings if finding.kind == "check"},
    ),
    _of_each(
        "remotestatus_file_ok",
        "Whether a file is there, new and large enough.",
        "file",
        lambda remote: {file.name: None if file.ok is None else float(file.ok) for file in remote.files},
    ),
    _of_each(
        "remotestatus_file_age_seconds",
        "How old the newest file is.",
        "file",
        lambda remote: {file.name: file.age_seconds for file in remote.files},
    ),
    _of_each(
        "remotestatus_file_size_bytes",
        "How large the newest file is.",
        "file",
        lambda remote: {file.name: file.size for file in remote.files},
    ),
    _of_each(
        "remotestatus_unit_ok",
        "Whether a systemd unit is as it should be.",
        "unit",
        lambda remote: {unit.unit: None if unit.ok is None else float(unit.ok) for unit in remote.units},
    ),
    _of_each(
        "remotestatus_device_up",
        "Whether a device behind a remote answers as it should.",
        "device",
        lambda remote: {one.name: None if one.ok is None else float(one.ok) for one in remote.devices},
    ),
    _of_each(
        "remotestatus_device_connect_seconds",
        "How long a connection to the device took, through the remote.",
        "device",
        lambda remote: {one.name: one.connect_ms and one.connect_ms / 1000 for one in remote.devices},
    ),
    _of_each(
        "remotestatus_device_certificate_not_after_timestamp_seconds",
        "When the device's TLS certificate ends, in seconds since the epoch.",
        "device",
        lambda remote: {one.name: one.certificate_until for one in remote.devices},
    ),
    _of_each(
        "remotestatus_unit_restarts",
        "How often systemd has started a unit again.",
        "unit",
        lambda remote: {unit.unit: unit.restarts for unit in remote.units},
    ),
)
"""Each family: its name, which ends in its unit if it has one, what it means, and its series."""
