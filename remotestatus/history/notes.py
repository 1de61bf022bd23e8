"""
Keeps the notes that `remotestatus note` gives: texts for readers of the page, about one remote or proxy or about all.
"""

from datetime import datetime

from remotestatus.history.database import History, insert, readable, row_as
from remotestatus.model.windows import Note


def add_note(history: History, name: str, text: str, at: datetime, until: datetime | None) -> int:
    """Add a note, about all when `name` is empty, and return its number."""
    with history.transaction() as db:
        return insert(db, "INSERT INTO notes", name=name, text=text, at=at, until=until)


def remove_notes(history: History, name: str) -> int:
    """Take all notes about one remote or proxy, or about all, away; returns how many there were."""
    with history.transaction() as db:
        return db.execute("DELETE FROM notes WHERE name = ?", (name,)).rowcount


def current_notes(history: History, now: datetime) -> tuple[Note, ...]:
    """The notes that hold now, the newest first."""
    rows = history.connection.execute("SELECT * FROM notes WHERE until IS NULL OR until > ? ORDER BY id DESC", (now,))
    return tuple(readable(rows, row_as(Note)))
