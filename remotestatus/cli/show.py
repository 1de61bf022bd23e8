"""
What `remotestatus status REMOTE` shows: everything about one remote or proxy.

What the history knows of it comes in, lines for a Screen or plain values for JSON come out.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from remotestatus.cli.table import list_names, say_percent, trouble_lines
from remotestatus.cli.terminal import Part, Screen
from remotestatus.model.check_result import Finding
from remotestatus.model.durations import say_duration
from remotestatus.model.notification import Acknowledgement, KeptDecision, SentMessage
from remotestatus.model.states import State
from remotestatus.model.statuses import APPEARANCES
from remotestatus.model.text import one_line
from remotestatus.model.times import write_time
from remotestatus.report import Incident, ProcessView, ProxyView, RemoteView, Report, SeenProcess
from remotestatus.report.formats import write_status

INCIDENTS_SHOWN = 10
SEEN_SHOWN = 5

_SPANS = {"1d": "1 d", "7d": "7 d", "30d": "30 d", "90d": "90 d"}


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything about one remote or proxy. `incidents` are newest first, and so are messages and decisions."""

    report: Report
    state: State
    subject: RemoteView | ProxyView
    incidents: tuple[Incident, ...]
    messages: tuple[SentMessage, ...]
    decisions: tuple[KeptDecision, ...]
    acknowledgement: Acknowledgement | None = None

    @property
    def now(self) -> datetime:
        """The moment that durations are reckoned to."""
        return self.report.generated_at

    @property
    def word(self) -> str:
        """Its status, or `maintenance`."""
        return self.subject.word if isinstance(self.subject, RemoteView) else self.subject.status.value


def dossier_lines(dossier: Dossier, screen: Screen, *, why: bool) -> list[Text]:
    """All of it for people; with `why` also every decision to tell or not to tell."""
    subject = dossier.subject
    lines = list(_head(dossier, screen))
    if isinstance(subject, RemoteView):
        lines += _section(screen, "Where", _where(subject, screen))
        lines += _section(screen, "Processes", _processes(subject.processes, screen))
        lines += _section(screen, "Limits", _findings(subject.findings, "limit", screen))
        lines += _section(screen, "Checks", _findings(subject.findings, "check", screen))
        lines += _section(screen, "What it says of itself", _facts(subject, screen))
        lines += _section(screen, "How to reach it", _commands(subject.commands, screen))
        lines += _section(screen, "Uptime", _uptime(subject, screen))
    else:
        lines += _section(screen, "Where", _where_proxy(dossier, subject, screen))
    lines += _section(screen, "Incidents", _incidents(dossier, screen))
    lines += _section(screen, "Messages", _messages(dossier.messages, screen))
    if why:
        lines += _section(screen, "Told, or not told, and why", _decisions(dossier.decisions, screen))
    return lines


def _section(screen: Screen, title: str, lines: Iterable[Text]) -> Iterator[Text]:
    found = list(lines)
    if found:
        yield Text()
        yield screen.text((title, "bold"))
        yield from found


def _head(dossier: Dossier, screen: Screen) -> Iterator[Text]:
    subject, state = dossier.subject, dossier.state
    title: list[Part] = [(subject.name, "bold")]
    if isinstance(subject, RemoteView):
        title.append(f" · {subject.nickname}" if subject.nickname else "")
    else:
        title.append(" · proxy")
    yield from screen.paragraph(*title)
    if isinstance(subject, RemoteView) and subject.description:
        yield from screen.paragraph(subject.description)
    lasted = say_duration(dossier.now - state.since)
    ends = f" for {lasted}, since {_moment(state.since)}"
    if subject.unconfirmed:
        ends += f"; {subject.unconfirmed}"
    yield from screen.paragraph(screen.status(state.status.value), ends)
    if isinstance(subject, RemoteView) and subject.maintenance is not None:
        yield from screen.paragraph(screen.status("maintenance"), f" {subject.maintenance}")
    if state.flapping_since:
        yield from screen.paragraph(f"It changes too often to be told each time, since {_moment(state.flapping_since)}")
    if state.problem_since and state.problem_since < state.since:
        yield from screen.paragraph(f"The problem began {_moment(state.problem_since)}.")
    for trouble in subject.troubles:
        yield from screen.paragraph((f"Cause: {trouble.cause}", "bold"), indent=2)
        yield from trouble_lines(screen, trouble)
    if dossier.acknowledgement:
        yield from screen.paragraph(_say_acknowledgement(dossier.acknowledgement), indent=2, hang=4)


def _say_acknowledgement(said: Acknowledgement) -> str:
    until = f" until {_moment(said.until)}" if said.until else ""
    note = f": {one_line(said.note)}" if said.note else ""
    return f"Acknowledged {_moment(said.at)}{until}{note}"


def _where(remote: RemoteView, screen: Screen) -> Iterator[Text]:
    way = " → ".join((*remote.path, f"port {remote.remote_port}")) if remote.path else ""
    reached = f"{remote.user}@{remote.address}" if remote.user else remote.address
    pairs = (
        ("Location", remote.location),
        ("Groups", ", ".join(remote.groups)),
        ("Way", way or ("this machine itself" if remote.connection == "local" else "direct")),
        ("Address", "" if remote.connection == "local" else f"{reached} port {remote.remote_port or 22}"),
        ("Remote port", str(remote.remote_port or "") if remote.path else ""),
        ("Virtual port", str(remote.virtual_port or "")),
        ("Log-in", f"took {remote.connect_ms} ms" if remote.connect_ms is not None else ""),
        ("Looked at", f"{_moment(remote.seen_at)}{f', {remote.attempts} tries' if remote.attempts > 1 else ''}"),
    )
    yield from _pairs(pairs, screen)


def _where_proxy(dossier: Dossier, proxy: ProxyView, screen: Screen) -> Iterator[Text]:
    behind = [remote for remote in dossier.report.remotes if proxy.name in remote.path]
    words = sorted({remote.word for remote in behind}, key=tuple(dossier.report.summary).index)
    counts = [f"{sum(remote.word == word for remote in behind)} {word}" for word in words]
    pairs = (
        ("Address", proxy.address),
        ("Way", " → ".join(proxy.path)),
        ("Behind it", f"{proxy.behind}: {', '.join(counts)}" if counts else str(proxy.behind)),
        ("Log-in", f"took {proxy.connect_ms} ms" if proxy.connect_ms is not None else ""),
        ("Looked at", _moment(dossier.state.seen_at)),
    )
    yield from _pairs(pairs, screen)
    if behind:
        yield from screen.paragraph(list_names([remote.name for remote in behind]), indent=4)


def _pairs(pairs: Iterable[tuple[str, str]], screen: Screen) -> Iterator[Text]:
    found = [(name, value) for name, value in pairs if value]
    width = min(24, max((len(name) for name, _ in found), default=0)) + 2
    for name, value in found:
        padded = f"{name:<{width}}" if len(name) < width else f"{name}  "
        yield from screen.paragraph(f"{padded}{value}", indent=2, hang=2 + width)


def _processes(processes: Sequence[ProcessView], screen: Screen) -> Iterator[Text]:
    for process in processes:
        word = {True: "up", False: "degraded", None: "unknown"}[process.ok]
        count = "unknown" if process.count is None else f"{process.count} running"
        sign = screen.sign(word)
        yield from screen.paragraph(
            (sign, APPEARANCES[word].style), f" {process.name}: {count}, {process.wanted} wanted", indent=2, hang=4
        )
        for seen in process.matched[:SEEN_SHOWN]:
            yield from screen.paragraph(_say_seen(seen), indent=6, hang=8)
        more = len(process.matched) + process.more - SEEN_SHOWN
        if more > 0:
            yield from screen.paragraph(f"and {more} more", indent=6)
        for near in process.near[:SEEN_SHOWN]:
            yield from screen.paragraph((f"not {_say_seen(near)} - {near.reason}", "dim"), indent=6, hang=8)


def _say_seen(process: SeenProcess) -> str:
    started = f" since {_moment(process.started_at)}" if process.started_at else ""
    return f"pid {process.pid} {process.user}{started}: {process.command}"


def _findings(findings: Sequence[Finding], kind: str, screen: Screen) -> Iterator[Text]:
    for finding in findings:
        if finding.kind == kind:
            word = "up" if finding.ok else "degraded"
            yield from screen.paragraph(
                (screen.sign(word), APPEARANCES[word].style), f" {finding.sentence}", indent=2, hang=4
            )


def _facts(remote: RemoteView, screen: Screen) -> Iterator[Text]:
    yield from _pairs(remote.facts, screen)
    for note in remote.notes:
        yield from screen.paragraph((note, "dim"), indent=2, hang=4)


def _commands(commands: Sequence[tuple[str, str]], screen: Screen) -> Iterator[Text]:
    for meaning, command in commands:
        yield from screen.paragraph(f"{meaning}:", indent=2)
        # In one piece, so that it can be copied.
        yield screen.text(f"    {command}")


def _uptime(remote: RemoteView, screen: Screen) -> Iterator[Text]:
    for span, name in _SPANS.items():
        uptime = remote.uptime[span]
        share = "not known" if uptime.percent is None else say_percent(uptime.percent)
        yield screen.text(f"  {name:<6}{share:>10}  ({uptime.observed:g} % of that time was observed)")


def _incidents(dossier: Dossier, screen: Screen) -> Iterator[Text]:
    for incident in dossier.incidents[:INCIDENTS_SHOWN]:
        lasted = say_duration(incident.lasted(dossier.now))
        ends = f"lasted {lasted}" if incident.ended_at else f"for {lasted}, still open"
        cause = f", {incident.cause}" if incident.cause else ""
        yield from screen.paragraph(
            f"{_moment(incident.started_at)}  ",
            (f"{screen.sign(incident.status.value)} {incident.status.label}", incident.status.appearance.style),
            f"{cause}, {ends}",
            indent=2,
            hang=4,
        )
    more = len(dossier.incidents) - INCIDENTS_SHOWN
    if more > 0:
        yield from screen.paragraph(f"and {more} earlier in the last 90 days", indent=2)


def _messages(messages: Sequence[SentMessage], screen: Screen) -> Iterator[Text]:
    for message in messages:
        fate = "sent" if message.sent_at else f"dropped: {message.dropped}" if message.dropped else "still waits"
        when = message.sent_at or message.at
        yield from screen.paragraph(
            f"{_moment(when)}  {fate} to {message.destination}: {one_line(message.subject)}", indent=2, hang=4
        )


def _decisions(decisions: Sequence[KeptDecision], screen: Screen) -> Iterator[Text]:
    if not decisions:
        yield from screen.paragraph("There was nothing to decide yet.", indent=2)
    for kept in decisions:
        since = f" (the same since {_moment(kept.first_at)})" if kept.first_at < kept.last_at else ""
        who = kept.destination or "everybody"
        yield from screen.paragraph(
            f"{_moment(kept.last_at)}  {who}: ",
            (one_line(kept.reason, 600), "bold" if kept.notified else ""),
            since,
            indent=2,
            hang=4,
        )


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


# -- JSON --------------------------------------------------------------------------------------------------------------


def dossier_values(dossier: Dossier) -> dict[str, Any]:
    """The same for programs: what status.json says of it, and everything that the page of it shows."""
    document = json.loads(write_status(dossier.report))
    subject = dossier.subject
    kind = "remote" if isinstance(subject, RemoteView) else "proxy"
    entries = document["remotes" if kind == "remote" else "proxies"]
    found = next(entry for entry in entries if entry["name"] == subject.name)
    values: dict[str, Any] = {key: document[key] for key in ("schema", "title", "generated_at", "next_expected_at")}
    values |= {"kind": kind, **found, "seen_at": write_time(dossier.state.seen_at), "unconfirmed": subject.unconfirmed}
    if isinstance(subject, RemoteView):
        values |= _remote_values(subject)
    else:
        values |= {"address": subject.address, "path": list(subject.path), "behind": subject.behind}
    said = dossier.acknowledgement
    values["acknowledged"] = said and {
        "at": write_time(said.at),
        "until": said.until and write_time(said.until),
        "note": said.note,
    }
    values["incidents"] = [
        {
            "status": incident.status.value,
            "cause": incident.cause,
            "started_at": write_time(incident.started_at),
            "ended_at": incident.ended_at and write_time(incident.ended_at),
        }
        for incident in dossier.incidents
    ]
    values["messages"] = [
        {
            "at": write_time(message.at),
            "sent_at": message.sent_at and write_time(message.sent_at),
            "destination": message.destination,
            "subject": message.subject,
            "what": message.event_type,
            "dropped": message.dropped,
        }
        for message in dossier.messages
    ]
    values["decisions"] = [
        {
            "first_at": write_time(kept.first_at),
            "at": write_time(kept.last_at),
            "told": kept.notified,
            "destination": kept.destination,
            "reason": kept.reason,
        }
        for kept in dossier.decisions
    ]
    return values


def _remote_values(remote: RemoteView) -> dict[str, Any]:
    return {
        "troubles": [
            {"code": one.cause.value, "message": one.message, "hint": one.hint, "detail": one.detail}
            for one in remote.troubles
        ],
        "path": list(remote.path),
        "address": remote.address,
        "user": remote.user,
        "maintenance_window": remote.maintenance,
        "processes": [
            {
                "name": process.name,
                "running": process.running,
                "count": process.count,
                "min": process.min,
                "max": process.max,
                "matched": [_seen_values(seen) for seen in process.matched],
                "near": [{**_seen_values(seen), "reason": seen.reason} for seen in process.near],
            }
            for process in remote.processes
        ],
        "findings": [
            {
                "kind": finding.kind,
                "name": finding.name,
                "ok": finding.ok,
                "value": finding.value,
                "wanted": finding.wanted,
                "perfdata": finding.perfdata,
            }
            for finding in remote.findings
        ],
        "facts": dict(remote.facts),
        "notes": list(remote.notes),
        "commands": dict(remote.commands),
    }


def _seen_values(seen: SeenProcess) -> dict[str, Any]:
    return {
        "pid": seen.pid,
        "user": seen.user,
        "command": seen.command,
        "started_at": seen.started_at and write_time(seen.started_at),
        "rss_kb": seen.rss_kb,
    }
