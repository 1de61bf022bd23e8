"""
Keeps the notes that `remotestatus note` gives: texts for readers of the page, about one remote or proxy or about all.
"""

from datetime import datetime

from remotestatus.history.database import History, readable
from remotestatus.model.times import read_time, write_time
from remotestatus.model.windows import Note


def add_note(history: History, name: str, text: str, at: datetime, until: datetime | None) -> int:
    """Add a note, about all when `name` is empty, and return its number."""
    values = (name, text, write_time(at), write_time(until) if until else None)
    with history.transaction() as db:
        cursor = db.execute("INSERT INTO notes (name, text, at, until) VALUES (?, ?, ?, ?)", values)
    return int(cursor.lastrowid or 0)


def remove_notes(history: History, name: str) -> int:
    """Take all notes about one remote or proxy, or about all, away; returns how many there were."""
    with history.transaction() as db:
        return db.execute("DELETE FROM notes WHERE name = ?", (name,)).rowcount


def current_notes(history: History, now: datetime) -> tuple[Note, ...]:
    """The notes that hold now, the newest first."""
    rows = history.connection.execute(
        "SELECT * FROM notes WHERE until IS NULL OR until > ? ORDER BY id DESC", (write_time(now),)
    )
    return tuple(
        readable(
            rows,
            lambda row: Note(
                row["id"],
                row["name"],
                row["text"],
                read_time(row["at"]),
                read_time(row["until"]) if row["until"] else None,
            ),
        )
    )
