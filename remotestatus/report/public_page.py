"""
Redacts a ReportInput for public pages: addresses, ports, users, arguments, raw errors.

It is redacted before the report is built, so that no template or machine format can leak. What an administrator wrote
for people stays: nicknames, descriptions, locations, names that were given to processes, and the notes of
acknowledgements. Only the settings that are named here stay. fact_table.py decides which facts stay.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from remotestatus.model.check_result import CheckResult, Finding, Trouble
from remotestatus.model.fleet import Fleet, Proxy, Remote, SshAccess, Worker
from remotestatus.model.inventory_variables import FileSpec, ProcessSpec, RemoteSettings, WorkerSpec
from remotestatus.model.period_report import PeriodReport
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind, Subject, Transition
from remotestatus.model.text import count
from remotestatus.model.watched import DeviceResult, FileResult, UnitResult
from remotestatus.model.windows import PlannedWindow
from remotestatus.report.fact_table import public_facts

T = TypeVar("T")

ROUND_TROUBLE = "A part of this round failed; its administrators know more."


def redact(report_input: ReportInput) -> ReportInput:
    """Redact the input for a public page."""
    fleet, round_ = report_input.fleet, report_input.round
    names = _Names.of(fleet)
    own_names = {shown: name for name, shown in (*names.proxies.items(), *names.remotes.items())}
    settings = {remote.name: remote.settings for remote in (*fleet.looked_at, *fleet.remotes)}

    def measured(name: str) -> CheckResult | None:
        own = own_names.get(name, name)
        found = report_input.measured(own)
        return None if found is None else _check_result(found, settings.get(own, RemoteSettings()), names)

    return replace(
        report_input,
        fleet=_fleet(fleet, names),
        round=replace(round_, troubles=(ROUND_TROUBLE,) if round_.troubles else ()),
        states={
            (kind, names(kind, name)): replace(state, name=names(kind, name), troubles=_troubles(state.troubles))
            for (kind, name), state in report_input.states.items()
        },
        check_results=_check_results(report_input.check_results, settings, names),
        before=_check_results(report_input.before, settings, names),
        transitions=[_transition(transition, names) for transition in report_input.transitions],
        days=_renamed(report_input.days, names),
        first_seen=_renamed(report_input.first_seen, names),
        samples=lambda name: report_input.samples(own_names.get(name, name)),
        measured_at={names.of_either(name): at for name, at in report_input.measured_at.items()},
        measured=measured,
        maintenance={names(Kind.REMOTE, name): "" for name in report_input.maintenance},
        acknowledgements=_renamed(report_input.acknowledgements, names),
        messages={},
        ssh=SshAccess(),
        inventory_option="",
        ranges=lambda _: {},
        failing=(),
        planned=[_planned(window, names) for window in report_input.planned],
        regular=_regular(report_input.regular, names) if report_input.regular else None,
        notes=[replace(note, name=names.of_either(note.name)) for note in report_input.notes],
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """The public names; a name that is an address is replaced."""

    remotes: Mapping[str, str]
    proxies: Mapping[str, str]
    workers: Mapping[str, str]

    @classmethod
    def of(cls, fleet: Fleet) -> "_Names":
        remotes = _distinct(
            (remote.name, remote.settings.nickname or f"remote-{number}")
            if _is_address(remote.name, remote.address)
            else (remote.name, remote.name)
            for number, remote in enumerate(fleet.remotes, start=1)
        )
        proxies = _distinct(
            (proxy.name, proxy.name)
            if proxy.in_inventory and not _is_address(proxy.name, proxy.address)
            else (proxy.name, f"proxy-{number}")
            for number, proxy in enumerate(fleet.proxies, start=1)
        )
        workers = _distinct(
            # Its address is unknown here, and may be its name.
            (worker.name, f"worker-{number}" if _is_address(worker.name, worker.name) else worker.name)
            for number, worker in enumerate(fleet.workers, start=1)
        )
        return cls(remotes, proxies, workers)

    def of_either(self, name: str) -> str:
        """Return the public name of a remote or a proxy; anything else stays."""
        return self.remotes.get(name, self.proxies.get(name, name))

    def __call__(self, kind: Kind, name: str) -> str:
        of_kind = {Kind.REMOTE: self.remotes, Kind.PROXY: self.proxies, Kind.WORKER: self.workers}
        return of_kind[kind].get(name, name)


def _distinct(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    taken: set[str] = set()
    # Unchanged names first, so that no renamed one can take them.
    for name, shown in sorted(pairs, key=lambda pair: pair[0] != pair[1]):
        free, number = shown, 2
        while free in taken:
            free, number = f"{shown}-{number}", number + 1
        found[name] = free
        taken.add(free)
    return found


def _is_address(name: str, address: str) -> bool:
    if "@" in name or (name == address and ("." in name or ":" in name)):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return re.fullmatch(r"[\d.]+:\d+", name) is not None
    return True


def _renamed(found: Mapping[Subject, T], names: _Names) -> dict[Subject, T]:
    return {(kind, names(kind, name)): value for (kind, name), value in found.items()}


def _fleet(fleet: Fleet, names: _Names) -> Fleet:
    return Fleet(
        tuple(_remote(remote, names) for remote in fleet.remotes),
        tuple(_proxy(proxy, names) for proxy in fleet.proxies),
        fleet.settings,
        tuple(_worker(worker, names) for worker in fleet.workers),
        looked_at=tuple(_remote(proxy, names) for proxy in fleet.looked_at),
    )


def _remote(remote: Remote, names: _Names) -> Remote:
    settings = remote.settings
    return Remote(
        name=names.of_either(remote.name),
        groups=remote.groups,
        settings=RemoteSettings(
            nickname=settings.nickname,
            description=settings.description,
            location=settings.location,
            fail_after=settings.fail_after,
            recover_after=settings.recover_after,
        ),
        connection=remote.connection,
        path=tuple(names.proxies.get(proxy, proxy) for proxy in remote.path),
    )


def _proxy(proxy: Proxy, names: _Names) -> Proxy:
    name = names.proxies[proxy.name]
    path = tuple(names.proxies.get(other, other) for other in proxy.path)
    return Proxy(name=name, alias=name, address="", port=None, user=None, path=path)


def _worker(worker: Worker, names: _Names) -> Worker:
    name = names.workers[worker.name]
    return Worker(name, WorkerSpec(name=name), frozenset(names.remotes.get(one, one) for one in worker.only))


def _titles(kind: str, specs: Iterable[ProcessSpec | FileSpec]) -> list[str]:
    return [spec.name or f"{kind} {number}" for number, spec in enumerate(specs, start=1)]


def _check_results(
    results: Mapping[str, CheckResult], settings: Mapping[str, RemoteSettings], names: _Names
) -> dict[str, CheckResult]:
    redacted = (_check_result(one, settings.get(one.name, RemoteSettings()), names) for one in results.values())
    return {result.name: result for result in redacted}


def _check_result(result: CheckResult, settings: RemoteSettings, names: _Names) -> CheckResult:
    specs = settings.processes
    files = {spec.title: title for spec, title in zip(settings.files, _titles("file", settings.files), strict=True)}
    devices = {spec.title: spec.name for spec in settings.devices}
    shown = {spec.title: title for spec, title in zip(specs, _titles("process", specs), strict=True)}
    return CheckResult(
        name=names.of_either(result.name),
        at=result.at,
        troubles=_troubles(result.troubles),
        connect_ms=result.connect_ms,
        processes=tuple(
            replace(process, name=shown.get(process.name) or f"process {number}", matched=(), near=())
            for number, process in enumerate(result.processes, start=1)
        ),
        findings=tuple(_finding(finding) for finding in result.findings),
        facts=public_facts(result.facts),
        attempts=result.attempts,
        worker=None if result.worker is None else names(Kind.WORKER, result.worker),
        files=tuple(
            FileResult(files.get(one.name) or f"file {number}", "", one.ok, "", one.severity)
            for number, one in enumerate(result.files, start=1)
        ),
        devices=tuple(
            DeviceResult(devices.get(one.name) or f"device {number}", "", 0, one.ok, "", one.severity)
            for number, one in enumerate(result.devices, start=1)
        ),
        units=tuple(
            UnitResult(f"unit {number}", one.ok, "", one.severity) for number, one in enumerate(result.units, start=1)
        ),
    )


def _finding(finding: Finding) -> Finding:
    if finding.kind == "limit":
        return replace(finding, perfdata="")
    return Finding(finding.kind, finding.name, finding.ok, "passed" if finding.ok else "failed")


def _transition(transition: Transition, names: _Names) -> Transition:
    (trouble,) = _troubles((transition.trouble,)) if transition.trouble else (None,)
    return replace(transition, name=names(transition.kind, transition.name), trouble=trouble)


def _planned(window: PlannedWindow, names: _Names) -> PlannedWindow:
    shown = frozenset(names.of_either(name) for name in window.names)
    title = window.title
    if window.names and shown != window.names:
        # The title may contain names that are addresses.
        title = names.of_either(title) if title in window.names else count(len(shown), "remote")
    return replace(window, title=title, names=shown)


def _regular(report: PeriodReport, names: _Names) -> PeriodReport:
    return replace(
        report,
        least=tuple(replace(one, name=names.of_either(one.name)) for one in report.least),
        flapped=tuple(names.of_either(name) for name in report.flapped),
        lasting=tuple(replace(one, name=names.of_either(one.name), message="") for one in report.lasting),
        planned=tuple(_planned(window, names) for window in report.planned),
    )


def _troubles(troubles: Iterable[Trouble]) -> tuple[Trouble, ...]:
    """Keep only their causes and severities, each once, so that numbers are not public."""
    kinds = dict.fromkeys((trouble.cause, trouble.severity) for trouble in troubles)
    return tuple(Trouble(cause, cause.declaration.public, severity=severity) for cause, severity in kinds)
