"""
Writes `status.json`, the interface for other programs: every key, with its type and its meaning.

The writer, the JSON Schema (`remotestatus schema --status`) and the table in the documents are made from these
declarations. Under the same `schema`, keys are only added. Times are RFC 3339 in UTC. Unknown values are null; in
`facts` they are absent.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from remotestatus.model.check_result import Finding, HasTroubles, Trouble
from remotestatus.model.notes import Note
from remotestatus.model.rounds import Round
from remotestatus.model.status_words import Severity
from remotestatus.model.watched import DeviceResult, FileResult, UnitResult
from remotestatus.model.windows import PlannedWindow
from remotestatus.report.build import WORDS, Report
from remotestatus.report.fact_table import FACTS_PART
from remotestatus.report.incidents import Incident
from remotestatus.report.process_view import ProcessView, SeenProcess
from remotestatus.report.proxy_view import ProxyView
from remotestatus.report.remote_view import RemoteView
from remotestatus.report.status_keys import Key, Part, Time
from remotestatus.report.worker_view import OutOfSight, WorkerView


def _severity(one: Finding | FileResult | UnitResult | DeviceResult) -> Severity | None:
    return None if one.ok else one.severity


def _certificate_until(device: DeviceResult) -> datetime | None:
    until = device.certificate_until
    return datetime.fromtimestamp(until, UTC) if until is not None and 0 < until < 253402300800 else None


def _findings(kind: str, remote: RemoteView) -> Iterator[Finding]:
    return (finding for finding in remote.latest.findings if finding.kind == kind)


_CAUSE = Part[Trouble](
    "CauseEntry",
    "Why something is not up.",
    Key("code", str, "a code of the list of causes", "cause"),
    Key("message", str, "what happened, a sentence for people"),
    Key("hint", str, "what to try"),
    Key("detail", str, "one line of what ssh or the remote said"),
)


def _cause(one: HasTroubles) -> object:
    return _CAUSE.write(one.trouble) if one.trouble else None


_TROUBLE = Part[Trouble](
    "TroubleEntry",
    "One finding: one thing that is wrong.",
    Key("code", str, "a code of the list of causes", "cause"),
    Key("severity", str, "`warning` or `critical`"),
    Key("message", str, "what happened, a sentence for people"),
    Key("hint", str, "what to try"),
    Key("detail", str, "one line of what ssh or the remote said"),
    Key("what", str, "the process, limit, check, file, unit or mount that it is about; may be empty"),
    Key("log", tuple[str, ...], "the last lines that a missing process, or its service, logged"),
)

_ROUND = Part[Round](
    "RoundEntry",
    "The round that was made last.",
    Key("id", int, "its number"),
    Key("started_at", Time, "when it began"),
    Key("finished_at", Time, "when all remotes had been checked"),
    Key("seconds", float, "how long that took", lambda one: round(one.seconds, 3)),
    Key("troubles", tuple[str, ...], "what of the round itself failed, in sentences"),
)

_WORKER = Part[WorkerView](
    "WorkerEntry",
    "One worker: another machine that looks for the checker.",
    Key("name", str, "its name in the inventory"),
    Key("status", str, "`up`, `down` or `unknown`"),
    Key("cause", _CAUSE.kind | None, "why it is not up", _cause, _CAUSE),
    Key("since", Time, "when that status began"),
)

_OUT_OF_SIGHT = Part[OutOfSight](
    "OutOfSightEntry",
    "Remotes that are up, and cannot be reached from one place.",
    Key("from", str, "the place: a worker, or the checker", "place"),
    Key("proxy", str | None, "set when it is every remote behind that proxy"),
    Key("remotes", tuple[str, ...], "the remotes"),
)

_SEEN = Part[SeenProcess](
    "SeenEntry",
    "One process that matches.",
    Key("pid", int, "its process id"),
    Key("user", str, "the user that it runs as"),
    Key("command", str, "its command line"),
    Key("started_at", Time | None, "when it was started"),
    Key("rss_bytes", int | None, "its resident memory", lambda one: None if one.rss_kb is None else 1024 * one.rss_kb),
)

_PROCESS = Part[ProcessView](
    "ProcessEntry",
    "One process that has to run.",
    Key("name", str, "its name"),
    Key("running", bool | None, "whether enough of them run"),
    Key("count", int | None, "how many match"),
    Key("min", int, "how many have to run at least"),
    Key("max", int | None, "how many may run at most"),
    Key("restarted", bool, "whether it ran in the round before too, but all its processes are new"),
    _SEEN.each("matched", "those that match, at most 20"),
)

_LIMIT = Part[Finding](
    "LimitEntry",
    "One limit, and the value that it is compared with. Shares are in percent, durations in seconds.",
    Key("name", str, "which limit, for example `disk /`"),
    Key("value", float | None, "the value; null when it could not be read", "number"),
    Key("warning", float | None, "over it, this is a warning"),
    Key("critical", float | None, "over it, this is critical"),
    Key("severity", str | None, "`warning` or `critical`; null when it is kept", _severity),
    Key("message", str, "value and limit in words", "sentence"),
)

_CHECK = Part[Finding](
    "CheckEntry",
    "One check of your own.",
    Key("name", str, "its name"),
    Key("exit", int | None, "its exit code; null when it did not end in time"),
    Key("text", str, "the first line that it printed", "value"),
    Key("perfdata", str, "the performance data in that line"),
    Key("severity", str | None, "`warning` or `critical`; null when it passed", _severity),
)

_FILE = Part[FileResult](
    "FileEntry",
    "One file that has to be there.",
    Key("name", str, "its name"),
    Key("path", str, "the pattern that was looked for"),
    Key("ok", bool | None, "whether it is as it should be"),
    Key("severity", str | None, "`warning` or `critical`; null when it is as it should be", _severity),
    Key("message", str, "what was seen", "sentence"),
    Key("count", int | None, "how many files the pattern finds"),
    Key("age_seconds", float | None, "how old the newest one is"),
    Key("size_bytes", int | None, "how large that one is", "size"),
)

_UNIT = Part[UnitResult](
    "UnitEntry",
    "One systemd unit that has to be active, or that has failed where none may.",
    Key("unit", str, "its name"),
    Key("ok", bool | None, "whether it is as it should be"),
    Key("severity", str | None, "`warning` or `critical`; null when it is as it should be", _severity),
    Key("message", str, "what was seen", "sentence"),
    Key("active", str, "systemd's ActiveState"),
    Key("sub", str, "systemd's SubState"),
    Key("result", str, "systemd's Result"),
    Key("restarts", int | None, "how often systemd has started it again"),
    Key("since_seconds", float | None, "how long ago its state changed"),
)

_DEVICE = Part[DeviceResult](
    "DeviceEntry",
    "One device behind a remote.",
    Key("name", str, "its name"),
    Key("host", str, "its name or address, as the remote sees it"),
    Key("port", int, "its TCP port"),
    Key("ok", bool | None, "whether it answered as it should; null when it was not asked"),
    Key("severity", str | None, "`warning` or `critical`; null when it answered as it should", _severity),
    Key("message", str, "what was seen", "sentence"),
    Key("connect_ms", int | None, "milliseconds to a connection through the remote"),
    Key("certificate_until", Time | None, "when its TLS certificate ends", _certificate_until),
)

_SEEN_ON_REMOTE: tuple[Key[RemoteView], ...] = (
    _PROCESS.each("processes", "the processes that have to run", "latest.processes"),
    Key(
        "facts",
        FACTS_PART.kind,
        "its facts; empty when it was not reached",
        FACTS_PART.write,
        FACTS_PART,
    ),
    _LIMIT.each("limits", "its limits whose values are known", partial(_findings, "limit")),
    _CHECK.each("checks", "its checks", partial(_findings, "check")),
    _FILE.each("files", "its files", "latest.files"),
    _UNIT.each("units", "its systemd units", "latest.units"),
    _DEVICE.each("devices", "the devices behind it", "latest.devices"),
    Key("advice", tuple[str, ...], "sentences about what will make its tunnel fail the next time"),
    Key("notes", tuple[str, ...], "what could not be read on it", "latest.notes"),
)

_ON_PROXY = {
    "processes": "the processes that have to run there",
    "facts": "its facts; empty unless it is probed like a remote",
    "advice": "what is wrong with the ports of its tunnels, in sentences",
}
"""What some of these keys mean on a proxy."""


def _of_looked(key: Key[RemoteView]) -> Key[ProxyView]:
    """Make the same key of a proxy; empty unless it is probed like a remote."""

    read = key.reader()

    def read_looked(proxy: ProxyView) -> object:
        return read(proxy.looked) if proxy.looked else {} if key.name == "facts" else ()

    return Key(key.name, key.kind, _ON_PROXY.get(key.name, key.about), read_looked, key.inside)


_PROXY = Part[ProxyView](
    "ProxyEntry",
    "One proxy.",
    Key("name", str, "its name in the inventory"),
    Key("status", str, "`up`, `degraded`, `down` or `unknown`"),
    Key("cause", _CAUSE.kind | None, "why it is not up", _cause, _CAUSE),
    Key("since", Time, "when that status began"),
    Key("behind", int, "how many remotes are reached through it"),
    Key("severity", str | None, "how bad it is: `warning` or `critical`; null when it is up"),
    _TROUBLE.each("troubles", "everything that is wrong, the most severe first"),
    *map(_of_looked, _SEEN_ON_REMOTE),
)

_REMOTE = Part[RemoteView](
    "RemoteEntry",
    "One remote.",
    Key("name", str, "its name in the inventory"),
    Key("nickname", str, "what people call it"),
    Key("description", str, "what it is for"),
    Key("location", str, "where it stands"),
    Key("groups", tuple[str, ...], "its groups in the inventory"),
    Key("proxy", str | None, "the proxy that its tunnel ends at"),
    Key("remote_port", int | None, "the port of its tunnel, or of its SSH server"),
    Key("virtual_port", int | None, "the port that `remotestatus tunnel` maps"),
    Key("status", str, "`up`, `degraded`, `down` or `unknown`"),
    Key("since", Time, "when that status began"),
    Key("maintenance", bool, "whether it is in maintenance", lambda one: one.maintenance is not None),
    Key("cause", _CAUSE.kind | None, "the most severe problem", _cause, _CAUSE),
    Key("connect_ms", int | None, "milliseconds to a finished log-in; null when there was none", "latest.connect_ms"),
    Key("severity", str | None, "how bad it is: `warning` or `critical`; null when it is up"),
    _TROUBLE.each("troubles", "everything that is wrong, the most severe first"),
    Key("worker", str | None, "the worker that probed it; null for the checker itself"),
    Key("not_from", tuple[str, ...], "the places from which it cannot be reached although it is up"),
    *_SEEN_ON_REMOTE,
    Key("seen_at", Time, "when it was checked last"),
    Key("first_seen", Time, "when it was checked first"),
    Key("attempts", int, "how many attempts the last check took", "latest.attempts"),
    Key("unconfirmed", str, "how many rounds of its status are counted, in words; empty when it is confirmed"),
    Key("acknowledged", bool, "whether its problem is acknowledged", lambda one: one.acknowledged is not None),
    Key(
        "uptime",
        dict[str, float | None],
        "by span (`1d`, `7d`, `30d`, `90d`): percent of the observed time that it was reachable",
        lambda one: {span: uptime.percent for span, uptime in one.uptime.items()},
    ),
    Key(
        "observed",
        dict[str, float],
        "by span: percent of the time that it was observed",
        lambda one: {span: uptime.observed for span, uptime in one.uptime.items()},
    ),
)

_INCIDENT = Part[Incident](
    "IncidentEntry",
    "A stretch of time in which something was not up.",
    Key("subject", str, "the remote or proxy", "name"),
    Key("status", str, "its worst status"),
    Key("cause", str | None, "the code of its cause"),
    Key("started_at", Time, "when it began"),
    Key("ended_at", Time | None, "when it ended; null while it lasts"),
)

_PLANNED = Part[PlannedWindow](
    "PlannedEntry",
    "A maintenance window that is open or to come.",
    Key("title", str, "what it is for: a group, `all`, or names"),
    Key("starts_at", Time, "when it begins", "starts"),
    Key("ends_at", Time, "when it ends", "until"),
    Key("note", str, "why"),
)

_NOTE = Part[Note](
    "NoteEntry",
    "A text for the readers of the page.",
    Key("about", str | None, "the remote or proxy that it is about; null: all", lambda one: one.name or None),
    Key("text", str, "what it says"),
    Key("at", Time, "when it was written"),
    Key("until", Time | None, "how long it holds; null: until it is taken away"),
)

DOCUMENT = Part[Report](
    "StatusDocument",
    "The whole of `status.json`.",
    Key("schema", int, "1, as long as keys are only added", lambda _: 1),
    Key("title", str, "the page's title"),
    Key("generated_at", Time, "when it was written"),
    Key("next_expected_at", Time, "when the next one is due"),
    Key("round", _ROUND.kind, "the last round", lambda report: _ROUND.write(report.round), _ROUND),
    Key(
        "summary",
        dict[str, int],
        "how many remotes have each status; those in maintenance are counted only there",
        lambda report: {word: report.summary[word] for word in ("up", *(word for word in WORDS if word != "up"))},
    ),
    _PROXY.each("proxies", "all proxies"),
    _WORKER.each("workers", "all workers"),
    _OUT_OF_SIGHT.each("out_of_sight", "what cannot be reached from one place, but is up"),
    _REMOTE.each("remotes", "all remotes"),
    _INCIDENT.each("incidents", "those of the last 90 days, the newest first"),
    _PLANNED.each("planned", "maintenance windows that are open or begin within 30 days"),
    _NOTE.each("notes", "the notes that hold, the newest first"),
)


def status_schema() -> dict[str, object]:
    """Make a JSON Schema (draft 2020-12) of `status.json`. Further keys may be added, so they are allowed."""
    schema = TypeAdapter(DOCUMENT.kind).json_schema()
    title = "status.json of remotestatus"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def status_table() -> str:
    """Write a Markdown table of all keys, as paths of `jq`: `.remotes[].facts.load`."""
    return "".join(["| key | type | meaning |\n", "|---|---|---|\n", *_rows("", DOCUMENT)])


def _rows(path: str, entry: Part[Any]) -> Iterator[str]:
    for key in entry.keys:
        schema = TypeAdapter(key.kind).json_schema()
        ways = [_say_type(way) for way in schema.get("anyOf", [schema])]
        yield f"| `{path}.{key.name}` | {' or '.join(ways)} | {key.about} |\n"
        if key.inside:
            yield from _rows(f"{path}.{key.name}{'[]' if ways == ['list'] else ''}", key.inside)


def _say_type(schema: Mapping[str, str]) -> str:
    name = "time" if schema.get("format") == "date-time" else schema.get("type", "object")
    return "list" if name == "array" else name


def write_status(report: Report) -> str:
    """Write the text of `status.json`: a line for each key, and for each item of a list."""
    return "".join(_pieces(DOCUMENT.write(report)))


def _pieces(document: Mapping[str, object]) -> Iterator[str]:
    # Ten times faster than `indent`, and a fifth smaller: large ones are written in every round.
    begin = "{\n"
    for key, value in document.items():
        yield f"{begin}{_dump(key)}: "
        begin = ",\n"
        if isinstance(value, tuple) and value:
            for number, item in enumerate(value):
                yield ",\n" if number else "[\n"
                yield _dump(item)
            yield "\n]"
        else:
            yield _dump(value)
    yield "\n}\n"


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


FORMAT = {"status.json": write_status}
