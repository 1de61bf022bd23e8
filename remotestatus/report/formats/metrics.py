"""
Writes `metrics.prom` in the OpenMetrics text format 1.0.

Each status is a series, 1 for the current status and 0 for the others, so that alerts do not depend on missing series.
A process that does not run is 0; one that was not checked has no series. A proxy that is probed like a remote has the
same series with another label.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from remotestatus.model.status_words import Severity, Status
from remotestatus.report.build import WORDS, Report
from remotestatus.report.clean_text import clean
from remotestatus.report.fact_table import FACT_METRICS, Metric, read_metric
from remotestatus.report.proxy_view import ProxyView
from remotestatus.report.remote_view import Measurements, RemoteView
from remotestatus.report.worker_view import WorkerView

Sample = tuple[dict[str, str], float]
"""The labels of a series, and its value."""

Family = tuple[str, str, Callable[[Report], Iterable[Sample]]]
"""A metric family: name (with the unit as suffix), help, and series."""

Things = tuple[str, Callable[[Measurements], Iterable[tuple[str, Any]]]]
"""Several things of a remote: the label that names each, and all of them with their names."""


def write_metrics(report: Report) -> str:
    """Write the text of `metrics.prom`."""
    return "".join(_family(family, report) for family in FAMILIES) + "# EOF\n"


def _family(family: Family, report: Report) -> str:
    """Write all lines of one family."""
    name, about, samples = family
    lines = [f"# TYPE {name} gauge"]
    unit = name.rpartition("_")[2]
    if unit in ("seconds", "ratio", "bytes", "celsius"):
        lines.append(f"# UNIT {name} {unit}")
    lines.append(f"# HELP {name} {_escape(about)}")
    # Of duplicate series (a remote may report a mount point twice) the last one is kept, because a parser may reject
    # the whole file.
    series = {_labels(labels): value for labels, value in samples(report)}
    lines += [f"{name}{labels} {_number(value)}" for labels, value in series.items()]
    return "\n".join(lines) + "\n"


def _looked_at(report: Report) -> Iterator[tuple[dict[str, str], RemoteView]]:
    """List all remotes and probed proxies, with the label of their series: `remote` or `proxy`."""
    for remote in report.remotes:
        yield {"remote": remote.name}, remote
    for proxy in report.proxies:
        if proxy.looked:
            yield {"proxy": proxy.name}, proxy.looked


def _of_round(name: str, about: str, read: Callable[[Report], float]) -> Family:
    """Declare a family with one series."""
    return name, about, lambda report: [({}, read(report))]


def _of_remotes(name: str, about: str, read: Callable[[RemoteView], float | None]) -> Family:
    """Declare a family with a series for each remote of which the value is known."""
    return (
        name,
        about,
        lambda report: (
            ({"remote": remote.name}, value) for remote in report.remotes if (value := read(remote)) is not None
        ),
    )


def _of_facts(metric: Metric) -> Family:
    """Declare the family of a fact, for all remotes and probed proxies."""

    def samples(report: Report) -> Iterator[Sample]:
        for labels, box in _looked_at(report):
            yield from ((labels | more, value) for more, value in read_metric(metric, box))

    return metric.name, metric.about, samples


def _of_each(name: str, about: str, things: Things, read: Callable[[Any], float | None]) -> Family:
    """Declare a family with a series for each thing of all remotes and probed proxies, if its value is known."""
    label, list_things = things

    def samples(report: Report) -> Iterator[Sample]:
        for labels, remote in _looked_at(report):
            for key, thing in list_things(remote.latest):
                if (value := read(thing)) is not None:
                    yield {**labels, label: clean(key)}, value

    return name, about, samples


def _findings(kind: str) -> Things:
    return kind, lambda measured: ((one.name, one) for one in measured.findings if one.kind == kind)


_LIMITS, _CHECKS = _findings("limit"), _findings("check")
_PROCESSES: Things = ("process", lambda measured: ((one.name, one) for one in measured.processes))
_FILES: Things = ("file", lambda measured: ((one.name, one) for one in measured.files))
_UNITS: Things = ("unit", lambda measured: ((one.unit, one) for one in measured.units))
_DEVICES: Things = ("device", lambda measured: ((one.name, one) for one in measured.devices))


def _bounds(report: Report) -> Iterator[Sample]:
    for labels, remote in _looked_at(report):
        for name, finding in _LIMITS[1](remote.latest):
            for severity in Severity:
                if (bound := getattr(finding, severity)) is not None:
                    yield {**labels, "limit": name, "severity": severity}, bound


def _infos(report: Report) -> Iterator[Sample]:
    for remote in report.remotes:
        labels = {"remote": remote.name, "nickname": remote.nickname, "location": remote.location}
        yield {**labels, "group": remote.group, "proxy": remote.proxy or ""}, 1


def _statuses(kind: str, entries: Callable[[Report], Iterable[RemoteView | ProxyView | WorkerView]]) -> Family:
    all_statuses = tuple(Status)
    return (
        f"remotestatus_{kind}_status",
        f"1 for the status that a {kind} has, 0 for the others.",
        lambda report: (
            ({kind: entry.name, "status": status.value}, entry.status is status)
            for entry in entries(report)
            for status in all_statuses
        ),
    )


def _troubles(kind: str, entries: Callable[[Report], Iterable[RemoteView | ProxyView]]) -> Family:
    return (
        f"remotestatus_{kind}_troubles",
        f"How many things are wrong with a {kind}, by severity.",
        lambda report: (
            (
                {kind: entry.name, "severity": severity.value},
                sum(trouble.severity is severity for trouble in entry.troubles),
            )
            for entry in entries(report)
            for severity in Severity
        ),
    )


FAMILIES: tuple[Family, ...] = (
    _of_round(
        "remotestatus_last_round_timestamp_seconds",
        "When the last round was finished.",
        lambda report: report.round.finished_at.timestamp(),
    ),
    _of_round("remotestatus_round_seconds", "How long it took.", lambda report: round(report.round.seconds, 3)),
    _of_round(
        "remotestatus_round_interval_seconds",
        "How often a round is due.",
        lambda report: report.every.total_seconds(),
    ),
    _of_round(
        "remotestatus_round_troubles",
        "What went wrong with the round itself.",
        lambda report: len(report.round.troubles),
    ),
    (
        "remotestatus_remotes",
        "How many remotes have a status; those in maintenance are counted only there.",
        lambda report: [({"status": word}, report.summary[word]) for word in WORDS],
    ),
    _statuses("proxy", lambda report: report.proxies),
    _troubles("proxy", lambda report: report.proxies),
    _statuses("worker", lambda report: report.workers),
    _statuses("remote", lambda report: report.remotes),
    _of_remotes(
        "remotestatus_remote_since_timestamp_seconds",
        "Since when a remote has its status.",
        lambda remote: int(remote.since.timestamp()),
    ),
    _of_remotes(
        "remotestatus_remote_maintenance",
        "Whether a remote is in maintenance.",
        lambda remote: remote.maintenance is not None,
    ),
    _troubles("remote", lambda report: report.remotes),
    ("remotestatus_remote_info", "What a remote is called, where it stands, and what it is reached through.", _infos),
    _of_remotes(
        "remotestatus_remote_connect_seconds",
        "From the start of the connection to a finished log-in.",
        lambda remote: remote.latest.connect_ms and remote.latest.connect_ms / 1000,
    ),
    _of_each(
        "remotestatus_processes",
        "How many processes match; 0 when it is absent, no series when that is unknown.",
        _PROCESSES,
        lambda process: process.count,
    ),
    _of_each(
        "remotestatus_process_wanted",
        "How many processes have to run at least.",
        _PROCESSES,
        lambda process: process.min,
    ),
    (
        "remotestatus_remote_uptime_ratio",
        "Share of the observed time in which a remote was reachable.",
        lambda report: (
            ({"remote": remote.name, "span": span}, round(uptime.percent / 100, 5))
            for remote in report.remotes
            for span, uptime in remote.uptime.items()
            if uptime.percent is not None
        ),
    ),
    *map(_of_facts, FACT_METRICS),
    _of_each(
        "remotestatus_limit_value",
        "The value that a limit is about: percent, seconds, degrees Celsius or load per processor.",
        _LIMITS,
        lambda limit: limit.number,
    ),
    ("remotestatus_limit_bound", "From where on a limit is exceeded, in the same unit.", _bounds),
    _of_each("remotestatus_limit_ok", "Whether a limit is kept.", _LIMITS, lambda limit: limit.ok),
    _of_each(
        "remotestatus_check_status",
        "The exit code of a check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; no series when it did not end.",
        _CHECKS,
        lambda check: check.exit,
    ),
    _of_each("remotestatus_file_ok", "Whether a file is there, new and large enough.", _FILES, lambda file: file.ok),
    _of_each("remotestatus_file_age_seconds", "How old the newest file is.", _FILES, lambda file: file.age_seconds),
    _of_each("remotestatus_file_size_bytes", "How large the newest file is.", _FILES, lambda file: file.size),
    _of_each("remotestatus_unit_ok", "Whether a systemd unit is as it should be.", _UNITS, lambda unit: unit.ok),
    _of_each(
        "remotestatus_device_up",
        "Whether a device behind a remote answers as it should.",
        _DEVICES,
        lambda device: device.ok,
    ),
    _of_each(
        "remotestatus_device_connect_seconds",
        "How long a connection to the device took, through the remote.",
        _DEVICES,
        lambda device: device.connect_ms and device.connect_ms / 1000,
    ),
    _of_each(
        "remotestatus_device_certificate_not_after_timestamp_seconds",
        "When the device's TLS certificate ends, in seconds since the epoch.",
        _DEVICES,
        lambda device: device.certificate_until,
    ),
    _of_each(
        "remotestatus_unit_restarts",
        "How often systemd has started a unit again.",
        _UNITS,
        lambda unit: unit.restarts,
    ),
)
"""All families, in the order of the file."""


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(text: str) -> str:
    """Escape as OpenMetrics says (section "ABNF", escaped-string)."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


FORMAT = {"metrics.prom": write_metrics}
