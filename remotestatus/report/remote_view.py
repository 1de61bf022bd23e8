"""
Makes one remote's view: everything that its own page, its row in the summary and the machine formats show of it.

A Remote with its State, check result, days and samples comes in, a RemoteView goes out.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from remotestatus.evaluate import Uptime, uptime
from remotestatus.model.check_result import CheckResult, Finding, Trouble, summarize
from remotestatus.model.facts import Facts
from remotestatus.model.fleet import Fleet, Proxy, Remote
from remotestatus.model.notification import Acknowledgement, SentMessage
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind, State
from remotestatus.model.statuses import Severity, Status
from remotestatus.model.watched import FileResult, UnitResult
from remotestatus.report.charts import Chart, DayCell, day_cells, draw_chart
from remotestatus.report.clean_text import clean, clean_file, clean_finding, clean_trouble, clean_unit
from remotestatus.report.incidents import Incident, open_note
from remotestatus.report.process_view import ProcessView, view_processes
from remotestatus.report.shown_facts import write_facts

SPANS = {"1d": 1, "7d": 7, "30d": 30, "90d": 90}
"""The spans that uptime is given for, in days."""


@dataclass(frozen=True, slots=True)
class RemoteView:
    """What the pages show of one remote."""

    name: str
    slug: str
    nickname: str
    description: str
    location: str
    groups: tuple[str, ...]
    group: str
    path: tuple[str, ...]
    connection: str
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
    connect_ms: int | None
    attempts: int
    worker: str | None
    not_from: tuple[str, ...]
    processes: tuple[ProcessView, ...]
    findings: tuple[Finding, ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]
    uptime: Mapping[str, Uptime]
    days: tuple[DayCell, ...]
    chart: Chart | None
    incidents: tuple[Incident, ...] = ()
    messages: tuple[SentMessage, ...] = ()
    files: tuple[FileResult, ...] = ()
    units: tuple[UnitResult, ...] = ()
    said: Facts = field(default_factory=Facts)
    """What it says of itself, for machine formats; `facts` says the same for people."""
    new_oom_kills: int | None = None

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
        """The acknowledgement of the incident that lasts."""
        return open_note(self.incidents)

    @property
    def trouble(self) -> Trouble | None:
        """The most telling thing that is wrong, or None."""
        return self.troubles[0] if self.troubles else None

    @property
    def summary(self) -> tuple[Trouble, ...]:
        """What is wrong, with the findings of one cause as one: what people read."""
        return summarize(self.troubles)

    @property
    def severity(self) -> Severity | None:
        """How bad it is at its worst; None when it is up."""
        return max((trouble.severity for trouble in self.troubles), default=None)

    @property
    def word(self) -> str:
        """The word that it is counted and filtered by: its status, or `maintenance`."""
        return "maintenance" if self.maintenance is not None else self.status.value

    @property
    def needs_attention(self) -> bool:
        """Whether it is not up, and not in maintenance."""
        return self.status is not Status.UP and self.maintenance is None

    @property
    def running(self) -> str:
        """Whether it runs its processes, in words: `all`, `2 of 3`, `unknown`, or nothing when none are asked for."""
        if not self.processes:
            return ""
        if any(process.ok is None for process in self.processes):
            return "unknown"
        fine = sum(bool(process.ok) for process in self.processes)
        return "all" if fine == len(self.processes) else f"{fine} of {len(self.processes)}"


def view_remote(
    remote: Remote, slug: str, group: str, report_input: ReportInput, incidents: tuple[Incident, ...], now: datetime
) -> RemoteView:
    """Make the RemoteView of one remote that has a State."""
    subject = (Kind.REMOTE, remote.name)
    state = report_input.states[subject]
    result = report_input.check_results.get(remote.name) or CheckResult(remote.name, now)
    settings = remote.settings
    days = report_input.days.get(subject, ())
    first_seen = report_input.first_seen.get(subject, state.since)
    window = report_input.maintenance.get(remote.name)
    return RemoteView(
        name=clean(remote.name),
        nickname=clean(settings.nickname),
        description=clean(settings.description, 4000),
        location=clean(settings.location),
        groups=tuple(clean(name) for name in remote.groups),
        path=tuple(clean(proxy) for proxy in remote.path),
        connection=remote.connection,
        address=clean(remote.address),
        user=clean(remote.user or ""),
        remote_port=remote.port,
        virtual_port=settings.forwarded_port,
        slug=slug,
        group=clean(group),
        status=state.status,
        since=state.since,
        seen_at=state.seen_at,
        first_seen=first_seen,
        maintenance=None if window is None else clean(window),
        troubles=tuple(clean_trouble(trouble) for trouble in state.troubles),
        unconfirmed=say_unconfirmed(state, settings.fail_after, settings.recover_after),
        connect_ms=result.connect_ms,
        attempts=result.attempts,
        worker=result.worker,
        not_from=result.not_from,
        processes=view_processes(result, report_input.before.get(remote.name)),
        findings=tuple(clean_finding(finding) for finding in result.findings),
        facts=tuple(write_facts(result.facts)),
        notes=tuple(clean(note) for note in result.facts.notes),
        commands=tuple(_commands(remote, report_input.fleet)),
        uptime={span: uptime(days, now, timedelta(days=length)) for span, length in SPANS.items()},
        days=day_cells(days, now),
        chart=draw_chart(report_input.samples.get(remote.name, ())),
        incidents=incidents,
        messages=_newest_first(report_input.messages.get(subject, ())),
        files=tuple(clean_file(file) for file in result.files),
        units=tuple(clean_unit(unit) for unit in result.units),
        said=result.facts,
        new_oom_kills=result.memory.new_oom_kills,
    )


def say_unconfirmed(state: State, fail_after: int, recover_after: int) -> str:
    """Say how far a status is from being told to people: `not yet confirmed, 1 of 3`; empty when it is confirmed."""
    if state.status is state.confirmed or state.status is Status.UNKNOWN:
        return ""
    if state.status is Status.UP:
        return f"recovery not yet confirmed, {min(state.good, recover_after)} of {recover_after}"
    return f"not yet confirmed, {min(state.bad, fail_after)} of {fail_after}"


def _commands(remote: Remote, fleet: Fleet) -> Iterable[tuple[str, str]]:
    """How to reach it by hand: with remotestatus, which knows keys and host keys, and with ssh alone."""
    if remote.connection == "local" or fleet.settings.public:
        return
    name = shlex.quote(remote.name)
    yield "With remotestatus", f"remotestatus ssh {name}"
    yield "With ssh alone", _ssh(remote, fleet)
    if remote.settings.forwarded_port:
        yield f"Map it to port {remote.settings.forwarded_port} here", f"remotestatus tunnel {name}"


def _ssh(remote: Remote, fleet: Fleet) -> str:
    proxies = {proxy.name: proxy for proxy in fleet.proxies}
    words = ["ssh"]
    jumps = [_jump(proxies[name]) for name in remote.path if name in proxies]
    if jumps:
        words += ["-J", ",".join(jumps)]
    if remote.port not in (None, 22):
        words += ["-p", str(remote.port)]
    address = remote.address or remote.name
    words.append(f"{remote.user}@{address}" if remote.user else address)
    return clean(shlex.join(words), 1000)


def _jump(proxy: Proxy) -> str:
    address = f"[{proxy.address}]" if ":" in proxy.address else proxy.address
    user = f"{proxy.user}@" if proxy.user else ""
    port = f":{proxy.port}" if proxy.port not in (None, 22) else ""
    return f"{user}{address}{port}"


def _newest_first(messages: Iterable[SentMessage]) -> tuple[SentMessage, ...]:
    dated = (replace(message, at=message.sent_at or message.at) for message in messages)
    return tuple(sorted(dated, key=lambda message: message.at, reverse=True))
