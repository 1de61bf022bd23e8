"""Reads a span of the history, and keeps the regular report and its time."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from remotestatus.history.database import History, insert, readable, row_as, subject_of
from remotestatus.history.past import read_transitions
from remotestatus.model.days import DayShare
from remotestatus.model.period_report import Period, PeriodReport
from remotestatus.model.states import Subject
from remotestatus.model.times import read_time, write_time


def last_report_at(history: History) -> datetime | None:
    """When the regular report was made last, or was first asked for."""
    rows = history.connection.execute("SELECT at FROM regular_report")
    return next(readable(rows, lambda row: read_time(row["at"])), None)


def note_report(history: History, now: datetime) -> None:
    """Note that the regular report was made."""
    with history.transaction() as db:
        insert(db, "INSERT OR REPLACE INTO regular_report", id=1, at=now)


def keep_for_pages(history: History, reports: Mapping[str, tuple[Collection[Subject], PeriodReport]]) -> None:
    """Replace the kept reports of the pages, with the names they are about."""
    with history.transaction() as db:
        db.execute("DELETE FROM regular_report_pages")
        db.executemany(
            "INSERT INTO regular_report_pages (site, names, report) VALUES (?, ?, ?)",
            [
                (site, json.dumps(sorted(name for _, name in subjects)), _REPORT.dump_json(report).decode())
                for site, (subjects, report) in reports.items()
            ],
        )


def read_for_page(history: History, site: str, names: Collection[str] | None = None) -> PeriodReport | None:
    """The last report of a page; None if it is about more than `names`."""
    row = history.connection.execute("SELECT * FROM regular_report_pages WHERE site = ?", (site,)).fetchone()
    try:
        if row is None or (names is not None and not set(json.loads(row["names"])) <= set(names)):
            return None
        return _REPORT.validate_json(row["report"])
    except (ValueError, TypeError):
        return None  # it was damaged, or an older version wrote it


_REPORT = TypeAdapter(PeriodReport)


def read_period(history: History, since: datetime, until: datetime) -> Period:
    """The days, confirmed transitions and flapping of a span, of everything that is in the inventory."""
    db = history.connection
    rows = db.execute(
        "SELECT d.*, s.kind, s.name FROM days d JOIN subjects s ON s.id = d.subject_id "
        "WHERE d.day >= ? AND s.gone_since IS NULL",
        (write_time(since)[:10],),
    )
    read_share = row_as(DayShare)
    days: dict[Subject, list[DayShare]] = {}
    for subject, share in readable(rows, lambda row: (subject_of(row), read_share(row))):
        days.setdefault(subject, []).append(share)
    flapped = db.execute(
        "SELECT DISTINCT x.kind, x.name FROM mentions x JOIN messages m ON m.id = x.message_id "
        "WHERE x.what = 'flapping' AND m.at > ?",
        (since,),
    )
    return Period(
        since=since,
        until=until,
        days=days,
        confirmed=read_transitions(history, "confirmed", since + timedelta(seconds=1)),
        flapped=frozenset(readable(flapped, subject_of)),
    )
