"""
Writes `status.json`, the part of a round that others may build on.

A Report comes in, JSON text goes out. What stands in it is declared, key by key, in `status_document.py`.
"""

from datetime import UTC, datetime

from remotestatus.model.check_result import Finding, Trouble
from remotestatus.model.times import write_time
from remotestatus.model.windows import Note, PlannedWindow
from remotestatus.report.build import WORDS, Report
from remotestatus.report.fact_table import facts_entry
from remotestatus.report.incidents import Incident
from remotestatus.report.machine_format import MachineFormat
from remotestatus.report.process_view import ProcessView, SeenProcess
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
from remotestatus.report.worker_view import WorkerView

SCHEMA = 1


def write_status(report: Report) -> str:
    """The text of `status.json`."""
    document = StatusDocument(
        schema=SCHEMA,
        title=report.title,
        generated_at=write_time(report.generated_at),
        next_expected_at=write_time(report.next_expected_at),
        round=RoundEntry(
            id=report.round.id,
            started_at=write_time(report.round.started_at),
            finished_at=write_time(report.round.finished_at),
            seconds=round(report.round.seconds, 3),
            troubles=report.round.troubles,
        ),
        summary={word: report.summary[word] for word in ("up", *(word for word in WORDS if word != "up"))},
        proxies=tuple(_proxy(proxy) for proxy in report.proxies),
        workers=tuple(_worker(worker) for worker in report.workers),
        out_of_sight=tuple(
            OutOfSightEntry(from_=one.place, proxy=one.proxy, remotes=one.remotes) for one in report.out_of_sight
        ),
        remotes=tuple(_remote(remote) for remote in report.remotes),
        incidents=tuple(_incident(incident) for incident in report.incidents),
        planned=tuple(_planned(window) for window in report.planned),
        notes=tuple(_note(note) for note in report.notes),
    )
    return write_document(document)


def _planned(window: PlannedWindow) -> PlannedEntry:
    return PlannedEntry(
        title=window.title, starts_at=write_time(window.starts), ends_at=write_time(window.until), note=window.note
    )


def _note(note: Note) -> NoteEntry:
    return NoteEntry(
        about=note.name or None,
        text=note.text,
        at=write_time(note.at),
        until=write_time(note.until) if note.until else None,
    )


def _proxy(proxy: ProxyView) -> ProxyEntry:
    looked = proxy.looked
    return ProxyEntry(
        name=proxy.name,
        status=proxy.status.value,
        cause=_cause(proxy.trouble),
        since=write_time(proxy.since),
        behind=proxy.behind,
        severity=proxy.severity.value if proxy.severity else None,
        troubles=tuple(_trouble(trouble) for trouble in proxy.troubles),
        processes=tuple(_process(process) for process in looked.processes) if looked else (),
        facts=facts_entry(looked) if looked else {},
        limits=tuple(_limit(finding) for finding in looked.findings if finding.kind == "limit") if looked else (),
        checks=tuple(_check(finding) for finding in looked.findings if finding.kind == "check") if looked else (),
        files=_files(looked) if looked else (),
        units=_units(looked) if looked else (),
        devices=_devices(looked) if looked else (),
        advice=looked.advice if looked else (),
        notes=looked.notes if looked else (),
    )


def _worker(worker: WorkerView) -> WorkerEntry:
    return WorkerEntry(
        name=worker.name,
        status=worker.status.value,
        cause=_cause(worker.trouble),
        since=write_time(worker.since),
    )


def _remote(remote: RemoteView) -> RemoteEntry:
    return RemoteEntry(
        name=remote.name,
        nickname=remote.nickname,
        description=remote.description,
        location=remote.location,
        groups=remote.groups,
        proxy=remote.proxy,
        remote_port=remote.remote_port,
        virtual_port=remote.virtual_port,
        status=remote.status.value,
        since=write_time(remote.since),
        maintenance=remote.maintenance is not None,
        cause=_cause(remote.trouble),
        connect_ms=remote.connect_ms,
        severity=remote.severity.value if remote.severity else None,
        troubles=tuple(_trouble(trouble) for trouble in remote.troubles),
        worker=remote.worker,
        not_from=remote.not_from,
        processes=tuple(_process(process) for process in remote.processes),
        facts=facts_entry(remote),
        limits=tuple(_limit(finding) for finding in remote.findings if finding.kind == "limit"),
        checks=tuple(_check(finding) for finding in remote.findings if finding.kind == "check"),
        files=_files(remote),
        units=_units(remote),
        devices=_devices(remote),
        advice=remote.advice,
        notes=remote.notes,
        seen_at=write_time(remote.seen_at),
        first_seen=write_time(remote.first_seen),
        attempts=remote.attempts,
        unconfirmed=remote.unconfirmed,
        acknowledged=remote.acknowledged is not None,
        uptime={span: uptime.percent for span, uptime in remote.uptime.items()},
        observed={span: uptime.observed for span, uptime in remote.uptime.items()},
    )


def _files(remote: RemoteView) -> tuple[FileEntry, ...]:
    return tuple(
        FileEntry(
            name=file.name,
            path=file.path,
            ok=file.ok,
            severity=None if file.ok else file.severity.value,
            message=file.sentence,
            count=file.count,
            age_seconds=file.age_seconds,
            size_bytes=file.size,
        )
        for file in remote.files
    )


def _units(remote: RemoteView) -> tuple[UnitEntry, ...]:
    return tuple(
        UnitEntry(
            unit=unit.unit,
            ok=unit.ok,
            severity=None if unit.ok else unit.severity.value,
            message=unit.sentence,
            active=unit.active,
            sub=unit.sub,
            result=unit.result,
            restarts=unit.restarts,
            since_seconds=unit.since_seconds,
        )
        for unit in remote.units
    )


def _devices(remote: RemoteView) -> tuple[DeviceEntry, ...]:
    return tuple(
        DeviceEntry(
            name=device.name,
            host=device.host,
            port=device.port,
            ok=device.ok,
            severity=None if device.ok else device.severity.value,
            message=device.sentence,
            connect_ms=device.connect_ms,
            certificate_until=_time_of(device.certificate_until),
        )
        for device in remote.devices
    )


def _cause(trouble: Trouble | None) -> CauseEntry | None:
    if trouble is None:
        return None
    return CauseEntry(code=trouble.cause.value, message=trouble.message, hint=trouble.hint, detail=trouble.detail)


def _trouble(trouble: Trouble) -> TroubleEntry:
    return TroubleEntry(
        code=trouble.cause.value,
        severity=trouble.severity.value,
        message=trouble.message,
        hint=trouble.hint,
        detail=trouble.detail,
        what=trouble.what,
        log=trouble.log,
    )


def _process(process: ProcessView) -> ProcessEntry:
    return ProcessEntry(
        name=process.name,
        running=process.running,
        count=process.count,
        min=process.min,
        max=process.max,
        restarted=process.restarted,
        matched=tuple(_seen(one) for one in process.matched),
    )


def _seen(process: SeenProcess) -> SeenEntry:
    return SeenEntry(
        pid=process.pid,
        user=process.user,
        command=process.command,
        started_at=write_time(process.started_at) if process.started_at else None,
        rss_bytes=None if process.rss_kb is None else 1024 * process.rss_kb,
    )


def _time_of(seconds: float | None) -> str | None:
    if seconds is None or not 0 < seconds < 253402300800:
        return None
    return write_time(datetime.fromtimestamp(seconds, UTC))


def _limit(finding: Finding) -> LimitEntry:
    return LimitEntry(
        name=finding.name,
        value=finding.number,
        warning=finding.warning,
        critical=finding.critical,
        severity=None if finding.ok else finding.severity.value,
        message=finding.sentence,
    )


def _check(finding: Finding) -> CheckEntry:
    return CheckEntry(
        name=finding.name,
        exit=finding.exit,
        text=finding.value,
        perfdata=finding.perfdata,
        severity=None if finding.ok else finding.severity.value,
    )


def _incident(incident: Incident) -> IncidentEntry:
    return IncidentEntry(
        subject=incident.name,
        status=incident.status.value,
        cause=incident.cause.value if incident.cause else None,
        started_at=write_time(incident.started_at),
        ended_at=write_time(incident.ended_at) if incident.ended_at else None,
    )


FORMAT = MachineFormat({"status.json": write_status})
