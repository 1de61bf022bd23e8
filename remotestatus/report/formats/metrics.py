"""
Writes `metrics.prom` in the OpenMetrics text format 1.0.

A Report comes in, text goes out, complete with `# EOF`. A status is one series for each status there is, 1 for the one
that holds and 0 for the others, so that an alert never depends on a series that is not there; a process that does not
run is a 0 and never a gap, and one that could not be checked has no value at all.
"""

from collections.abc import Callable, Iterable, Iterator

from remotestatus.model.statuses import Severity, Status
from remotestatus.report.build import WORDS, Report
from remotestatus.report.fact_metrics import FACT_FAMILIES, Family, Sample, looked_at
from remotestatus.report.machine_format import MachineFormat
from remotestatus.report.proxy_view import ProxyView
from remotestatus.report.remote_view import RemoteView
from remotestatus.report.worker_view import WorkerView


def write_metrics(report: Report) -> str:
    """The text of `metrics.prom`."""
    return "".join(_family(family, report) for family in FAMILIES) + "# EOF\n"


def _family(family: Family, report: Report) -> str:
    """All lines of one family."""
    name, about, samples = family
    lines = [f"# TYPE {name} gauge"]
    unit = name.rpartition("_")[2]
    if unit in ("seconds", "ratio", "bytes", "celsius"):
        lines.append(f"# UNIT {name} {unit}")
    lines.append(f"# HELP {name} {_escape(about)}")
    # Of two series with the same labels (a remote may name two mount points alike) the last one counts: a reader
    # may refuse the whole document for them.
    series = {_labels(labels): value for labels, value in samples(report)}
    lines += [f"{name}{labels} {_number(value)}" for labels, value in series.items()]
    return "\n".join(lines) + "\n"


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
    (
        "remotestatus_last_round_timestamp_seconds",
        "When the last round was finished.",
        lambda report: [({}, report.round.finished_at.timestamp())],
    ),
    ("remotestatus_round_seconds", "How long it took.", lambda report: [({}, round(report.round.seconds, 3))]),
    (
        "remotestatus_round_interval_seconds",
        "How often a round is due.",
        lambda report: [({}, report.every.total_seconds())],
    ),
    (
        "remotestatus_round_troubles",
        "What went wrong with the round itself.",
        lambda report: [({}, len(report.round.troubles))],
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
    (
        "remotestatus_remote_since_timestamp_seconds",
        "Since when a remote has its status.",
        lambda report: (({"remote": remote.name}, int(remote.since.timestamp())) for remote in report.remotes),
    ),
    (
        "remotestatus_remote_maintenance",
        "Whether a remote is in maintenance.",
        lambda report: (({"remote": remote.name}, remote.maintenance is not None) for remote in report.remotes),
    ),
    _troubles("remote", lambda report: report.remotes),
    ("remotestatus_remote_info", "What a remote is called, where it stands, and what it is reached through.", _infos),
    (
        "remotestatus_remote_connect_seconds",
        "From the start of the connection to a finished log-in.",
        lambda report: (
            ({"remote": remote.name}, remote.latest.connect_ms / 1000)
            for remote in report.remotes
            if remote.latest.connect_ms is not None
        ),
    ),
    (
        "remotestatus_processes",
        "How many processes match; 0 when it is absent, no series when that is unknown.",
        lambda report: (
            ({**labels, "process": process.name}, process.count)
            for labels, remote in looked_at(report)
            for process in remote.latest.processes
            if process.count is not None
        ),
    ),
    (
        "remotestatus_process_wanted",
        "How many processes have to run at least.",
        lambda report: (
            ({**labels, "process": process.name}, process.min)
            for labels, remote in looked_at(report)
            for process in remote.latest.processes
        ),
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
    *FACT_FAMILIES,
)
"""Each family: its name, which ends in its unit if it has one, what it means, and its series."""


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(text: str) -> str:
    """Escape as OpenMetrics says (section "ABNF", escaped-string)."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


FORMAT = MachineFormat({"metrics.prom": write_metrics})
