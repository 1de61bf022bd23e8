"""
Writes `metrics.prom` in the OpenMetrics text format 1.0.

A Report comes in, text goes out, complete with `# EOF`. A status is one series for each status there is, 1 for the one
that holds and 0 for the others, so that an alert never depends on a series that is not there; a process that does not
run is a 0 and never a gap, and one that nobody could look at has no value at all.
"""

from collections.abc import Iterable, Iterator

from remotestatus.model.statuses import Status
from remotestatus.report.build import WORDS, Report

Labels = dict[str, str]
Sample = tuple[Labels, float]


def write_metrics(report: Report) -> str:
    """The text of `metrics.prom`."""
    lines: list[str] = []
    for name, unit, about, samples in _families(report):
        lines.append(f"# TYPE {name} gauge")
        if unit:
            lines.append(f"# UNIT {name} {unit}")
        lines.append(f"# HELP {name} {_escape(about)}")
        lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
    lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _families(report: Report) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
    remotes = report.remotes
    yield (
        "remotestatus_last_round_timestamp_seconds",
        "seconds",
        "When the last round was finished.",
        [({}, report.round.finished_at.timestamp())],
    )
    yield "remotestatus_round_seconds", "seconds", "How long it took.", [({}, round(report.round.seconds, 3))]
    yield (
        "remotestatus_round_interval_seconds",
        "seconds",
        "How often a round is due.",
        [({}, report.every.total_seconds())],
    )
    yield (
        "remotestatus_round_troubles",
        "",
        "What went wrong with the round itself.",
        [({}, len(report.round.troubles))],
    )
    yield (
        "remotestatus_remotes",
        "",
        "How many remotes have a status; those in maintenance are counted only there.",
        [({"status": word}, report.summary[word]) for word in WORDS],
    )
    yield (
        "remotestatus_proxy_status",
        "",
        "1 for the status that a proxy has, 0 for the others.",
        [
            ({"proxy": proxy.name, "status": status.value}, proxy.status is status)
            for proxy in report.proxies
            for status in Status
        ],
    )
    yield (
        "remotestatus_remote_status",
        "",
        "1 for the status that a remote has, 0 for the others.",
        [
            ({"remote": remote.name, "status": status.value}, remote.status is status)
            for remote in remotes
            for status in Status
        ],
    )
    yield (
        "remotestatus_remote_since_timestamp_seconds",
        "seconds",
        "Since when a remote has its status.",
        [({"remote": remote.name}, remote.since.timestamp()) for remote in remotes],
    )
    yield (
        "remotestatus_remote_maintenance",
        "",
        "Whether a remote is in maintenance.",
        [({"remote": remote.name}, remote.maintenance is not None) for remote in remotes],
    )
    yield (
        "remotestatus_remote_info",
        "",
        "What a remote is called, where it stands, and what it is reached through.",
        [
            (
                {
                    "remote": remote.name,
                    "nickname": remote.nickname,
                    "location": remote.location,
                    "group": remote.group,
                    "proxy": remote.proxy or "",
                },
                1,
            )
            for remote in remotes
        ],
    )
    yield (
        "remotestatus_remote_connect_seconds",
        "seconds",
        "From the start of the connection to a finished log-in.",
        [({"remote": remote.name}, remote.connect_ms / 1000) for remote in remotes if remote.connect_ms is not None],
    )
    processes = [(remote.name, process) for remote in remotes for process in remote.processes]
    yield (
        "remotestatus_process_count",
        "",
        "How many processes match; 0 when it is absent, no series when nobody could look.",
        [
            ({"remote": name, "process": process.name}, process.count)
            for name, process in processes
            if process.count is not None
        ],
    )
    yield (
        "remotestatus_process_wanted",
        "",
        "How many processes have to run at least.",
        [({"remote": name, "process": process.name}, process.min) for name, process in processes],
    )
    yield (
        "remotestatus_remote_uptime_ratio",
        "ratio",
        "Share of the observed time in which a remote was reachable.",
        [
            ({"remote": remote.name, "span": span}, round(uptime.percent / 100, 5))
            for remote in remotes
            for span, uptime in remote.uptime.items()
            if uptime.percent is not None
        ],
    )


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(text: str) -> str:
    """Escape as OpenMetrics says (section "ABNF", escaped-string)."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
