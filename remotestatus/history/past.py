"""
Reads from the history what the report says of the time before this round.

The open history, and what the round has in memory, come in; a ReportInput goes out. A damaged row costs that row, not
the page.
"""

import sqlite3
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from remotestatus.evaluate import window_of_remote
from remotestatus.history import outbox
from remotestatus.history.database import History, readable, subject_of
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.days import DayShare
from remotestatus.model.fleet import Fleet
from remotestatus.model.report_input import ReportInput
from remotestatus.model.rounds import Round, Sample
from remotestatus.model.states import State, Subject, Transition
from remotestatus.model.statuses import Status
from remotestatus.model.times import read_time, write_time

SHOWN = timedelta(days=91)
"""How far back the page shows: its longest bar has 90 days."""

MESSAGES_SHOWN = 10
"""Messages shown for each remote."""


def read_past(
    history: History,
    fleet: Fleet,
    round_: Round,
    states: Mapping[Subject, State],
    check_results: Mapping[str, CheckResult],
    before: Mapping[str, CheckResult],
    now: datetime,
) -> ReportInput:
    """
    Add to this round's states and check results what the history knows of the time before.

    `before` holds the check results of the round before.
    """
    since = now - SHOWN
    return ReportInput(
        fleet=fleet,
        round=round_,
        states=states,
        check_results=check_results,
        transitions=_transitions(history, since),
        days=_days(history, since.date()),
        samples=_samples(history),
        first_seen=_first_seen(history),
        before=before,
        acknowledgements={
            subject: known for subject, known in outbox.acknowledgements(history).items() if known.holds(now)
        },
        maintenance=_maintenance(history, fleet, now),
        messages=outbox.newest_messages(history, MESSAGES_SHOWN),
        failing=outbox.failing_destinations(history),
    )


def _maintenance(history: History, fleet: Fleet, now: datetime) -> dict[str, str]:
    """The windows that are open now, in words, by the remote's name."""
    windows = outbox.command_windows(history, now)
    found = ((remote.name, window_of_remote(remote, windows, now)) for remote in fleet.remotes)
    return {
        name: f"until {window.until:%Y-%m-%d %H:%M} UTC{': ' if window.note else ''}{window.note}"
        for name, window in found
        if window
    }


def _transitions(history: History, since: datetime) -> list[Transition]:
    """The transitions seen since a moment, oldest first."""
    rows = history.connection.execute(
        "SELECT t.*, s.kind, s.name FROM transitions t JOIN subjects s ON s.id = t.subject_id "
        "WHERE t.stage = 'seen' AND t.at >= ? AND s.gone_since IS NULL ORDER BY t.id",
        (write_time(since),),
    )
    return list(readable(rows, _transition))


def _transition(row: sqlite3.Row) -> Transition:
    kind, name = subject_of(row)
    trouble = None
    if row["cause"]:
        trouble = Trouble(Cause(row["cause"]), row["message"] or "", row["hint"] or "", row["detail"] or "")
    return Transition(
        kind=kind,
        name=name,
        at=read_time(row["at"]),
        before=Status(row["before"]) if row["before"] else None,
        after=Status(row["after"]),
        trouble=trouble,
        lasted_since=read_time(row["lasted_since"]) if row["lasted_since"] else None,
    )


def _days(history: History, since: date) -> dict[Subject, list[DayShare]]:
    """The time in each status on each day since a day, oldest first."""
    rows = history.connection.execute(
        "SELECT d.*, s.kind, s.name FROM days d JOIN subjects s ON s.id = d.subject_id "
        "WHERE d.day >= ? AND s.gone_since IS NULL ORDER BY d.day",
        (since.isoformat(),),
    )
    found: dict[Subject, list[DayShare]] = {}
    for subject, share in readable(rows, lambda row: (subject_of(row), _day_share(row))):
        found.setdefault(subject, []).append(share)
    return found


def _day_share(row: sqlite3.Row) -> DayShare:
    seconds = (float(row[status]) for status in ("up", "degraded", "down", "unknown", "maintenance"))
    return DayShare(date.fromisoformat(row["day"]), *seconds)


def _samples(history: History) -> dict[str, list[Sample]]:
    """The last connect times of each remote, oldest first."""
    rows = history.connection.execute(
        "SELECT s.name, x.at, x.connect_ms FROM samples x JOIN subjects s ON s.id = x.subject_id "
        "WHERE s.gone_since IS NULL ORDER BY x.subject_id, x.at"
    )
    found: dict[str, list[Sample]] = {}
    for name, sample in readable(rows, lambda row: (row["name"], Sample(read_time(row["at"]), int(row["connect_ms"])))):
        found.setdefault(name, []).append(sample)
    return found


def _first_seen(history: History) -> dict[Subject, datetime]:
    """When each subject of the inventory was first seen."""
    rows = history.connection.execute("SELECT kind, name, first_seen FROM subjects WHERE gone_since IS NULL")
    return dict(readable(rows, lambda row: (subject_of(row), read_time(row["first_seen"]))))
