"""
Says how long each part of the history is kept, and forgets what is older.

`remotestatus_retention` bounds all of it; what grows with every round or message has a bound of its own.
"""

import sqlite3
from datetime import datetime, timedelta
from itertools import pairwise

from remotestatus.model.inventory_variables import FleetSettings
from remotestatus.model.times import write_time

SAMPLES_KEPT = 300
"""Connect times kept per remote, for the chart."""

RANGES_KEPT = timedelta(days=91)
"""How long the lowest and highest values of each day are kept: the page shows 90 days of them."""

ROUNDS_KEPT = 2000
"""Rounds kept, for the page's footer and the doctor."""

DECISIONS_KEPT = 50
"""Decisions kept per remote or proxy."""

BODIES_KEPT = timedelta(days=14)
"""How long the words of a sent message are kept; its subject stays as long as the history."""

BELIEVED_AFTER = timedelta(days=3)
"""How long rounds have to follow each other after the clock has jumped, before its time is believed."""


def forget(db: sqlite3.Connection, settings: FleetSettings, now: datetime) -> None:
    """
    Forget what is older than the retention, unless the clock may be wrong. What is open or still waits stays.

    Call it inside `history.transaction()`.
    """
    if not may_forget(db, settings.retention, settings.every):
        return
    limit = write_time(now - settings.retention)
    db.execute("DELETE FROM days WHERE day < ?", (limit[:10],))
    db.execute("DELETE FROM ranges WHERE day < ?", (write_time(now - min(settings.retention, RANGES_KEPT))[:10],))
    db.execute(
        "DELETE FROM transitions WHERE at < ? "
        "AND id NOT IN (SELECT max(id) FROM transitions GROUP BY subject_id, stage)",
        (limit,),
    )
    db.execute("DELETE FROM subjects WHERE gone_since < ?", (limit,))
    db.execute("DELETE FROM messages WHERE at < ? AND (sent_at IS NOT NULL OR dropped IS NOT NULL)", (limit,))
    db.execute("DELETE FROM decisions WHERE last_at < ?", (limit,))
    for table in ("windows", "notes", "acknowledgements"):
        db.execute(f"DELETE FROM {table} WHERE until < ?", (limit,))  # noqa: S608 - ours


def may_forget(db: sqlite3.Connection, retention: timedelta, every: timedelta) -> bool:
    """
    Whether the clock can be trusted enough to delete something.

    After a jump back, or forward by more than a tenth of the retention, rounds have to agree for some days, so that one
    round with a wrong clock does not delete two years of history.
    """
    gap = max(retention / 10, every * 3).total_seconds()
    rows = db.execute("SELECT finished FROM rounds ORDER BY id DESC")
    ends = [finished for (finished,) in rows if isinstance(finished, int | float)]  # a damaged row is left out
    for later, earlier in pairwise(ends):
        if not 0 <= later - earlier <= gap:
            return ends[0] - later >= BELIEVED_AFTER.total_seconds()
    return True
