"""
The metrics of what each remote says of itself, and of its limits, checks, files and units.

Names and units are those of Prometheus's node_exporter where it has one, behind our prefix; shares are ratios from 0 to
1. What a remote does not tell has no series, and so has a remote that was not reached. A proxy that is looked at as a
remote is has the same series with another label.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from remotestatus.model.check_result import Finding
from remotestatus.report.build import Report
from remotestatus.report.clean_text import clean
from remotestatus.report.fact_table import FACT_METRICS, Metric, read_metric
from remotestatus.report.remote_view import Measurements, RemoteView

Sample = tuple[dict[str, str], float]
"""The labels of a series, and its value."""

Family = tuple[str, str, Callable[[Report], Iterable[Sample]]]
"""A family: its name, which ends in its unit if it has one, what it means, and its series."""


def looked_at(report: Report) -> Iterator[tuple[dict[str, str], RemoteView]]:
    """All that was looked at, with the label that its series have: `remote`, or `proxy` for a proxy."""
    for remote in report.remotes:
        yield {"remote": remote.name}, remote
    for proxy in report.proxies:
        if proxy.looked:
            yield {"proxy": proxy.name}, proxy.looked


def _of_facts(metric: Metric) -> Family:
    """The family of a fact, with the series of all that was looked at."""

    def samples(report: Report) -> Iterator[Sample]:
        for labels, box in looked_at(report):
            yield from ((labels | more, value) for more, value in read_metric(metric, box))

    return metric.name, metric.about, samples


def _of_each(name: str, about: str, label: str, read: Callable[[Measurements], Mapping[str, float | None]]) -> Family:
    """A family with a series for each of several things of a remote, named by a label."""

    def samples(report: Report) -> Iterator[Sample]:
        for labels, remote in looked_at(report):
            for key, value in read(remote.latest).items():
                if value is not None:
                    yield {**labels, label: clean(key)}, value

    return name, about, samples


def _limits(measured: Measurements) -> Iterable[Finding]:
    return (finding for finding in measured.findings if finding.kind == "limit")


def _bounds(report: Report) -> Iterator[Sample]:
    for labels, remote in looked_at(report):
        for finding in _limits(remote.latest):
            for severity, bound in (("warning", finding.warning), ("critical", finding.critical)):
                if bound is not None:
                    yield {**labels, "limit": finding.name, "severity": severity}, bound


FACT_FAMILIES: tuple[Family, ...] = (
    *(_of_facts(metric) for metric in FACT_METRICS),
    _of_each(
        "remotestatus_limit_value",
        "The value that a limit is about: percent, seconds, degrees Celsius or load per processor.",
        "limit",
        lambda box: {finding.name: finding.number for finding in _limits(box)},
    ),
    ("remotestatus_limit_bound", "From where on a limit is exceeded, in the same unit.", _bounds),
    _of_each(
        "remotestatus_limit_ok",
        "Whether a limit is kept.",
        "limit",
        lambda box: {finding.name: float(finding.ok) for finding in _limits(box)},
    ),
    _of_each(
        "remotestatus_check_status",
        "The exit code of a check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; no series when it did not end.",
        "check",
        lambda box: {finding.name: finding.exit for finding in box.findings if finding.kind == "check"},
    ),
    _of_each(
        "remotestatus_file_ok",
        "Whether a file is there, new and large enough.",
        "file",
        lambda box: {file.name: None if file.ok is None else float(file.ok) for file in box.files},
    ),
    _of_each(
        "remotestatus_file_age_seconds",
        "How old the newest file is.",
        "file",
        lambda box: {file.name: file.age_seconds for file in box.files},
    ),
    _of_each(
        "remotestatus_file_size_bytes",
        "How large the newest file is.",
        "file",
        lambda box: {file.name: file.size for file in box.files},
    ),
    _of_each(
        "remotestatus_unit_ok",
        "Whether a systemd unit is as it should be.",
        "unit",
        lambda box: {unit.unit: None if unit.ok is None else float(unit.ok) for unit in box.units},
    ),
    _of_each(
        "remotestatus_device_up",
        "Whether a device behind a remote answers as it should.",
        "device",
        lambda box: {one.name: None if one.ok is None else float(one.ok) for one in box.devices},
    ),
    _of_each(
        "remotestatus_device_connect_seconds",
        "How long a connection to the device took, through the remote.",
        "device",
        lambda box: {one.name: one.connect_ms and one.connect_ms / 1000 for one in box.devices},
    ),
    _of_each(
        "remotestatus_device_certificate_not_after_timestamp_seconds",
        "When the device's TLS certificate ends, in seconds since the epoch.",
        "device",
        lambda box: {one.name: one.certificate_until for one in box.devices},
    ),
    _of_each(
        "remotestatus_unit_restarts",
        "How often systemd has started a unit again.",
        "unit",
        lambda box: {unit.unit: unit.restarts for unit in box.units},
    ),
)
"""Each family: its name, which ends in its unit if it has one, what it means, and its series."""
