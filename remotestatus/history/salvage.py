"""
Repairs a damaged history: makes a new one of what can be read of it and of the newest backup.

The damaged file stays beside it under another name; nothing is deleted. The caller has to hold the round's lock.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from remotestatus.history.backup import newest_backup
from remotestatus.history.database import History, unusable
from remotestatus.history.migrations import MIGRATIONS
from remotestatus.model.errors import RoundError
from remotestatus.model.text import count

_HEADER = b"SQLite format 3\0"
_ENDINGS = ("", "-wal", "-shm", "-journal")

_LARGE = 50_000_000
"""Bytes."""

_ONCE = "answer_codes"
"""Never taken from a copy: it does not know which codes were used since."""

_LATER_SAID = "messages"
"""From a copy only messages that were sent or dropped are taken: the others may have been sent after it was made."""


def what_is_damaged(path: Path, *, every_page: bool = True) -> str | None:
    """
    What is damaged in a history's file; None if it is intact, new, or cannot be opened now.

    With `every_page` (of SQLite) all of it is read, at about 10 ms per MB. Raises RoundError for a database that is
    another program's: that is not ours to move.
    """
    try:
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except OSError:
        return None
    if header and header != _HEADER:
        return "it is no SQLite file"
    try:
        with closing(_read_only(path)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if not 0 <= version <= len(MIGRATIONS):
                return f"a newer remotestatus wrote it (its version {version}, ours {len(MIGRATIONS)})"
            names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if names and not names & {"subjects", "transitions"}:
                raise RoundError(
                    f"{path} is another program's database, and no history; set remotestatus_database to another file"
                )
            if gone := sorted(_tables_of(version) - names):
                return f"its table {gone[0]} is gone"
            found = [str(row[0]) for row in db.execute("PRAGMA quick_check(1)")] if every_page else ["ok"]
            return None if found == ["ok"] else found[0].splitlines()[-1]
    except sqlite3.OperationalError:
        return None  # locked or not readable: opening it reports that
    except sqlite3.DatabaseError as error:
        return str(error)


def _tables_of(version: int) -> set[str]:
    """The tables that a history of this version has."""
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in chain.from_iterable(MIGRATIONS[:version]):
            db.execute(statement)
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@contextmanager
def open_or_repair(path: Path, now: datetime) -> Iterator[tuple[History, str]]:
    """
    Open the history, repaired if it is damaged; also return a sentence about that, or nothing.

    Every page of a large one is looked at once a day, before the day's copy is made.
    """
    newest = newest_backup(path)
    is_small = not path.exists() or path.stat().st_size <= _LARGE
    sentence = repair(path, now, every_page=is_small or newest is None or not newest.name.endswith(f"{now:%Y-%m-%d}"))
    with History.open(path) as history:
        yield history, sentence


def repair(path: Path, now: datetime, *, every_page: bool = True) -> str:
    """
    Replace a damaged history by a new one; return a sentence about it, or nothing if it is intact.

    Raises RoundError when nothing can be written there.
    """
    damage = what_is_damaged(path, every_page=every_page)
    if damage is None:
        return ""
    path = Path(os.path.realpath(path))
    aside = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}")
    new = path.with_name(f"{path.name}.new")
    try:
        _remove(new)
        with History.open(new) as history:
            _fill(history, path)
        _keep_also_as(path, aside)
        for ending in _ENDINGS[1:]:
            with suppress(FileNotFoundError):
                path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
        new.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise RoundError(unusable(path, error)) from error
    with History.open(path) as history:
        rounds, subjects = (
            history.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - names of ours
            for table in ("rounds", "subjects")
        )
    kept = f"{count(rounds, 'round')} and the states of {count(subjects, 'subject')}"
    return f"the history was damaged ({damage}); it was set aside as {aside}, and {kept} could be read of it"


def _keep_also_as(path: Path, aside: Path) -> None:
    """Hard-link the file to its new name, so that the old path is never without a file."""
    try:
        os.link(path, aside)
    except OSError:
        # Not every file system has hard links.
        path.rename(aside)


def _fill(history: History, damaged: Path) -> None:
    """Take all that can be read of the damaged history, and what it lacks from the newest copy."""
    db = history.connection
    db.execute("PRAGMA foreign_keys = OFF")
    lacking = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
    lacking = _copy_all(damaged, history, lacking, is_copy=False)
    if (copy := newest_backup(damaged)) is not None:
        # Tables read whole are left out: their rows were deleted.
        _copy_all(copy, history, [table for table in lacking if table != _ONCE], is_copy=True)
    with history.transaction():
        for table, rowid, *_ in db.execute("PRAGMA foreign_key_check").fetchall():
            if rowid is not None:
                db.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))  # noqa: S608
        for table, column in (("days", "subject_id"), ("samples", "subject_id"), ("mentions", "message_id")):
            owner = "messages" if table == "mentions" else "subjects"
            db.execute(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT id FROM {owner})")  # noqa: S608
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA journal_mode = DELETE")


def _copy_all(source: Path, history: History, tables: Sequence[str], *, is_copy: bool) -> list[str]:
    """Copy what can be read of these tables; return those that could not be read whole."""
    lacking = list(tables)
    with suppress(sqlite3.DatabaseError), closing(_read_only(source)) as old:
        for table in tables:
            with suppress(sqlite3.DatabaseError):
                if _copy(old, history, table, is_copy=is_copy):
                    lacking.remove(table)
    return lacking


@dataclass
class _Rows:
    """The rows of a query up to the first unreadable one; `whole` says whether there was none."""

    db: sqlite3.Connection
    query: str
    whole: bool = False

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        try:
            yield from self.db.execute(self.query)
            self.whole = True
        except sqlite3.DatabaseError:
            self.whole = False


def _copy(old: sqlite3.Connection, history: History, table: str, *, is_copy: bool) -> bool:
    """Copy the rows of a table that can be read and are not there yet; return whether that was all of them."""
    columns, ours = _columns(old, table), _columns(history.connection, table)
    shared = [name for name in ours if name in columns]
    if not shared:
        return False
    where = " WHERE sent_at IS NOT NULL OR dropped IS NOT NULL" if is_copy and table == _LATER_SAID else ""
    names, marks = ", ".join(shared), ", ".join("?" for _ in shared)
    select = f"SELECT {names} FROM {table}{where} ORDER BY "  # noqa: S608 - names of ours
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
    key = _key(old, table)
    with history.transaction() as db:
        # The rows before the first unreadable place, then those after the last one.
        for direction in ("ASC", "DESC"):
            order = ", ".join(f"{name} {direction}" for name in key)
            rows = _Rows(old, select + order)
            for row in rows:
                with suppress(sqlite3.IntegrityError):
                    db.execute(insert, row)
            if rows.whole:
                return direction == "ASC"
    return False


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    with suppress(sqlite3.DatabaseError):
        return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    return []


def _key(db: sqlite3.Connection, table: str) -> list[str]:
    """The columns in whose order the table itself is stored: no index is needed to read it."""
    rows = sorted((row[5], row[1]) for row in db.execute(f"PRAGMA table_info({table})") if row[5])
    return [name for _, name in rows] or ["rowid"]


def _read_only(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _remove(path: Path) -> None:
    for ending in _ENDINGS:
        path.with_name(path.name + ending).unlink(missing_ok=True)
