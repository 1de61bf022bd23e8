"""
Writes `status.json`, the part of a round that others may build on.

A Report comes in, JSON text goes out. What stands in it is declared, key by key, in `status_document.py`. A key has the
value of the field of that name of what is written, unless it is given here.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from remotestatus.model.check_result import Finding, Trouble
from remotestatus.model.statuses import Severity
from remotestatus.model.times import write_time
from remotestatus.model.watched import DeviceResult, FileResult, UnitResult
from remotestatus.report.build import WORDS, Report
from remotestatus.report.fact_table import facts_entry
from remotestatus.report.machine_format import MachineFormat
from remotestatus.report.process_view import ProcessView
from remotestatus.report.proxy_view import ProxyView
from remotestatus.report.remote_view import RemoteView
from remotestatus.report.status_document import (
    CauseEntry,
    CheckEntry,
    DeviceEntry,
    FileEntry,
    IncidentEntry,
    LimitEntry,
    NoteEntry,
    OutOfSightEntry,
    PlannedEntry,
    ProcessEntry,
    ProxyEntry,
    RemoteEntry,
    RoundEntry,
    SeenEntry,
    StatusDocument,
    TroubleEntry,
    UnitEntry,
    WorkerEntry,
    write_document,
)

Entry = TypeVar("Entry")

SCHEMA = 1


def write_status(report: Report) -> str:
    """The text of `status.json`."""
    document = _entry(
        StatusDocument,
        report,
        schema=SCHEMA,
        round=_entry(RoundEntry, report.round, seconds=round(report.round.seconds, 3)),
        summary={word: report.summary[word] for word in ("up", *(word for word in WORDS if word != "up"))},
        proxies=tuple(_proxy(proxy) for proxy in report.proxies),
        workers=tuple(_entry(WorkerEntry, worker, cause=_cause(worker.trouble)) for worker in report.workers),
        out_of_sight=tuple(_entry(OutOfSightEntry, one, from_=one.place) for one in report.out_of_sight),
        remotes=tuple(_remote(remote) for remote in report.remotes),
        incidents=tuple(_entry(IncidentEntry, one, subject=one.name) for one in report.incidents),
        planned=tuple(
            _entry(PlannedEntry, one, starts_at=write_time(one.starts), ends_at=write_time(one.until))
            for one in report.planned
        ),
        notes=tuple(_entry(NoteEntry, one, about=one.name or None) for one in report.notes),
    )
    return write_document(document)


def _entry(kind: type[Entry], item: object, **given: object) -> Entry:
    """An entry of this kind: what is not given has the value of the item's field of the same name, times as text."""
    for name in kind.__annotations__:
        if name not in given:
            value = getattr(item, name)
            given[name] = write_time(value) if isinstance(value, datetime) else value
    return kind(**given)


def _proxy(proxy: ProxyView) -> ProxyEntry:
    seen = _seen(proxy.looked) if proxy.looked else _NOT_SEEN
    return _entry(ProxyEntry, proxy, cause=_cause(proxy.trouble), troubles=_troubles(proxy.troubles), **seen)


def _remote(remote: RemoteView) -> RemoteEntry:
    return _entry(
        RemoteEntry,
        remote,
        maintenance=remote.maintenance is not None,
        connect_ms=remote.latest.connect_ms,
        attempts=remote.latest.attempts,
        cause=_cause(remote.trouble),
        troubles=_troubles(remote.troubles),
        acknowledged=remote.acknowledged is not None,
        uptime={span: uptime.percent for span, uptime in remote.uptime.items()},
        observed={span: uptime.observed for span, uptime in remote.uptime.items()},
        **_seen(remote),
    )


def _seen(remote: RemoteView) -> dict[str, object]:
    """What was seen on a remote, or on a proxy that is looked at as a remote is."""
    latest = remote.latest
    return {
        "processes": tuple(_process(process) for process in latest.processes),
        "facts": facts_entry(remote),
        "limits": tuple(_limit(finding) for finding in latest.findings if finding.kind == "limit"),
        "checks": tuple(_check(finding) for finding in latest.findings if finding.kind == "check"),
        "files": tuple(
            _entry(FileEntry, one, severity=_severity(one), message=one.sentence, size_bytes=one.size)
            for one in latest.files
        ),
        "units": tuple(_entry(UnitEntry, one, severity=_severity(one), message=one.sentence) for one in latest.units),
        "devices": tuple(_device(device) for device in latest.devices),
        "advice": remote.advice,
        "notes": latest.notes,
    }


_NOT_SEEN: dict[str, object] = {"facts": {}} | dict.fromkeys(
    ("processes", "limits", "checks", "files", "units", "devices", "advice", "notes"), ()
)


def _device(device: DeviceResult) -> DeviceEntry:
    until = _time_of(device.certificate_until)
    return _entry(DeviceEntry, device, severity=_severity(device), message=device.sentence, certificate_until=until)


def _cause(trouble: Trouble | None) -> CauseEntry | None:
    return _entry(CauseEntry, trouble, code=trouble.cause) if trouble else None


def _troubles(troubles: Iterable[Trouble]) -> tuple[TroubleEntry, ...]:
    return tuple(_entry(TroubleEntry, trouble, code=trouble.cause) for trouble in troubles)


def _process(process: ProcessView) -> ProcessEntry:
    matched = tuple(
        _entry(SeenEntry, one, rss_bytes=None if one.rss_kb is None else 1024 * one.rss_kb) for one in process.matched
    )
    return _entry(ProcessEntry, process, matched=matched)


def _limit(finding: Finding) -> LimitEntry:
    severity = _severity(finding)
    return _entry(LimitEntry, finding, value=finding.number, severity=severity, message=finding.sentence)


def _check(finding: Finding) -> CheckEntry:
    return _entry(CheckEntry, finding, text=finding.value, severity=_severity(finding))


def _severity(one: Finding | FileResult | UnitResult | DeviceResult) -> Severity | None:
    return None if one.ok else one.severity


def _time_of(seconds: float | None) -> str | None:
    if seconds is None or not 0 < seconds < 253402300800:
        return None
    return write_time(datetime.fromtimestamp(seconds, UTC))


FORMAT = MachineFormat({"status.json": write_status})
