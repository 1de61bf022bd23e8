"""
Renders `remotestatus status REMOTE`: everything about one remote or proxy.

It makes lines for a terminal, or values for JSON.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from remotestatus.cli.fleet_table import NAMED, say_uptime, trouble_lines
from remotestatus.cli.terminal import paragraph, status_sign, status_text, text_of
from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.durations import say_duration
from remotestatus.model.messages import SentMessage
from remotestatus.model.notification import KeptDecision
from remotestatus.model.states import State
from remotestatus.model.status_words import APPEARANCES, Status
from remotestatus.model.text import join_names
from remotestatus.model.times import say_date, write_time
from remotestatus.model.untrusted_text import one_line
from remotestatus.report import Incident, ProcessView, ProxyView, RemoteView, Report, SeenProcess
from remotestatus.report.formats import write_status

INCIDENTS_SHOWN = 10
PROCESSES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Details:
    """Everything about one remote or proxy. `incidents`, `messages` and `decisions` are newest first."""

    report: Report
    state: State
    subject: RemoteView | ProxyView
    incidents: tuple[Incident, ...]
    messages: tuple[SentMessage, ...]
    decisions: tuple[KeptDecision, ...]
    acknowledgement: Acknowledgement | None = None

    @property
    def now(self) -> datetime:
        """The time at which durations end."""
        return self.report.generated_at

    @property
    def word(self) -> str:
        """Its status, or `maintenance`."""
        return self.subject.word if isinstance(self.subject, RemoteView) else self.subject.status.value


def details_lines(details: Details, *, why: bool) -> list[RenderableType]:
    """All details as text; with `why` also every notification decision."""
    subject = details.subject
    lines = list(_head(details))
    if isinstance(subject, RemoteView):
        lines += _section("Where", _where(subject))
        lines += _found(subject)
        lines += _section("How to reach it", _commands(subject.commands))
        lines += _section("Uptime", _uptime(subject))
    else:
        lines += _section("Where", _where_proxy(details, subject))
        lines += _found(subject.looked) if subject.looked else ()
    lines += _section("Incidents", _incidents(details))
    lines += _section("Messages", _messages(details.messages))
    if why:
        lines += _section("Told, or not told, and why", _decisions(details.decisions))
    return lines


def _found(seen: RemoteView) -> Iterator[RenderableType]:
    """What was found on a remote, or on a proxy that is probed like one."""
    latest = seen.latest
    yield from _section("Processes", _processes(latest.processes))
    for title, kind in (("Limits", "limit"), ("Checks", "check")):
        yield from _section(title, _signed((one.ok, one.sentence) for one in latest.findings if one.kind == kind))
    yield from _section("Files", _signed((one.ok, f"{one.name}: {one.sentence}") for one in latest.files))
    yield from _section("Units", _signed((one.ok, f"{one.unit}: {one.sentence}") for one in latest.units))
    yield from _section("Devices", _signed((one.ok, f"{one.name}: {one.sentence}") for one in latest.devices))
    yield from _section("Advice", (paragraph(f"{sentence}.", indent=2, hang=4) for sentence in seen.advice))
    yield from _section("What it says of itself", _facts(seen))


def _section(title: str, lines: Iterable[RenderableType]) -> Iterator[RenderableType]:
    found = list(lines)
    if found:
        yield Text()
        yield text_of((title, "bold"))
        yield from found


def _head(details: Details) -> Iterator[RenderableType]:
    subject, state = details.subject, details.state
    if isinstance(subject, RemoteView):
        yield paragraph((subject.name, "bold"), f" · {subject.nickname}" if subject.nickname else "")
        if subject.description:
            yield paragraph(subject.description)
    else:
        yield paragraph((subject.name, "bold"), " · proxy")
    unconfirmed = f"; {subject.unconfirmed}" if subject.unconfirmed else ""
    lasted = say_duration(details.now - state.since)
    yield paragraph(status_text(state.status), f" for {lasted}, since {say_date(state.since)}{unconfirmed}")
    if isinstance(subject, RemoteView) and subject.maintenance is not None:
        yield paragraph(status_text("maintenance"), f" {subject.maintenance}")
    if state.flapping_since:
        yield paragraph(f"It changes too often to be told each time, since {say_date(state.flapping_since)}")
    if state.problem_since and state.problem_since < state.since:
        yield paragraph(f"The problem began {say_date(state.problem_since)}.")
    for trouble in subject.summary:
        severity = "" if state.status is Status.DOWN else f" ({trouble.severity})"
        yield paragraph((f"Cause: {trouble.cause}{severity}", "bold"), indent=2)
        yield from trouble_lines(trouble)
    if details.acknowledgement:
        yield paragraph(_say_acknowledgement(details.acknowledgement), indent=2, hang=4)


def _say_acknowledgement(acknowledgement: Acknowledgement) -> str:
    until = f" until {say_date(acknowledgement.until)}" if acknowledgement.until else ""
    note = f": {one_line(acknowledgement.note)}" if acknowledgement.note else ""
    return f"Acknowledged {say_date(acknowledgement.at)}{until}{note}"


def _where(remote: RemoteView) -> Iterator[RenderableType]:
    latest = remote.latest
    path = " → ".join((*remote.path, f"port {remote.remote_port}")) if remote.path else ""
    direct = f"by its ProxyCommand {remote.program}" if remote.program else "direct"
    port = remote.remote_port or 22
    if remote.connection not in ("ssh", "local"):
        direct, port = f"by Ansible's connection {remote.connection}", remote.remote_port or 0
    address = f"{remote.user}@{remote.address}" if remote.user else remote.address
    pairs = (
        ("Location", remote.location),
        ("Groups", ", ".join(remote.groups)),
        ("Looked from", remote.worker or ""),
        ("Not from", ", ".join(remote.not_from)),
        ("Way", path or ("this machine itself" if remote.connection == "local" else direct)),
        ("Address", "" if remote.connection == "local" else f"{address} port {port}" if port else address),
        ("Remote port", str(remote.remote_port or "") if remote.path else ""),
        ("Virtual port", str(remote.virtual_port or "")),
        ("Log-in", f"took {latest.connect_ms} ms" if latest.connect_ms is not None else ""),
        ("Checked", f"{say_date(remote.seen_at)}{f', {latest.attempts} tries' if latest.attempts > 1 else ''}"),
    )
    yield from _pairs(pairs)


def _where_proxy(details: Details, proxy: ProxyView) -> Iterator[RenderableType]:
    behind = [remote for remote in details.report.remotes if proxy.name in remote.path]
    words = sorted({remote.word for remote in behind}, key=tuple(details.report.summary).index)
    counts = [f"{sum(remote.word == word for remote in behind)} {APPEARANCES[word].label}" for word in words]
    pairs = (
        ("Address", proxy.address),
        ("Way", " → ".join(proxy.path)),
        ("Behind it", f"{proxy.behind}: {', '.join(counts)}" if counts else str(proxy.behind)),
        ("Checked", say_date(details.state.seen_at)),
    )
    yield from _pairs(pairs)
    if behind:
        yield paragraph(join_names([remote.name for remote in behind], NAMED), indent=4)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[RenderableType]:
    found = [(name, value) for name, value in pairs if value]
    width = min(24, max((len(name) for name, _ in found), default=0)) + 2
    for name, value in found:
        padded = f"{name:<{width}}" if len(name) < width else f"{name}  "
        yield paragraph(f"{padded}{value}", indent=2, hang=2 + width)


def _processes(processes: Sequence[ProcessView]) -> Iterator[RenderableType]:
    for process in processes:
        word = {True: "up", False: "degraded", None: "unknown"}[process.ok]
        count = "unknown" if process.count is None else f"{process.count} running"
        wanted = f" {process.name}: {count}, {process.wanted} wanted"
        yield paragraph(status_sign(word), wanted, indent=2, hang=4)
        for seen in process.matched[:PROCESSES_SHOWN]:
            yield paragraph(_say_seen(seen), indent=6, hang=8)
        more = len(process.matched) + process.more - PROCESSES_SHOWN
        if more > 0:
            yield paragraph(f"and {more} more", indent=6)
        for near in process.near[:PROCESSES_SHOWN]:
            yield paragraph((f"not {_say_seen(near)} - {near.reason}", "dim"), indent=6, hang=8)


def _say_seen(process: SeenProcess) -> str:
    started = f" since {say_date(process.started_at)}" if process.started_at else ""
    return f"pid {process.pid} {process.user}{started}: {process.command}"


def _signed(found: Iterable[tuple[bool | None, str]]) -> Iterator[RenderableType]:
    for ok, sentence in found:
        word = "unknown" if ok is None else "up" if ok else "degraded"
        yield paragraph(status_sign(word), f" {sentence}", indent=2, hang=4)


def _facts(remote: RemoteView) -> Iterator[RenderableType]:
    yield from _pairs(remote.latest.facts)
    for note in remote.latest.notes:
        yield paragraph((note, "dim"), indent=2, hang=4)


def _commands(commands: Sequence[tuple[str, str]]) -> Iterator[RenderableType]:
    for meaning, command in commands:
        yield paragraph(f"{meaning}:", indent=2)
        # Not wrapped, so that it can be copied.
        yield text_of(f"    {command}")


def _uptime(remote: RemoteView) -> Iterator[RenderableType]:
    for span, uptime in remote.uptime.items():
        share = say_uptime(remote, span) or "not known"
        yield text_of(f"  {span.replace('d', ' d'):<6}{share:>10}  ({uptime.observed:g} % of that time was observed)")


def _incidents(details: Details) -> Iterator[RenderableType]:
    for incident in details.incidents[:INCIDENTS_SHOWN]:
        lasted = say_duration(incident.lasted(details.now))
        ends = f"lasted {lasted}" if incident.ended_at else f"for {lasted}, still open"
        cause = f", {incident.cause}" if incident.cause else ""
        yield paragraph(
            f"{say_date(incident.started_at)}  ", status_text(incident.status), f"{cause}, {ends}", indent=2, hang=4
        )
    more = len(details.incidents) - INCIDENTS_SHOWN
    if more > 0:
        yield paragraph(f"and {more} earlier in the last 90 days", indent=2)


def _messages(messages: Sequence[SentMessage]) -> Iterator[RenderableType]:
    for message in messages:
        state = "sent" if message.sent_at else f"dropped: {message.dropped}" if message.dropped else "still waits"
        when = message.sent_at or message.at
        yield paragraph(
            f"{say_date(when)}  {state} to {message.destination}: {one_line(message.subject)}", indent=2, hang=4
        )


def _decisions(decisions: Sequence[KeptDecision]) -> Iterator[RenderableType]:
    if not decisions:
        yield paragraph("There was nothing to decide yet.", indent=2)
    for kept in decisions:
        since = f" (the same since {say_date(kept.first_at)})" if kept.first_at < kept.last_at else ""
        who = kept.destination or "everybody"
        yield paragraph(
            f"{say_date(kept.last_at)}  {who}: ",
            (one_line(kept.reason, 600), "bold" if kept.notified else ""),
            since,
            indent=2,
            hang=4,
        )


# -- JSON --------------------------------------------------------------------------------------------------------------


def details_values(details: Details) -> dict[str, object]:
    """
    The same as JSON values: the keys that status.json has for it, and everything else that is shown.

    Added keys do not occur in status.json, so a program that reads one can read the other.
    """
    document = json.loads(write_status(details.report))
    subject = details.subject
    kind = "remote" if isinstance(subject, RemoteView) else "proxy"
    entries = document["remotes" if kind == "remote" else "proxies"]
    found = next(entry for entry in entries if entry["name"] == subject.name)
    added = _remote_values(subject) if isinstance(subject, RemoteView) else fields_of(subject, "address", "path")
    acknowledgement = details.acknowledgement
    return {
        **{key: document[key] for key in ("schema", "title", "generated_at", "next_expected_at")},
        "kind": kind,
        "seen_at": write_time(details.state.seen_at),
        "unconfirmed": subject.unconfirmed,
        **added,
        **found,
        "acknowledgement": acknowledgement and fields_of(acknowledgement, "at", "until", "note"),
        "incidents": [fields_of(one, "status", "cause", "started_at", "ended_at") for one in details.incidents],
        "messages": [
            {**fields_of(message, "at", "sent_at", "destination", "subject", "dropped"), "what": message.event_type}
            for message in details.messages
        ],
        "decisions": [
            {
                **fields_of(kept, "first_at", "destination", "reason"),
                "at": write_time(kept.last_at),
                "told": kept.notified,
            }
            for kept in details.decisions
        ],
    }


def _remote_values(remote: RemoteView) -> dict[str, object]:
    latest = remote.latest
    return {
        **fields_of(remote, "path", "address", "user"),
        "maintenance_window": remote.maintenance,
        "near": [
            {"process": process.name, **fields_of(seen, "pid", "user", "command", "started_at", "rss_kb", "reason")}
            for process in latest.processes
            for seen in process.near
        ],
        "findings": [
            fields_of(finding, "kind", "name", "ok", "value", "wanted", "perfdata") for finding in latest.findings
        ],
        "facts_in_words": dict(latest.facts),
        "commands": dict(remote.commands),
    }


def fields_of(item: object, *names: str) -> dict[str, object]:
    """These fields of a dataclass, by name; times as text."""
    values = {name: getattr(item, name) for name in names}
    return {name: write_time(value) if isinstance(value, datetime) else value for name, value in values.items()}
