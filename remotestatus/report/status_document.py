"""
What stands in `status.json`: every key, with its type and meaning.

The writer fills these types in, the JSON Schema (`remotestatus schema --status`) and the table in the documents are
made from them. Keys are only ever added while `schema` stays the same. Times are RFC 3339 in UTC; what is not known is
null, except in `facts`, where it is absent.

Pure: types, and what follows from them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter

from remotestatus.report.fact_table import FactsEntry


def _about(words: str) -> object:
    """What a key means."""
    return Field(description=words)


Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseEntry:
    """Why something is not up."""

    code: Annotated[str, _about("a code of the list of causes")]
    message: Annotated[str, _about("what happened, a sentence for people")]
    hint: Annotated[str, _about("what to try")]
    detail: Annotated[str, _about("one line of what ssh or the remote said")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleEntry:
    """One finding: one thing that is wrong."""

    code: Annotated[str, _about("a code of the list of causes")]
    severity: Annotated[str, _about("`warning` or `critical`")]
    message: Annotated[str, _about("what happened, a sentence for people")]
    hint: Annotated[str, _about("what to try")]
    detail: Annotated[str, _about("one line of what ssh or the remote said")]
    what: Annotated[str, _about("the process, limit, check, file, unit or mount that it is about; may be empty")]
    log: Annotated[tuple[str, ...], _about("the last lines that a missing process, or its service, logged")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEntry:
    """The round that was made last."""

    id: Annotated[int, _about("its number")]
    started_at: Annotated[Time, _about("when it began")]
    finished_at: Annotated[Time, _about("when all remotes had been checked")]
    seconds: Annotated[float, _about("how long that took")]
    troubles: Annotated[tuple[str, ...], _about("what of the round itself failed, in sentences")]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEntry:
    """One worker: another machine that looks for the checker."""

    name: Annotated[str, _about("its name in the inventory")]
    status: Annotated[str, _about("`up`, `down` or `unknown`")]
    cause: Annotated[CauseEntry | None, _about("why it is not up")]
    since: Annotated[Time, _about("when that status began")]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfSightEntry:
    """Remotes that are up, and cannot be reached from one place."""

    from_: Annotated[str, Field(alias="from"), _about("the place: a worker, or the checker")]
    proxy: Annotated[str | None, _about("set when it is every remote behind that proxy")]
    remotes: Annotated[tuple[str, ...], _about("the remotes")]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEntry:
    """One process that matches."""

    pid: Annotated[int, _about("its process id")]
    user: Annotated[str, _about("whose it is")]
    command: Annotated[str, _about("its command line")]
    started_at: Annotated[Time | None, _about("when it was started")]
    rss_bytes: Annotated[int | None, _about("its resident memory")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEntry:
    """One process that has to run."""

    name: Annotated[str, _about("its name")]
    running: Annotated[bool | None, _about("whether enough of them run")]
    count: Annotated[int | None, _about("how many match")]
    min: Annotated[int, _about("how many have to run at least")]
    max: Annotated[int | None, _about("how many may run at most")]
    restarted: Annotated[bool, _about("whether all of them are others than in the round before")]
    matched: Annotated[tuple[SeenEntry, ...], _about("those that match, at most 20")]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitEntry:
    """One limit, and the value that it is compared with. Shares are in percent, durations in seconds."""

    name: Annotated[str, _about("which limit, for example `disk /`")]
    value: Annotated[float | None, _about("the value; null when it could not be read")]
    warning: Annotated[float | None, _about("over it, this is a warning")]
    critical: Annotated[float | None, _about("over it, this is critical")]
    severity: Annotated[str | None, _about("`warning` or `critical`; null when it is kept")]
    message: Annotated[str, _about("value and limit in words")]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEntry:
    """One check of your own."""

    name: Annotated[str, _about("its name")]
    exit: Annotated[int | None, _about("its exit code; null when it did not end in time")]
    text: Annotated[str, _about("the first line that it printed")]
    perfdata: Annotated[str, _about("the performance data in that line")]
    severity: Annotated[str | None, _about("`warning` or `critical`; null when it passed")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file that has to be there."""

    name: Annotated[str, _about("its name")]
    path: Annotated[str, _about("the pattern that was looked for")]
    ok: Annotated[bool | None, _about("whether it is as it should be")]
    severity: Annotated[str | None, _about("`warning` or `critical`; null when it is as it should be")]
    message: Annotated[str, _about("what was seen")]
    count: Annotated[int | None, _about("how many files the pattern finds")]
    age_seconds: Annotated[float | None, _about("how old the newest one is")]
    size_bytes: Annotated[int | None, _about("how large that one is")]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitEntry:
    """One systemd unit that has to be active, or that has failed where none may."""

    unit: Annotated[str, _about("its name")]
    ok: Annotated[bool | None, _about("whether it is as it should be")]
    severity: Annotated[str | None, _about("`warning` or `critical`; null when it is as it should be")]
    message: Annotated[str, _about("what was seen")]
    active: Annotated[str, _about("systemd's ActiveState")]
    sub: Annotated[str, _about("systemd's SubState")]
    result: Annotated[str, _about("systemd's Result")]
    restarts: Annotated[int | None, _about("how often systemd has started it again")]
    since_seconds: Annotated[float | None, _about("how long ago its state changed")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEntry:
    """One device behind a remote."""

    name: Annotated[str, _about("its name")]
    host: Annotated[str, _about("its name or address, as the remote sees it")]
    port: Annotated[int, _about("its TCP port")]
    ok: Annotated[bool | None, _about("whether it answered as it should; null when it was not asked")]
    severity: Annotated[str | None, _about("`warning` or `critical`; null when it answered as it should")]
    message: Annotated[str, _about("what was seen")]
    connect_ms: Annotated[int | None, _about("milliseconds to a connection through the remote")]
    certificate_until: Annotated[Time | None, _about("when its TLS certificate ends")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyEntry:
    """One proxy."""

    name: Annotated[str, _about("its name in the inventory")]
    status: Annotated[str, _about("`up`, `degraded`, `down` or `unknown`")]
    cause: Annotated[CauseEntry | None, _about("why it is not up")]
    since: Annotated[Time, _about("when that status began")]
    behind: Annotated[int, _about("how many remotes are reached through it")]
    severity: Annotated[str | None, _about("how bad it is: `warning` or `critical`; null when it is up")]
    troubles: Annotated[tuple[TroubleEntry, ...], _about("everything that is wrong, the most severe first")]
    processes: Annotated[tuple[ProcessEntry, ...], _about("the processes that have to run there")]
    facts: Annotated[FactsEntry, _about("what it says of itself; empty unless it is looked at as a remote is")]
    limits: Annotated[tuple[LimitEntry, ...], _about("its limits whose values are known")]
    checks: Annotated[tuple[CheckEntry, ...], _about("its checks")]
    files: Annotated[tuple[FileEntry, ...], _about("its files")]
    units: Annotated[tuple[UnitEntry, ...], _about("its systemd units")]
    devices: Annotated[tuple[DeviceEntry, ...], _about("the devices behind it")]
    advice: Annotated[tuple[str, ...], _about("what is wrong with the ports of its tunnels, in sentences")]
    notes: Annotated[tuple[str, ...], _about("what could not be read on it")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteEntry:
    """One remote."""

    name: Annotated[str, _about("its name in the inventory")]
    nickname: Annotated[str, _about("what people call it")]
    description: Annotated[str, _about("what it is for")]
    location: Annotated[str, _about("where it stands")]
    groups: Annotated[tuple[str, ...], _about("its groups in the inventory")]
    proxy: Annotated[str | None, _about("the proxy that its tunnel ends at")]
    remote_port: Annotated[int | None, _about("the port of its tunnel, or of its SSH server")]
    virtual_port: Annotated[int | None, _about("the port that `remotestatus tunnel` maps")]
    status: Annotated[str, _about("`up`, `degraded`, `down` or `unknown`")]
    since: Annotated[Time, _about("when that status began")]
    maintenance: Annotated[bool, _about("whether it is in maintenance")]
    cause: Annotated[CauseEntry | None, _about("the most telling thing that is wrong")]
    connect_ms: Annotated[int | None, _about("milliseconds to a finished log-in; null when there was none")]
    severity: Annotated[str | None, _about("how bad it is: `warning` or `critical`; null when it is up")]
    troubles: Annotated[tuple[TroubleEntry, ...], _about("everything that is wrong, the most severe first")]
    worker: Annotated[str | None, _about("the worker that looked; null for the checker itself")]
    not_from: Annotated[tuple[str, ...], _about("the places from which it cannot be reached although it is up")]
    processes: Annotated[tuple[ProcessEntry, ...], _about("the processes that have to run")]
    facts: Annotated[FactsEntry, _about("what it says of itself; empty when it was not reached")]
    limits: Annotated[tuple[LimitEntry, ...], _about("its limits whose values are known")]
    checks: Annotated[tuple[CheckEntry, ...], _about("its checks")]
    files: Annotated[tuple[FileEntry, ...], _about("its files")]
    units: Annotated[tuple[UnitEntry, ...], _about("its systemd units")]
    devices: Annotated[tuple[DeviceEntry, ...], _about("the devices behind it")]
    advice: Annotated[tuple[str, ...], _about("what will make its tunnel fail the next time, in sentences")]
    notes: Annotated[tuple[str, ...], _about("what could not be read on it")]
    seen_at: Annotated[Time, _about("when it was checked last")]
    first_seen: Annotated[Time, _about("when it was checked first")]
    attempts: Annotated[int, _about("how many attempts the last check took")]
    unconfirmed: Annotated[str, _about("how far its status is from being told to people; empty when it is confirmed")]
    acknowledged: Annotated[bool, _about("whether its problem is acknowledged")]
    uptime: Annotated[
        dict[str, float | None],
        _about("by span (`1d`, `7d`, `30d`, `90d`): percent of the observed time that it was reachable"),
    ]
    observed: Annotated[dict[str, float], _about("by span: percent of the time that it was observed")]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEntry:
    """A stretch of time in which something was not up."""

    subject: Annotated[str, _about("the remote or proxy")]
    status: Annotated[str, _about("its worst status")]
    cause: Annotated[str | None, _about("the code of its cause")]
    started_at: Annotated[Time, _about("when it began")]
    ended_at: Annotated[Time | None, _about("when it ended; null while it lasts")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEntry:
    """A maintenance window that is open or to come."""

    title: Annotated[str, _about("what it is for: a group, `all`, or names")]
    starts_at: Annotated[Time, _about("when it begins")]
    ends_at: Annotated[Time, _about("when it ends")]
    note: Annotated[str, _about("why")]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteEntry:
    """A text for the readers of the page."""

    about: Annotated[str | None, _about("the remote or proxy that it is about; null: all")]
    text: Annotated[str, _about("what it says")]
    at: Annotated[Time, _about("when it was written")]
    until: Annotated[Time | None, _about("how long it holds; null: until it is taken away")]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusDocument:
    """The whole of `status.json`."""

    schema: Annotated[int, _about("1, as long as keys are only added")]
    title: Annotated[str, _about("the page's title")]
    generated_at: Annotated[Time, _about("when it was written")]
    next_expected_at: Annotated[Time, _about("when the next one is due")]
    round: Annotated[RoundEntry, _about("the last round")]
    summary: Annotated[
        dict[str, int], _about("how many remotes have each status; those in maintenance are counted only there")
    ]
    proxies: Annotated[tuple[ProxyEntry, ...], _about("all proxies")]
    workers: Annotated[tuple[WorkerEntry, ...], _about("all workers")]
    out_of_sight: Annotated[tuple[OutOfSightEntry, ...], _about("what cannot be reached from one place, but is up")]
    remotes: Annotated[tuple[RemoteEntry, ...], _about("all remotes")]
    incidents: Annotated[tuple[IncidentEntry, ...], _about("those of the last 90 days, the newest first")]
    planned: Annotated[tuple[PlannedEntry, ...], _about("maintenance windows that are open or begin within 30 days")]
    notes: Annotated[tuple[NoteEntry, ...], _about("the notes that hold, the newest first")]


def write_document(document: StatusDocument) -> str:
    """The document as JSON text: a line for each key, and for each item of a list."""
    return "".join(_pieces(document))


def _pieces(document: StatusDocument) -> Iterator[str]:
    # Ten times as fast as with `indent`, and a fifth smaller: a large fleet's is written in every round.
    begin = "{\n"
    for key, value in _fields_of(document).items():
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
    return json.dumps(value, default=_fields_of, ensure_ascii=False, separators=(",", ":"))


def _fields_of(value: object) -> dict[str, object]:
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")
    # A name that Python keeps for itself (`from`) has an underscore behind it.
    return {field.name.rstrip("_"): getattr(value, field.name) for field in fields(value)}


def status_schema() -> dict[str, object]:
    """A JSON Schema (draft 2020-12) of `status.json`. Further keys may be added, so they are allowed."""
    schema = TypeAdapter(StatusDocument).json_schema()
    title = "status.json of remotestatus"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def status_table() -> str:
    """A Markdown table of all keys, as paths of `jq`: `.remotes[].facts.load`."""
    schema = TypeAdapter(StatusDocument).json_schema()
    rows = ["| key | type | meaning |", "|---|---|---|"]
    rows += [f"| `{path}` | {kind} | {meaning} |" for path, kind, meaning in _rows("", schema, schema["$defs"])]
    return "\n".join(rows) + "\n"


_Schema = dict[str, object]


def _rows(path: str, schema: _Schema, known: _Schema) -> Iterator[tuple[str, str, str]]:
    for key, value in _mapping(schema.get("properties")).items():
        body = _mapping(value)
        kinds, inside, items = _kinds(body, known)
        # What is not known is absent there.
        kinds = [kind for kind in kinds if kind != "null" or not path.endswith(".facts")]
        yield f"{path}.{key}", " or ".join(kinds), str(body.get("description", ""))
        if inside:
            yield from _rows(f"{path}.{key}{'[]' if items else ''}", inside, known)


def _kinds(body: _Schema, known: _Schema) -> tuple[list[str], _Schema, bool]:
    """How the ways to write a value are called; what stands inside of it, and whether there are several of that."""
    kinds: list[str] = []
    inside: _Schema = {}
    several = False
    ways = body.get("anyOf", [body])
    for way in (_mapping(one) for one in (ways if isinstance(ways, list) else ())):
        items = _mapping(way.get("items"))
        reference = str(items.get("$ref", way.get("$ref", ""))).rpartition("/")[2]
        if reference:
            inside, several = _mapping(known[reference]), bool(items)
        name = "object" if "$ref" in way else str(way.get("type", ""))
        kinds.append("time" if way.get("format") == "date-time" else "list" if name == "array" else name)
    return kinds, inside, several


def _mapping(value: object) -> _Schema:
    return value if isinstance(value, dict) else {}
