"""
Reads from the history what the report needs from before this round.

The result is a ReportInput. A damaged row is skipped.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from remotestatus.evaluate import DaySums, planned_windows, window_of
from remotestatus.history import acks_windows_notes, outbox
from remotestatus.history.database import History, readable, row_as
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.days import PastDays
from remotestatus.model.fleet import Fleet
from remotestatus.model.report_input import ReportInput
from remotestatus.model.rounds import Round, Sample
from remotestatus.model.states import Kind, State, Subject, Transition
from remotestatus.model.times import read_time

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
    ids = history.of_subjects("id", int)
    return ReportInput(
        fleet=fleet,
        round=round_,
        states=states,
        check_results=check_results,
        transitions=read_transitions(history, "seen", since),
        days=_days(history, now),
        samples=lambda name: _samples(history, ids.get((Kind.REMOTE, name))),
        ranges=history.ranges,
        measured_at=history.measured_at(),
        measured=history.measured,
        first_seen=history.of_subjects("first_seen", read_time),
        before=before,
        acknowledgements={
            subject: known
            for subject, known in acks_windows_notes.acknowledgements(history).items()
            if known.holds(now)
        },
        maintenance=_maintenance(history, fleet, now),
        messages=outbox.newest_messages(history, MESSAGES_SHOWN),
        failing=outbox.failing_destinations(history),
        planned=planned_windows(fleet, acks_windows_notes.command_windows(history, now), now),
        notes=acks_windows_notes.current_notes(history, now),
    )


def _maintenance(history: History, fleet: Fleet, now: datetime) -> dict[str, str]:
    """The windows that are open now, in words, by the remote's name."""
    windows = acks_windows_notes.command_windows(history, now)
    found = ((remote.name, window_of((Kind.REMOTE, remote.name), fleet, windows, now)) for remote in fleet.remotes)
    return {
        name: f"until {window.until:%Y-%m-%d %H:%M} UTC{': ' if window.note else ''}{window.note}"
        for name, window in found
        if window
    }


def read_transitions(history: History, stage: str, since: datetime) -> list[Transition]:
    """The transitions of this stage (`seen` or `confirmed`) since a moment, oldest first."""
    rows = history.connection.execute(
        "SELECT t.*, s.kind, s.name FROM transitions t JOIN subjects s ON s.id = t.subject_id "
        "WHERE t.stage = ? AND t.at >= ? AND s.gone_since IS NULL ORDER BY t.id",
        (stage, since),
    )
    return list(readable(rows, _read_transition))


_without_trouble = row_as(Transition, "trouble")


def _read_transition(row: sqlite3.Row) -> Transition:
    transition = _without_trouble(row)
    if not row["cause"]:
        return transition
    trouble = Trouble(Cause(row["cause"]), row["message"] or "", row["hint"] or "", row["detail"] or "")
    return replace(transition, trouble=trouble)


def _days(history: History, now: datetime) -> dict[Subject, PastDays]:
    """The sums of the last days of each subject."""
    subjects = {number: subject for subject, number in history.of_subjects("id", int).items()}
    sums = DaySums(now)
    cursor = history.connection.cursor()
    cursor.row_factory = None  # plain tuples: there may be a million rows
    rows = cursor.execute(
        "SELECT subject_id, day, up, degraded, down, unknown, maintenance FROM days WHERE day >= ? "
        "ORDER BY subject_id, day",
        ((now - SHOWN).date().isoformat(),),
    )
    return {
        subjects[number]: sums.sum_up(row[1:] for row in found)
        for number, found in groupby(rows, itemgetter(0))
        if number in subjects
    }


def _samples(history: History, subject_id: int | None) -> list[Sample]:
    """The last connect times of one remote, oldest first."""
    rows = history.connection.execute(
        "SELECT at, connect_ms FROM samples WHERE subject_id = ? ORDER BY at", (subject_id,)
    )
    return list(readable(rows, row_as(Sample)))
