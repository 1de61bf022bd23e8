"""
Writes `status.json`, the part of a round that others may build on.

A Report comes in, JSON text goes out. Keys are only ever added while `schema` stays the same; times are RFC 3339 in
UTC, and what is not known is null.
"""

import json

from remotestatus.model.check_result import Trouble
from remotestatus.model.times import write_time
from remotestatus.report.build import WORDS, Report
from remotestatus.report.incidents import Incident
from remotestatus.report.machine_format import MachineFormat
from remotestatus.report.proxy_view import ProxyView
from remotestatus.report.remote_view import RemoteView
from remotestatus.report.worker_view import WorkerView

SCHEMA = 1


def write_status(report: Report) -> str:
    """The text of `status.json`."""
    document = {
        "schema": SCHEMA,
        "title": report.title,
        "generated_at": write_time(report.generated_at),
        "next_expected_at": write_time(report.next_expected_at),
        "round": {
            "id": report.round.id,
            "started_at": write_time(report.round.started_at),
            "finished_at": write_time(report.round.finished_at),
            "seconds": round(report.round.seconds, 3),
            "troubles": list(report.round.troubles),
        },
        "summary": {word: report.summary[word] for word in ("up", *(word for word in WORDS if word != "up"))},
        "proxies": [_proxy(proxy) for proxy in report.proxies],
        "workers": [_worker(worker) for worker in report.workers],
        "out_of_sight": [
            {"from": one.place, "proxy": one.proxy, "remotes": list(one.remotes)} for one in report.out_of_sight
        ],
        "remotes": [_remote(remote) for remote in report.remotes],
        "incidents": [_incident(incident) for incident in report.incidents],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _proxy(proxy: ProxyView) -> dict[str, object]:
    return {
        "name": proxy.name,
        "status": proxy.status.value,
        "cause": _cause(proxy.trouble),
        "since": write_time(proxy.since),
    }


def _worker(worker: WorkerView) -> dict[str, object]:
    return {
        "name": worker.name,
        "status": worker.status.value,
        "cause": _cause(worker.trouble),
        "since": write_time(worker.since),
    }


def _remote(remote: RemoteView) -> dict[str, object]:
    return {
        "name": remote.name,
        "nickname": remote.nickname,
        "description": remote.description,
        "location": remote.location,
        "groups": list(remote.groups),
        "proxy": remote.proxy,
        "remote_port": remote.remote_port,
        "virtual_port": remote.virtual_port,
        "status": remote.status.value,
        "since": write_time(remote.since),
        "maintenance": remote.maintenance is not None,
        "cause": _cause(remote.trouble),
        "connect_ms": remote.connect_ms,
        "severity": remote.severity.value if remote.severity else None,
        "troubles": [_trouble(trouble) for trouble in remote.troubles],
        "worker": remote.worker,
        "not_from": list(remote.not_from),
        "processes": [
            {"name": process.name, "running": process.running, "count": process.count} for process in remote.processes
        ],
        "uptime": {span: uptime.percent for span, uptime in remote.uptime.items()},
        "observed": {span: uptime.observed for span, uptime in remote.uptime.items()},
    }


def _cause(trouble: Trouble | None) -> dict[str, str] | None:
    if trouble is None:
        return None
    return {
        "code": trouble.cause.value,
        "message": trouble.message,
        "hint": trouble.hint,
        "detail": trouble.detail,
    }


def _trouble(trouble: Trouble) -> dict[str, str]:
    return {
        "code": trouble.cause.value,
        "severity": trouble.severity.value,
        "message": trouble.message,
        "hint": trouble.hint,
        "detail": trouble.detail,
    }


def _incident(incident: Incident) -> dict[str, object]:
    return {
        "subject": incident.name,
        "status": incident.status.value,
        "cause": incident.cause.value if incident.cause else None,
        "started_at": write_time(incident.started_at),
        "ended_at": write_time(incident.ended_at) if incident.ended_at else None,
    }


FORMAT = MachineFormat({"status.json": write_status})
