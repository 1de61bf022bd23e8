"""
Keeps what people say by command: acknowledgements, maintenance windows, and notes for readers of the page.
"""

from datetime import datetime

from remotestatus.history.database import History, insert, readable, row_as, subject_of
from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.notes import Note
from remotestatus.model.states import Subject
from remotestatus.model.windows import CommandWindow


def acknowledge(
    history: History, subject: Subject, at: datetime, until: datetime | None = None, note: str = ""
) -> None:
    """Store an acknowledgement; a later one replaces an earlier one."""
    kind, name = subject
    with history.transaction() as db:
        insert(db, "INSERT OR REPLACE INTO acknowledgements", kind=kind, name=name, at=at, until=until, note=note)


def clear_acknowledgement(history: History, subject: Subject) -> bool:
    """Remove an acknowledgement; returns whether there was one."""
    with history.transaction() as db:
        cursor = db.execute("DELETE FROM acknowledgements WHERE kind = ? AND name = ?", subject)
    return cursor.rowcount > 0


def acknowledgements(history: History) -> dict[Subject, Acknowledgement]:
    """All acknowledgements, also those whose time is over."""
    rows = history.connection.execute("SELECT * FROM acknowledgements")
    read_acknowledgement = row_as(Acknowledgement)
    return dict(readable(rows, lambda row: (subject_of(row), read_acknowledgement(row))))


def open_window(history: History, target: str, starts: datetime, until: datetime, note: str = "") -> int:
    """Add a maintenance window given by command and return its number."""
    with history.transaction() as db:
        return insert(db, "INSERT INTO windows", target=target, starts=starts, until=until, note=note)


def end_windows(history: History, target: str, now: datetime) -> int:
    """End every window of a target that is open or still to come; returns how many there were."""
    with history.transaction() as db:
        cursor = db.execute(
            "UPDATE windows SET until = ?, starts = min(starts, ?) WHERE target = ? AND until > ?",
            (now, now, target, now),
        )
    return cursor.rowcount


def command_windows(history: History, now: datetime) -> tuple[CommandWindow, ...]:
    """The windows given by command that are open or still to come, in order of their start."""
    rows = history.connection.execute("SELECT * FROM windows WHERE until > ? ORDER BY starts, id", (now,))
    return tuple(readable(rows, row_as(CommandWindow)))


def add_note(history: History, name: str, text: str, at: datetime, until: datetime | None) -> int:
    """Add a note, about all when `name` is empty, and return its number."""
    with history.transaction() as db:
        return insert(db, "INSERT INTO notes", name=name, text=text, at=at, until=until)


def remove_notes(history: History, name: str) -> int:
    """Remove all notes about one remote or proxy, or about all; returns how many there were."""
    with history.transaction() as db:
        return db.execute("DELETE FROM notes WHERE name = ?", (name,)).rowcount


def current_notes(history: History, now: datetime) -> tuple[Note, ...]:
    """The current notes, newest first."""
    rows = history.connection.execute("SELECT * FROM notes WHERE until IS NULL OR until > ? ORDER BY id DESC", (now,))
    return tuple(readable(rows, row_as(Note)))
