"""
Makes one remote's view: everything that its own page, its row in the summary and the machine formats show of it.

A Remote with its State, CheckResult, days and samples comes in, a RemoteView goes out. Text that came from the remote
is folded to one line and cleaned here; escaping is the templates' part.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from remotestatus.evaluate import Uptime, uptime
from remotestatus.model.check_result import CheckResult, Finding, Trouble
from remotestatus.model.days import DayShare
from remotestatus.model.durations import say_duration
from remotestatus.model.facts import Facts
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.notification import Acknowledgement, SentMessage
from remotestatus.model.processes import Process, ProcessResult
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind, State
from remotestatus.model.statuses import Status
from remotestatus.model.text import one_line
from remotestatus.report.charts import Chart, draw_chart
from remotestatus.report.incidents import Incident

SPANS = {"1d": 1, "7d": 7, "30d": 30, "90d": 90}
"""The spans that uptime is given for, in days."""

DAYS = 90
_SHOWN = 20
_UNPRINTABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class SeenProcess:
    """One process that matched, or nearly did. `reason` says why it does not count."""

    pid: int
    user: str
    command: str
    started_at: datetime | None
    rss_kb: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ProcessView:
    """One process that has to run, and what was found of it. `restarted` is None when that can't be told."""

    name: str
    running: bool | None
    count: int | None
    min: int
    max: int | None
    restarted: bool
    matched: tuple[SeenProcess, ...] = ()
    near: tuple[SeenProcess, ...] = ()
    more: int = 0

    @property
    def wanted(self) -> str:
        """How many are wanted, in words."""
        if self.max is None:
            return f"at least {self.min}"
        return f"exactly {self.min}" if self.max == self.min else f"{self.min} to {self.max}"

    @property
    def ok(self) -> bool | None:
        """Whether as many run as are wanted; None when nobody knows."""
        if self.running is None or self.count is None:
            return None
        return self.count >= self.min and (self.max is None or self.count <= self.max)


@dataclass(frozen=True, slots=True)
class DayCell:
    """One UTC day of the bar: a word of `drawings.HEIGHTS`, and how long it was unreachable and observed."""

    day: date
    word: str
    down: timedelta = timedelta()
    degraded: timedelta = timedelta()
    observed: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class RemoteView:
    """What the pages show of one remote."""

    name: str
    slug: str
    title: str
    nickname: str
    description: str
    location: str
    groups: tuple[str, ...]
    group: str
    proxy: str | None
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
    acknowledged: Acknowledgement | None = field(default=None)

    @property
    def trouble(self) -> Trouble | None:
        """The most telling thing that is wrong, or None."""
        return self.troubles[0] if self.troubles else None

    @property
    def word(self) -> str:
        """The word that it is counted and filtered under: its status, or `maintenance`."""
        return "maintenance" if self.maintenance is not None else self.status.value

    @property
    def needs_attention(self) -> bool:
        """Whether someone should look: it is not up and not in maintenance."""
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
    remote: Remote,
    slug: str,
    group: str,
    report_input: ReportInput,
    incidents: tuple[Incident, ...],
    messages: tuple[SentMessage, ...],
    now: datetime,
) -> RemoteView:
    """Make the RemoteView of one remote that has a State."""
    subject = (Kind.REMOTE, remote.name)
    state, reading = report_input.states[subject], report_input.readings.get(remote.name)
    settings = remote.settings
    shares = report_input.days.get(subject, ())
    first_seen = report_input.first_seen.get(subject, state.since)
    samples = report_input.samples.get(remote.name, ())
    proxies = {proxy.name: proxy for proxy in report_input.fleet.proxies}
    return RemoteView(
        name=clean(remote.name),
        slug=slug,
        title=clean(remote.title),
        nickname=clean(settings.nickname),
        description=clean(settings.description, 4000),
        location=clean(settings.location),
        groups=tuple(clean(group) for group in remote.groups),
        group=clean(group),
        proxy=clean(remote.proxy) if remote.proxy else None,
        path=tuple(clean(proxy) for proxy in remote.path),
        connection=remote.connection,
        address=clean(remote.address),
        user=clean(remote.user or ""),
        remote_port=remote.port,
        virtual_port=settings.forwarded_port,
        status=state.status,
        since=state.since,
        seen_at=state.seen_at,
        first_seen=first_seen,
        maintenance=clean(report_input.maintenance[remote.name]) if remote.name in report_input.maintenance else None,
        troubles=tuple(clean_trouble(trouble) for trouble in state.troubles),
        unconfirmed=say_unconfirmed(state, settings.fail_after, settings.recover_after),
        connect_ms=reading.connect_ms if reading else None,
        attempts=reading.attempts if reading else 1,
        processes=_processes(reading, report_input.before.get(remote.name)),
        findings=tuple(_finding(finding) for finding in reading.findings) if reading else (),
        facts=tuple(_facts(reading.facts)) if reading else (),
        notes=tuple(clean(note) for note in reading.facts.notes) if reading else (),
        commands=tuple(_commands(remote, proxies)) if not report_input.fleet.settings.public else (),
        uptime={span: uptime(shares, now, timedelta(days=days)) for span, days in SPANS.items()},
        days=day_cells(shares, now),
        chart=draw_chart(samples),
        incidents=incidents,
        messages=messages,
        acknowledged=next(
            (incident.notes[-1] for incident in incidents if incident.ended_at is None and incident.notes), None
        ),
    )


def clean(text: str, limit: int = 300) -> str:
    """Fold text to one line that HTML, XML and UTF-8 can carry."""
    return _UNPRINTABLE.sub("\ufffd", one_line(text, limit))


def clean_trouble(trouble: Trouble) -> Trouble:
    """The same trouble in clean text."""
    return Trouble(trouble.cause, clean(trouble.message, 800), clean(trouble.hint, 800), clean(trouble.detail))


def say_unconfirmed(state: State, fail_after: int, recover_after: int) -> str:
    """Say how far a status is from being told to people: `not yet confirmed, 1 of 3`; empty when it is confirmed."""
    if state.status is state.confirmed or state.status is Status.UNKNOWN:
        return ""
    if state.status is Status.UP:
        return f"recovery not yet confirmed, {min(state.good, recover_after)} of {recover_after}"
    return f"not yet confirmed, {min(state.bad, fail_after)} of {fail_after}"


def day_cells(shares: Iterable[DayShare], now: datetime, days: int = DAYS) -> tuple[DayCell, ...]:
    """The last days up to today, oldest first; days without any observation too."""
    by_day = {share.day: share for share in shares}
    today = now.astimezone(UTC).date()
    return tuple(_day_cell(today - timedelta(days=back), by_day) for back in range(days - 1, -1, -1))


def _day_cell(day: date, by_day: Mapping[date, DayShare]) -> DayCell:
    share = by_day.get(day)
    if share is None:
        return DayCell(day, "none")
    worst = share.worst
    word = worst.value if worst and share.counted else "maintenance" if share.maintenance else "unknown"
    if worst is None and not share.maintenance:
        word = "none"
    return DayCell(
        day,
        word,
        timedelta(seconds=round(share.down)),
        timedelta(seconds=round(share.degraded)),
        timedelta(seconds=round(share.counted)),
    )


def _processes(reading: CheckResult | None, before: CheckResult | None) -> tuple[ProcessView, ...]:
    if reading is None:
        return ()
    earlier = {result.name: result for result in before.processes} if before else {}
    return tuple(_process_line(result, earlier.get(result.name)) for result in reading.processes)


def _process_line(result: ProcessResult, earlier: ProcessResult | None) -> ProcessView:
    return ProcessView(
        name=clean(result.name),
        running=result.running,
        count=result.count,
        min=result.min,
        max=result.max,
        restarted=_restarted(result, earlier),
        matched=tuple(_seen(process) for process in result.matched[:_SHOWN]),
        near=tuple(_seen(miss.process, miss.reason) for miss in result.near[:_SHOWN]) if not result.running else (),
        more=max(0, len(result.matched) - _SHOWN),
    )


def _restarted(result: ProcessResult, earlier: ProcessResult | None) -> bool:
    """Whether it runs, ran in the round before, and none of the processes is the same one."""
    if earlier is None or not result.matched or not earlier.matched:
        return False
    ran = {process.pid: process.started for process in earlier.matched}
    # A start time is reckoned from the remote's uptime and may differ by a second from one look to the next.
    return not any(
        process.pid in ran and abs((process.started or 0) - (ran[process.pid] or 0)) <= 2 for process in result.matched
    )


def _seen(process: Process, reason: str = "") -> SeenProcess:
    return SeenProcess(
        pid=process.pid,
        user=clean(process.user),
        command=clean(shlex.join(process.argv) if process.exact else " ".join(process.argv)),
        started_at=_moment(process.started),
        rss_kb=process.rss_kb,
        reason=clean(reason),
    )


def _moment(seconds: int | None) -> datetime | None:
    if seconds is None or not 0 < seconds < 32503680000:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _finding(finding: Finding) -> Finding:
    return Finding(
        finding.kind,
        clean(finding.name),
        finding.ok,
        clean(finding.value, 500),
        clean(finding.wanted),
        clean(finding.perfdata, 1000),
    )


def _facts(facts: Facts) -> Iterable[tuple[str, str]]:
    if facts.uptime_seconds is not None:
        yield "Running for", _duration(facts.uptime_seconds)
    if facts.load:
        cpus = f" on {facts.cpus} CPU{'s' if facts.cpus > 1 else ''}" if facts.cpus else ""
        yield "Load", " · ".join(f"{load:.2f}" for load in facts.load) + cpus
    if facts.memory_total_kb and facts.memory_available_kb is not None:
        yield "Memory", _used(facts.memory_total_kb - facts.memory_available_kb, facts.memory_total_kb)
    if facts.swap_total_kb and facts.swap_free_kb is not None:
        yield "Swap", _used(facts.swap_total_kb - facts.swap_free_kb, facts.swap_total_kb)
    for disk in facts.disks or ():
        yield f"Disk {clean(disk.mount)}", _used(disk.used_kb, disk.size_kb, disk.percent)
    if facts.clock_offset_seconds is not None:
        off = facts.clock_offset_seconds
        ahead = "ahead" if off > 0 else "behind"
        yield "Clock", "right" if abs(off) < 1 else f"{_duration(abs(off))} {ahead}"


def _duration(seconds: float) -> str:
    """A duration that a remote told, in words. An older history may hold any number; timedelta takes far fewer."""
    return say_duration(timedelta(seconds=min(max(seconds, 0.0), 1e12)))


def _used(used: int, total: int, percent: float | None = None) -> str:
    share = percent if percent is not None else 100 * used / total
    return f"{share:.0f} % of {say_size(total)}"


def say_size(kib: int) -> str:
    """Write a size for people: `812 MiB`, `31 GiB`."""
    size = float(kib)
    for unit in ("KiB", "MiB", "GiB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.0f} TiB" if size >= 10 else f"{size:.1f} TiB"


def _commands(remote: Remote, proxies: Mapping[str, Proxy]) -> Iterable[tuple[str, str]]:
    """How to reach it by hand: with remotestatus, which knows keys and host keys, and with ssh alone."""
    name = shlex.quote(remote.name)
    if remote.connection == "local":
        return
    yield "With remotestatus", f"remotestatus ssh {name}"
    yield "With ssh alone", _ssh(remote, proxies)
    if remote.settings.forwarded_port:
        yield f"Map it to port {remote.settings.forwarded_port} here", f"remotestatus tunnel {name}"


def _ssh(remote: Remote, proxies: Mapping[str, Proxy]) -> str:
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


def newest_first(messages: Sequence[SentMessage]) -> tuple[SentMessage, ...]:
    """Messages in the order in which a page shows them."""
    dated = (replace(message, at=message.sent_at or message.at) for message in messages)
    return tuple(sorted(dated, key=lambda message: message.at, reverse=True))
