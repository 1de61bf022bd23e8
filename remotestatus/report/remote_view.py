"""
Makes the RemoteView of one remote, for its page, its row in the summary and the machine formats.

It uses the Remote, its State, check result, days and samples.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from remotestatus.evaluate import Uptime, advise, begin_today, disks_until_full, no_days, uptimes
from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.check_result import CheckResult, Finding, HasTroubles, Trouble
from remotestatus.model.days import PastDays, Ranges
from remotestatus.model.durations import say_duration
from remotestatus.model.facts import Facts
from remotestatus.model.fleet import Remote
from remotestatus.model.messages import SentMessage
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.status_words import Status
from remotestatus.model.times import write_time
from remotestatus.model.watched import DeviceResult, FileResult, UnitResult
from remotestatus.report.charts import Chart, RangeChart, draw_chart, draw_ranges
from remotestatus.report.clean_text import clean, clean_all, clean_trouble
from remotestatus.report.fact_table import write_facts
from remotestatus.report.incidents import Incident, open_note
from remotestatus.report.process_view import ProcessView, view_processes
from remotestatus.report.ssh_command import write_ssh_command

CHART_SAMPLES = 240
"""Log-in times in the chart: fewer than are kept, so that the chart is stable for an hour."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """
    The values of a check result that differ in every round, as clean text; `said` as the remote said it.

    `trends`, `filling` and `chart` are on the page of the remote alone.
    """

    at: datetime
    connect_ms: int | None
    attempts: int
    processes: tuple[ProcessView, ...]
    findings: tuple[Finding, ...]
    said: Facts
    notes: tuple[str, ...]
    files: tuple[FileResult, ...]
    units: tuple[UnitResult, ...]
    devices: tuple[DeviceResult, ...]
    trends: tuple[RangeChart, ...] = ()
    filling: tuple[str, ...] = ()
    chart: Chart | None = None

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """The facts that it said, as text for people: labels and values."""
        return tuple(write_facts(self.said))


@dataclass(frozen=True, slots=True)
class RemoteView(HasTroubles):
    """
    What the pages show of one remote.

    `latest` is what the last check result measured. The remote's page shows `measurements()` instead, which were made
    at `measured_at` and are renewed less often, so that it is not written in every round.
    """

    name: str
    slug: str
    nickname: str
    description: str
    location: str
    groups: tuple[str, ...]
    group: str
    path: tuple[str, ...]
    connection: str
    program: str
    address: str
    user: str
    remote_port: int | None
    virtual_port: int | None
    status: Status
    since: datetime
    seen_at: datetime
    first_seen: datetime
    maintenance: str | None
    troubles: tuple[Trouble, ...]
    unconfirmed: str
    latest: Measurements
    worker: str | None
    not_from: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]
    uptime: Mapping[str, Uptime]
    past: PastDays
    measured_at: datetime
    measurements: Callable[[], Measurements]
    incidents: tuple[Incident, ...] = ()
    messages: tuple[SentMessage, ...] = ()
    advice: tuple[str, ...] = ()
    new_oom_kills: int | None = None

    @property
    def said(self) -> Facts:
        """Its facts, for machine formats."""
        return self.latest.said

    @property
    def title(self) -> str:
        """What people call it: the nickname, else the inventory name."""
        return self.nickname or self.name

    @property
    def proxy(self) -> str | None:
        """The proxy that its tunnel ends at, or None when it is reached directly."""
        return self.path[-1] if self.path else None

    @property
    def acknowledged(self) -> Acknowledgement | None:
        """The acknowledgement of the open incident."""
        return open_note(self.incidents)

    @property
    def note(self) -> str:
        """Notes on its status: not confirmed yet, not reached from some places."""
        partly = f"not from {', '.join(self.not_from)}" if self.not_from else ""
        return "; ".join(filter(None, (self.unconfirmed, partly)))

    @property
    def word(self) -> str:
        """Its status, or `maintenance`, for counts and filters."""
        return "maintenance" if self.maintenance is not None else self.status.value

    @property
    def needs_attention(self) -> bool:
        """Whether it is not up, and not in maintenance."""
        return self.status is not Status.UP and self.maintenance is None

    @property
    def running(self) -> str:
        """How many of its processes run: `all`, `2 of 3`, `unknown`, or empty if none have to."""
        processes = self.latest.processes
        if not processes:
            return ""
        if any(process.ok is None for process in processes):
            return "unknown"
        fine = sum(bool(process.ok) for process in processes)
        return "all" if fine == len(processes) else f"{fine} of {len(processes)}"


def view_remote(
    remote: Remote,
    slug: str,
    group: str,
    report_input: ReportInput,
    incidents: tuple[Incident, ...],
    now: datetime,
    kind: Kind = Kind.REMOTE,
) -> RemoteView:
    """Make the RemoteView of one remote that has a State, or of a proxy that is probed like one."""
    subject = (kind, remote.name)
    state, settings = report_input.states[subject], remote.settings
    result = report_input.check_results.get(remote.name) or CheckResult(remote.name, now)
    past = days_of(subject, report_input, now)
    latest = _measured(result, view_processes(result, report_input.before.get(remote.name)))
    measured_at = report_input.measured_at.get(remote.name, result.at)
    return _described(remote, slug, group)(
        status=state.status,
        since=state.since,
        seen_at=state.seen_at,
        first_seen=report_input.first_seen.get(subject, state.since),
        maintenance=clean(report_input.maintenance[remote.name]) if remote.name in report_input.maintenance else None,
        troubles=tuple(map(clean_trouble, state.troubles)),
        unconfirmed=say_unconfirmed(state, settings.fail_after, settings.recover_after),
        worker=result.worker,
        not_from=result.not_from,
        latest=latest,
        commands=tuple(_commands(remote, report_input)),
        uptime=uptimes(past),
        past=past,
        measured_at=measured_at,
        measurements=lambda: _measurements(remote.name, result, latest, measured_at, report_input),
        incidents=incidents,
        messages=_newest_first(report_input.messages.get(subject, ())),
        advice=_advice(remote, report_input) if kind is Kind.REMOTE else (),
        new_oom_kills=result.memory.new_oom_kills,
    )


def days_of(subject: Subject, report_input: ReportInput, now: datetime) -> PastDays:
    """Return the days of a remote or proxy until now."""
    word = "maintenance" if subject[1] in report_input.maintenance else report_input.states[subject].status.value
    return begin_today(report_input.days.get(subject) or no_days(now), word)


def _described(remote: Remote, slug: str, group: str) -> "partial[RemoteView]":
    """Make a view with only the inventory's values of a remote, and its slug."""
    settings = remote.settings
    return partial(
        RemoteView,
        name=clean(remote.name),
        slug=slug,
        nickname=clean(settings.nickname),
        description=clean(settings.description, 4000),
        location=clean(settings.location),
        groups=tuple(clean(name) for name in remote.groups),
        group=clean(group),
        path=tuple(clean(proxy) for proxy in remote.path),
        connection=remote.connection,
        program=clean(remote.program),
        address=clean(remote.address),
        user=clean(remote.user or ""),
        remote_port=remote.port,
        virtual_port=settings.forwarded_port,
    )


def _measured(result: CheckResult, processes: tuple[ProcessView, ...]) -> Measurements:
    return Measurements(
        at=result.at,
        connect_ms=result.connect_ms,
        attempts=result.attempts,
        processes=processes,
        findings=tuple(clean_all(finding, value=500, perfdata=1000) for finding in result.findings),
        said=result.facts,
        notes=tuple(clean(note) for note in result.facts.notes),
        files=tuple(clean_all(file, path=1000) for file in result.files),
        units=tuple(map(clean_all, result.units)),
        devices=tuple(map(clean_all, result.devices)),
    )


def _measurements(
    name: str, result: CheckResult, latest: Measurements, at: datetime, report_input: ReportInput
) -> Measurements:
    """Read what the page shows: the last check result, or that of an earlier round."""
    shown, measured = result, latest
    # The history keeps whole seconds.
    if write_time(at) != write_time(result.at) and (earlier := report_input.measured(name)):
        restarted = {process.name for process in latest.processes if process.restarted}
        processes = tuple(replace(one, restarted=one.name in restarted) for one in view_processes(earlier, None))
        shown, measured = earlier, _measured(earlier, processes)
    ranges = {} if report_input.fleet.settings.public else report_input.ranges(name)
    samples = [sample for sample in report_input.samples(name) if sample.at <= at]
    return replace(
        measured,
        trends=tuple(replace(one, label=clean(one.label)) for one in draw_ranges(ranges)),
        filling=tuple(_say_filling(shown, ranges)),
        chart=draw_chart(samples[-CHART_SAMPLES:]),
    )


def _advice(remote: Remote, report_input: ReportInput) -> tuple[str, ...]:
    """Write advice on its tunnel; a public page has none, because it names ports."""
    if report_input.fleet.settings.public or not remote.path:
        return ()
    return tuple(clean(sentence, 400) for sentence in advise(remote, report_input.fleet, report_input.check_results))


def _say_filling(result: CheckResult, ranges: Ranges) -> Iterator[str]:
    """Write a sentence for each disk that is filling up."""
    for mount, days in disks_until_full(result.facts, ranges, result.at.date()).items():
        yield f"Disk {clean(mount)} is full in about {say_duration(timedelta(days=days))} at this rate."


def say_unconfirmed(state: State, fail_after: int, recover_after: int) -> str:
    """Say how many rounds of a status are counted: `not yet confirmed, 1 of 3`; empty when it is confirmed."""
    if state.status is state.confirmed or state.status is Status.UNKNOWN:
        return ""
    if state.status is Status.UP:
        return f"recovery not yet confirmed, {min(state.good, recover_after)} of {recover_after}"
    return f"not yet confirmed, {min(state.bad, fail_after)} of {fail_after}"


def _commands(remote: Remote, report_input: ReportInput) -> Iterable[tuple[str, str]]:
    """List commands to reach it: with remotestatus, and with plain ssh and all options of the inventory."""
    if remote.connection != "ssh" or report_input.fleet.settings.public:
        return
    name, option = shlex.quote(remote.name), report_input.inventory_option
    yield "With remotestatus", clean(" ".join(filter(None, ("remotestatus ssh", option, name))), 1000)
    command = write_ssh_command(remote.name, remote.path, report_input.ssh)
    if command and command == clean(command, 8000):  # else cleaning made it another command
        yield "With ssh alone", command
    if port := remote.settings.forwarded_port:
        yield f"Map it to port {port} here", clean(" ".join(filter(None, ("remotestatus tunnel", option, name))), 1000)


def _newest_first(messages: Iterable[SentMessage]) -> tuple[SentMessage, ...]:
    dated = (replace(message, at=message.sent_at or message.at) for message in messages)
    return tuple(sorted(dated, key=lambda message: message.at, reverse=True))
