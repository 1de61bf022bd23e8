"""
Declares the columns of the page's table of remotes, and makes its rows.

A row has one value for each column. How a cell of each kind looks is defined twice: in `table.html.j2`, and for a page
that is too large to hold its rows in `CELLS` of `assets/page.js`. That script reads the rows from a script file that
only assigns values, which also works without a web server.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from remotestatus.model.text import say_percent
from remotestatus.report.build import Group
from remotestatus.report.remote_view import RemoteView

_FOR_SCRIPT = str.maketrans({"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"})

Row = Sequence[object]
"""One value for each column of the table."""


class CellKind(StrEnum):
    """The kinds of cells, and what their values are."""

    LINK = "link"
    """The slug of the remote's page, the text of the link, and a text after it."""
    STATUS = "status"
    """The word of the status, and labels after it, such as the cause."""
    PROCESSES = "processes"
    """How many processes run, in words."""
    AGO = "ago"
    """A time, which the page shows as an age."""
    TEXT = "text"
    NUMBER = "number"
    DAYS = "days"
    """A letter for each day, and the percentage after them."""


@dataclass(frozen=True, slots=True)
class FleetColumn:
    """
    A column of the table: its heading, the kind of its cells, and how the value is read from a remote.

    `before` is shown before the value on a narrow screen, where headings are hidden. A public page has only `public`
    columns. A `whole` text is not broken at the end of a line.
    """

    heading: str
    kind: CellKind
    value: Callable[[RemoteView], object]
    before: str = ""
    public: bool = True
    whole: bool = False

    @property
    def css(self) -> str:
        """The classes of its cells."""
        return (
            "whole"
            if self.whole
            else {CellKind.AGO: "n", CellKind.NUMBER: "n", CellKind.DAYS: "n days"}.get(self.kind, "")
        )

    @property
    def sort(self) -> str:
        """What the script sorts the page's own rows by: `status`, `time`, `number` or `text`."""
        kinds = {CellKind.STATUS: "status", CellKind.AGO: "time", CellKind.NUMBER: "number", CellKind.DAYS: "number"}
        return kinds.get(self.kind, "text")


def _status(remote: RemoteView) -> object:
    beneath = remote.status.label if remote.maintenance is not None and remote.status.value != "up" else ""
    cause = remote.trouble.cause.value if remote.trouble else ""
    return (remote.word, [code for code in (beneath, cause, remote.note) if code])


def _days(remote: RemoteView) -> object:
    percent = remote.uptime["90d"].percent
    return (remote.past.letters, "" if percent is None else say_percent(percent))


COLUMNS = (
    FleetColumn(
        "Name", CellKind.LINK, lambda remote: (remote.slug, remote.title, remote.name if remote.nickname else "")
    ),
    FleetColumn("Status", CellKind.STATUS, _status),
    FleetColumn("Processes", CellKind.PROCESSES, lambda remote: remote.running, before="processes"),
    FleetColumn("Since", CellKind.AGO, lambda remote: remote.since, before="for"),
    FleetColumn("Location", CellKind.TEXT, lambda remote: remote.location),
    FleetColumn("Proxy", CellKind.TEXT, lambda remote: remote.proxy, before="via", whole=True),
    FleetColumn("Remote port", CellKind.NUMBER, lambda remote: remote.remote_port, before="remote port", public=False),
    FleetColumn(
        "Virtual port", CellKind.NUMBER, lambda remote: remote.virtual_port, before="virtual port", public=False
    ),
    FleetColumn("90 days", CellKind.DAYS, _days),
)


def fleet_columns(public: bool) -> Sequence[FleetColumn]:
    """Return the columns of a page, or of a public one."""
    return [column for column in COLUMNS if column.public or not public]


def write_row(remote: RemoteView, public: bool) -> Row:
    """Make the row of one remote."""
    return [column.value(remote) for column in fleet_columns(public)]


def write_rows(groups: Sequence[Group], rows: Mapping[str, Row], public: bool) -> bytes:
    """Write the script file: the rows of each group, in the order of the page; `rows` has those of each remote."""
    columns = fleet_columns(public)
    listed = [[_packed(columns, rows[remote.name]) for remote in group.remotes] for group in groups]
    told = [{"kind": column.kind, "css": column.css, "before": column.before} for column in columns]
    text = f'"use strict";\nconst fleetColumns = {_for_script(told)};\nconst fleetRows = {_for_script(listed)};\n'
    return text.encode("utf-8", "replace")


def _packed(columns: Sequence[FleetColumn], row: Row) -> Row:
    """Make the row for the script: times in seconds, and days as letters with counts."""
    return [_pack(column.kind, value) for column, value in zip(columns, row, strict=True)]


def _pack(kind: CellKind, value: object) -> object:
    match kind, value:
        case CellKind.AGO, datetime():
            return int(value.timestamp())
        case CellKind.DAYS, (str(letters), percent):
            return "".join(f"{letter}{sum(1 for _ in run)}" for letter, run in groupby(letters)), percent
    return value


def _for_script(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_FOR_SCRIPT)
