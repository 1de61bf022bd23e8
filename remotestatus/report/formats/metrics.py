"""
Writes `metrics.prom` in the OpenMetrics text format 1.0.

A Report comes in, text goes out, complete with `# EOF`. A status is one series for each status there is, 1 for the one
that holds and 0 for the others, so that an alert never depends on a series that is not there; a process that does not
run is a 0 and never a gap, and one that could not be checked has no value at all.
"""

from collections.abc import Callable, Iterable, Iterator

from remotestatus.model.statuses import Severity, Status
from remotestatus.report.build import WORDS, Report
from remotestatus.report.fact_metrics import FACT_FAMILIES, looked_at
from remotestatus.report.machine_format import MachineFormat

Sample = tuple[dict[str, str], float]
"""The labels of a series, and its value."""


def write_metrics(report: Report) -> str:
    """The text of `metrics.prom`."""
    lines: list[str] = []
    for name, about, samples in FAMILIES:
        lines.append(f"# TYPE {name} gauge")
        unit = name.rpartition("_")[2]
        if unit in ("seconds", "ratio", "bytes", "celsius"):
            lines.append(f"# UNIT {name} {unit}")
        lines.append(f"# HELP {name} {_escape(about)}")
        lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples(report)]
    lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _infos(report: Report) -> Iterator[Sample]:
    for remote in report.remotes:
        labels = {"remote": remote.name, "nickname": remote.nickname, "location": remote.location}
        yield {**labels, "group": remote.group, "proxy": remote.proxy or ""}, 1


FAMILIES: tuple[tuple[str, str, Callable[[Report], Iterable[Sample]]], ...] = (
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
    (
        "remotestatus_proxy_status",
        "1 for the status that a proxy has, 0 for the others.",
        lambda report: [
            ({"proxy": proxy.name, "status": status.value}, proxy.status is status)
            for proxy in report.proxies
            for status in Status
        ],
    ),
    (
        "remotestatus_proxy_troubles",
        "How many things are wrong with a proxy, by severity.",
        lambda report: [
            (
                {"proxy": proxy.name, "severity": severity.value},
                sum(trouble.severity is severity for trouble in proxy.troubles),
            )
            for proxy in report.proxies
            for severity in Severity
        ],
    ),
    (
        "remotestatus_worker_status",
        "1 for the status that a worker has, 0 for the others.",
        lambda report: [
            ({"worker": worker.name, "status": status.value}, worker.status is status)
            for worker in report.workers
            for status in Status
        ],
    ),
    (
        "remotestatus_remote_status",
        "1 for the status that a remote has, 0 for the others.",
        lambda report: [
            ({"remote": remote.name, "status": status.value}, remote.status is status)
            for remote in report.remotes
            for status in Status
        ],
    ),
    (
        "remotestatus_remote_since_timestamp_seconds",
        "Since when a remote has its status.",
        lambda report: [({"remote": remote.name}, int(remote.since.timestamp())) for remote in report.remotes],
    ),
    (
        "remotestatus_remote_maintenance",
        "Whether a remote is in maintenance.",
        lambda report: [({"remote": remote.name}, remote.maintenance is not None) for remote in report.remotes],
    ),
    (
        "remotestatus_remote_troubles",
        "How many things are wrong with a remote, by severity.",
        lambda report: [
            (
                {"remote": remote.name, "severity": severity.value},
                sum(trouble.severity is severity for trouble in remote.troubles),
            )
            for remote in report.remotes
            for severity in Severity
        ],
    ),
    ("remotestatus_remote_info", "What a remote is called, where it stands, and what it is reached through.", _infos),
    (
        "remotestatus_remote_connect_seconds",
        "From the start of the connection to a finished log-in.",
        lambda report: [
            ({"remote": remote.name}, remote.connect_ms / 1000)
            for remote in report.remotes
            if remote.connect_ms is not None
        ],
    ),
    (
        "remotestatus_processes",
        "How many processes match; 0 when it is absent, no series when that is unknown.",
        lambda report: [
            ({**labels, "process": process.name}, process.count)
            for labels, remote in looked_at(report)
            for process in remote.processes
            if process.count is not None
        ],
    ),
    (
        "remotestatus_process_wanted",
        "How many processes have to run at least.",
        lambda report: [
            ({**labels, "process": process.name}, process.min)
            for labels, remote in looked_at(report)
            for process in remote.processes
        ],
    ),
    (
        "remotestatus_remote_uptime_ratio",
        "Share of the observed time in which a remote was reachable.",
        lambda report: [
            ({"remote": remote.name, "span": span}, round(uptime.percent / 100, 5))
            for remote in report.remotes
            for span, uptime in remote.uptime.items()
            if uptime.percent is not None
        ],
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
