"""
Turns the playbook's answer for one remote or proxy into its CheckResult.

A missing answer (None) gives a CheckResult too. Processes of a remote that could not be checked are unknown, never
"not running".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from remotestatus_playbook.protocol import Outcome, ProxyAnswer, RemoteAnswer

from remotestatus.evaluate.diagnosis import diagnose
from remotestatus.evaluate.ended_processes import keep_endings, with_ending
from remotestatus.evaluate.files_units_devices import examine_devices, examine_files, examine_units
from remotestatus.evaluate.limits import examine_checks, examine_limits, examine_trends
from remotestatus.evaluate.log_files import remember_log_files
from remotestatus.evaluate.make_trouble import explain
from remotestatus.evaluate.process_matching import match
from remotestatus.evaluate.remembering import find_boot_loop, find_storage_faults, recall, remember
from remotestatus.evaluate.trends import disks_until_full
from remotestatus.evaluate.tunnel_advice import find_tunnels
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import MORE, PROCESSES, CheckResult, Finding, Trouble, most_severe_first
from remotestatus.model.days import Ranges
from remotestatus.model.facts import Facts
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.memory import Memory
from remotestatus.model.processes import Process, ProcessResult
from remotestatus.model.status_words import Severity
from remotestatus.model.untrusted_text import one_line
from remotestatus.model.watched import DeviceResult, FileResult, UnitResult


@dataclass(frozen=True, slots=True)
class Past:
    """What is known from before: the last check result, the check interval, and the daily ranges."""

    last: CheckResult | None = None
    every: timedelta = timedelta(minutes=10)
    ranges: Ranges = field(default_factory=dict)

    @property
    def memory(self) -> Memory:
        """The last Memory of the remote."""
        return self.last.memory if self.last else Memory()


def read_remote(remote: Remote, answer: RemoteAnswer | None, at: datetime, past: Past | None = None) -> CheckResult:
    """Make the CheckResult of one remote from the playbook's answer; `answer` is None when none came."""
    past = past or Past()
    if answer is None or answer.outcome is not Outcome.ANSWERED or answer.facts is None:
        trouble = diagnose(remote, answer) if answer else explain(Cause.NOT_CHECKED, remote)
        unknown, attempts = match(remote.settings.processes, None), answer.attempts if answer else 1
        return CheckResult(remote.name, at, (trouble,), processes=unknown, attempts=attempts, memory=past.memory)
    # Thousands of remotes have hundreds of processes each: match one remote at a time, and keep none.
    settings = remote.settings
    results = tuple(map(_shorten, match(settings.processes, answer.processes, complete=answer.processes_complete)))
    memory = keep_endings(remember(past.memory, answer.facts, at), past.last, results, at)
    memory = replace(memory, log_files=remember_log_files(past.memory.log_files, results, answer.log_files))
    facts = recall(memory, answer.facts)
    trends = examine_trends(settings.limits, disks_until_full(facts, past.ranges, at.date()))
    findings = (*examine_limits(settings.limits, facts), *trends, *examine_checks(settings.checks, answer.checks))
    files = examine_files(settings.files, answer.files)
    units = examine_units(settings.units, answer.units, facts, past.last.units if past.last else ())
    devices = examine_devices(settings.devices, answer.devices, at)
    troubles = (
        *find_boot_loop(remote, memory, at, past.every),
        *find_storage_faults(remote, memory, facts),
        *_find_troubles(remote, results, findings, facts, memory),
        *_find_watched(remote, files, units, devices),
    )
    return CheckResult(
        name=remote.name,
        at=at,
        troubles=_most_severe(remote, troubles),
        connect_ms=answer.connect_ms,
        processes=results,
        findings=findings,
        facts=facts,
        attempts=answer.attempts,
        files=files,
        units=units,
        devices=devices,
        tunnels=find_tunnels(answer.processes) if remote.path else (),
        memory=memory,
    )


def read_unlooked(subject: Remote | Proxy, worker: str, at: datetime) -> CheckResult:
    """Make the CheckResult of a remote, or a proxy before it, that only unreachable workers may check."""
    trouble = explain(Cause.WORKER_UNREACHABLE, subject, proxy=worker)
    processes = match(subject.settings.processes, None) if isinstance(subject, Remote) else ()
    return CheckResult(subject.name, at, (trouble,), processes=processes, worker=worker)


def read_proxy(proxy: Proxy, answer: ProxyAnswer | None, at: datetime) -> CheckResult:
    """Make the CheckResult of one proxy from the playbook's answer; `answer` is None when none came."""
    blank = CheckResult(name=proxy.name, at=at)
    if answer is None:
        return replace(blank, troubles=(explain(Cause.NOT_CHECKED, proxy),))
    if answer.outcome is Outcome.ANSWERED:
        return replace(blank, connect_ms=answer.connect_ms, attempts=answer.attempts)
    return replace(blank, troubles=(diagnose(proxy, answer),), attempts=answer.attempts)


def _find_troubles(
    remote: Remote, results: Sequence[ProcessResult], findings: Sequence[Finding], facts: Facts, memory: Memory
) -> Iterator[Trouble]:
    """Find what is wrong on a remote that was reached: one trouble for each finding."""
    if any(result.running is None for result in results):
        slow = [f"searching {one.name} in its command lines takes too long" for one in results if one.too_slow]
        note = one_line("; ".join((*slow, *facts.notes)) or "it has neither /proc nor a working ps")
        names = ["its processes could not all be listed"]
        yield explain(Cause.CHECK_FAILED, remote, names=names, what=PROCESSES, severity=Severity.WARNING, detail=note)
    for cause, wrong in (
        (Cause.PROCESS_MISSING, [result for result in results if result.missing]),
        (Cause.PROCESS_EXCESS, [result for result in results if result.excess]),
    ):
        for result in wrong:
            names = [result.phrase]
            yield with_ending(explain(cause, remote, names=names, what=result.name, severity=result.severity), memory)
    for one in findings:
        if not one.ok:
            cause, what = one.key
            yield explain(cause, remote, names=[one.sentence], what=what, severity=one.severity)


TROUBLES_KEPT = 50
"""Most troubles kept of one remote, because a remote decides how many file systems it has."""


def _most_severe(remote: Remote, troubles: Sequence[Trouble]) -> tuple[Trouble, ...]:
    """Keep the most severe troubles; if some are left out, a last one counts them."""
    ordered = most_severe_first(troubles)
    if len(ordered) <= TROUBLES_KEPT:
        return ordered
    more = [f"{len(ordered) - TROUBLES_KEPT} more things are wrong than are listed"]
    cause, what = MORE
    rest = explain(cause, remote, names=more, what=what, severity=Severity.WARNING)
    return (*ordered[:TROUBLES_KEPT], rest)


MATCHED_KEPT = 50
"""Most processes kept per rule; the page shows fewer, and `count` counts them all."""

ARGUMENTS_KEPT = 2000
"""Characters kept of a process's command line, for the page and the history."""


def _shorten(result: ProcessResult) -> ProcessResult:
    """Cut a result before it is stored, because a remote decides how long its command lines are."""
    matched = tuple(map(_cut_arguments, result.matched[:MATCHED_KEPT]))
    near = tuple(replace(one, process=_cut_arguments(one.process)) for one in result.near)
    return replace(result, matched=matched, near=near)


def _cut_arguments(process: Process) -> Process:
    left, argv = ARGUMENTS_KEPT, []
    for argument in process.argv:
        if left <= 0:
            argv.append("…")
            break
        argv.append(argument if len(argument) <= left else argument[:left] + "…")
        left -= len(argument) + 1
    return process if len(argv) == len(process.argv) and left >= 0 else replace(process, argv=tuple(argv))


def _find_watched(
    remote: Remote, files: Sequence[FileResult], units: Sequence[UnitResult], devices: Sequence[DeviceResult]
) -> Iterator[Trouble]:
    """Make the troubles of watched files, units and devices; `check-failed` if one could not be examined."""
    found: list[tuple[Cause, str, str, FileResult | UnitResult | DeviceResult]]
    found = [(Cause.FILE_STALE, one.name, f"{one.name}: {one.sentence}", one) for one in files]
    found += [(Cause.UNIT_FAILED, one.unit, f"{one.unit}: {one.sentence}", one) for one in units]
    # A device that was not probed is no trouble: a second attempt does not probe all.
    found += [
        (Cause.DEVICE_UNREACHABLE, one.name, f"{one.name} ({one.host}:{one.port}): {one.sentence}", one)
        for one in devices
        if one.ok is not None
    ]
    for cause, what, phrase, one in found:
        if one.ok is None:
            yield explain(Cause.CHECK_FAILED, remote, names=[phrase], what=what, severity=Severity.WARNING)
        elif not one.ok:
            yield explain(cause, remote, names=[phrase], what=what, severity=one.severity)
