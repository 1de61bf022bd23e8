"""
Keeps the history in one SQLite file: opens and migrates it, records a round, and reads what the next one starts from.

A round is recorded in one transaction. The file grows with changes and days, not with rounds: each round overwrites the
check results of the last.
"""

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any, ClassVar, Protocol, Self, TypeVar, get_args

from pydantic import TypeAdapter

from remotestatus.evaluate import kept_values
from remotestatus.history.migrations import MIGRATIONS
from remotestatus.history.retention import ROUNDS_KEPT, SAMPLES_KEPT
from remotestatus.model.check_result import CheckResult
from remotestatus.model.days import DayRange, DayShare
from remotestatus.model.errors import RoundError, say_error
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, State, StateChange, Subject
from remotestatus.model.times import read_time, write_time

_STATE = TypeAdapter(State)
_CHECK_RESULT = TypeAdapter(CheckResult)

T = TypeVar("T")


class _Record(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Record = TypeVar("Record", bound=_Record)


class History:
    """The history file, open. Use `History.open(path)`; close it or use it in a `with`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection, self._owner = connection, os.getpid()

    @property
    def connection(self) -> sqlite3.Connection:
        """
        The open connection of this process.

        SQLite forbids to use or to close one that was opened before a fork: the child gets its own, to read.
        """
        if self._owner != os.getpid():
            self._inherited = self._connection
            self._connection, self._owner = History.open(self.path, read_only=True).connection, os.getpid()
        return self._connection

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """
        Open the history, make it when it is new, and bring an older one up to date.

        Raises RoundError, with the cure, when the file cannot be used.
        """
        try:
            if read_only:
                # SQLite makes a file beside it even to read, unless it is told that the file is immutable.
                unchanging = "" if os.access(path.parent, os.W_OK) else "&immutable=1"
                uri = f"{path.absolute().as_uri()}?mode=ro{unchanging}"
                connection = sqlite3.connect(uri, uri=True, isolation_level=None)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(path, isolation_level=None, timeout=30)
                path.chmod(0o600)
        except (OSError, sqlite3.Error) as error:
            raise RoundError(unusable(path, error)) from error
        try:
            connection.row_factory = sqlite3.Row
            connection.text_factory = _text  # one damaged byte must not lose the row and those after it
            connection.execute("PRAGMA foreign_keys = ON")
            if not read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
            history = cls(connection, path)
            history._migrate(read_only=read_only)
        except (sqlite3.Error, RoundError) as error:
            connection.close()
            if isinstance(error, RoundError):
                raise
            raise RoundError(unusable(path, error)) from error
        return history

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, sqlite3.Error):
            raise RoundError(unusable(self.path, error)) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all changes inside, or none. May be nested."""
        if self.connection.in_transaction:
            yield self.connection
            return
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise RoundError(unusable(self.path, error)) from error
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise RoundError(unusable(self.path, error)) from error
            raise

    def _migrate(self, *, read_only: bool) -> None:
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise RoundError(
                f"the history {self.path} was written by a newer remotestatus (its version {version}, ours "
                f"{len(MIGRATIONS)}): install that one, or have it set aside: remotestatus doctor --repair"
            )
        if read_only:
            if version < len(MIGRATIONS):
                raise RoundError(
                    f"the history {self.path} is from an older remotestatus: `remotestatus run` updates it"
                )
            return
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            with self.transaction() as db:
                for statement in statements:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {number}")

    # -- what a round leaves ---------------------------------------------------------------------------------------

    def record(
        self,
        round_: Round,
        changes: Iterable[StateChange],
        results: Iterable[CheckResult],
        days: Iterable[tuple[Subject, DayShare]] = (),
        gone: Iterable[Subject] = (),
        renewed: Collection[str] | None = None,
        looks: Iterable[CheckResult] = (),
    ) -> Round:
        """
        Record one round and return it with its number. Call inside `transaction()` to record its messages with it.

        `gone` are subjects that are no longer in the inventory: they keep their history and leave the page. `renewed`
        are the remotes whose page shows the measurements of this round; None: all. `looks` are the results of probed
        proxies. A subject that cannot be recorded is skipped, with a trouble of the round.
        """
        started, finished = round_.started_at.timestamp(), round_.finished_at.timestamp()
        troubles = list(round_.troubles)
        with self.transaction() as db:
            said = json.dumps(round_.troubles)
            number = insert(
                db, "INSERT INTO rounds", started=started, finished=finished, remotes=round_.remotes, troubles=said
            )
            for change in changes:
                with _left_out(troubles, change.state.name):
                    _record_change(db, number, change)
            kinds = ((Kind.REMOTE, results), (Kind.PROXY, looks))
            for kind, result in ((kind, result) for kind, several in kinds for result in several):
                with _left_out(troubles, result.name):
                    _record_check_result(db, kind, result, renewed=renewed is None or result.name in renewed)
            db.executemany(_ADD_TO_DAY, [(*subject, *_day_values(share)) for subject, share in days])
            _record_gone(db, gone, round_.finished_at)
            db.execute("DELETE FROM rounds WHERE id <= ?", (number - ROUNDS_KEPT,))
            if len(troubles) > len(round_.troubles):
                db.execute("UPDATE rounds SET troubles = ? WHERE id = ?", (json.dumps(troubles), number))
        return replace(round_, id=number, troubles=tuple(troubles))

    # -- what the next round reads ---------------------------------------------------------------------------------

    def of_subjects(self, column: str, read: Callable[[Any], T]) -> dict[Subject, T]:
        """The column's value for each subject in the inventory; an unreadable value is skipped."""
        rows = self.connection.execute(
            f"SELECT kind, name, {column} FROM subjects WHERE gone_since IS NULL AND {column} IS NOT NULL"  # noqa: S608
        )
        return dict(readable(rows, lambda row: (subject_of(row), read(row[column]))))

    def states(self) -> dict[Subject, State]:
        """The last State of every subject in the inventory, except unreadable ones."""
        return self.of_subjects("state", _STATE.validate_json)

    def check_results(self) -> dict[str, CheckResult]:
        """The last CheckResult of every remote of the inventory, and of the proxies that are looked at, by name."""
        return {name: found for (_, name), found in self.of_subjects("reading", _CHECK_RESULT.validate_json).items()}

    def measured_at(self) -> dict[str, datetime]:
        """When the measurements that each remote's page shows were made, by name."""
        return {name: at for (_, name), at in self.of_subjects("measured_at", read_time).items()}

    def measured(self, name: str) -> CheckResult | None:
        """The check result whose measurements the page of a remote shows, or of a proxy that is looked at."""
        rows = self.connection.execute(
            "SELECT coalesce(measured, reading) AS shown FROM subjects WHERE kind IN (?, ?) AND name = ? "
            "AND gone_since IS NULL AND reading IS NOT NULL",
            (Kind.REMOTE, Kind.PROXY, name),
        )
        return next(readable(rows, lambda row: _CHECK_RESULT.validate_json(row["shown"])), None)

    def ranges(self, name: str) -> dict[str, list[DayRange]]:
        """The lowest and highest value of each day of a remote, by what is measured, the oldest first."""
        read_range = row_as(DayRange)
        rows = self.connection.execute(
            "SELECT r.measure, r.day, r.low, r.high FROM ranges r JOIN subjects s ON s.id = r.subject_id "
            "WHERE s.kind IN (?, ?) AND s.name = ? AND s.gone_since IS NULL ORDER BY r.measure, r.day",
            (Kind.REMOTE, Kind.PROXY, name),
        )
        found: dict[str, list[DayRange]] = {}
        for measure, one in readable(rows, lambda row: (str(row["measure"]), read_range(row))):
            found.setdefault(measure, []).append(one)
        return found

    def disk_ranges(self, names: Collection[str], since: date) -> dict[str, dict[str, list[DayRange]]]:
        """The lowest and highest value of each day of the disks of these remotes, from a day on, the oldest first."""
        read_range = row_as(DayRange)
        rows = self.connection.execute(
            "SELECT s.name, r.measure, r.day, r.low, r.high FROM subjects s JOIN ranges r ON r.subject_id = s.id "
            "WHERE s.kind IN (?, ?) AND s.gone_since IS NULL AND s.name IN (SELECT value FROM json_each(?)) "
            "AND r.measure >= 'disk ' AND r.measure < 'disk!' AND r.day >= ? ORDER BY s.name, r.measure, r.day",
            (Kind.REMOTE, Kind.PROXY, json.dumps(sorted(names)), since.isoformat()),
        )
        found: dict[str, dict[str, list[DayRange]]] = {name: {} for name in names}
        for name, measure, one in readable(rows, lambda row: (row["name"], str(row["measure"]), read_range(row))):
            found[name].setdefault(measure, []).append(one)
        return found

    def last_round(self) -> Round | None:
        """The newest round, or None before the first."""
        return next(iter(self.rounds(1)), None)

    def rounds(self, limit: int = ROUNDS_KEPT) -> list[Round]:
        """The newest rounds, newest first."""
        return list(
            readable(self.connection.execute("SELECT * FROM rounds ORDER BY id DESC LIMIT ?", (limit,)), _round)
        )


_text = partial(str, encoding="utf-8", errors="replace")


def readable(rows: Iterable[sqlite3.Row], read: Callable[[sqlite3.Row], T]) -> Iterator[T]:
    """The rows that can be read; a damaged one is skipped."""
    for row in rows:
        try:
            found = read(row)
        except (ValueError, TypeError, AttributeError, OverflowError, OSError):
            continue
        yield found


def row_as(kind: type[Record], *absent: str) -> Callable[[sqlite3.Row], Record]:
    """A function that reads a row as this dataclass: each field, but those `absent`, from its column."""
    known = [(field.name, _converter(field.type)) for field in fields(kind) if field.name not in absent]
    return lambda row: kind(**{name: convert(row[name]) for name, convert in known})


def _converter(kind: Any) -> Callable[[Any], Any]:
    if kinds := [one for one in get_args(kind) if one is not NoneType]:
        convert = _converter(kinds[0])
        return lambda value: convert(value) if value else None
    converters: dict[Any, Callable[[Any], Any]] = {kind: kind, datetime: read_time, date: date.fromisoformat}
    return converters[kind]


sqlite3.register_adapter(datetime, write_time)


def insert(db: sqlite3.Connection, statement: str, **values: object) -> int:
    """Run `INSERT INTO table` or the like with the values of a row by their columns; return the row's number."""
    marks = ", ".join("?" for _ in values)
    cursor = db.execute(f"{statement} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
    return int(cursor.lastrowid or 0)


def subject_of(row: sqlite3.Row) -> Subject:
    """The remote or proxy that a row is about."""
    return Kind(row["kind"]), row["name"]


def _round(row: sqlite3.Row) -> Round:
    return Round(
        id=row["id"],
        started_at=datetime.fromtimestamp(row["started"], UTC),
        finished_at=datetime.fromtimestamp(row["finished"], UTC),
        remotes=row["remotes"],
        troubles=tuple(json.loads(row["troubles"])),
    )


@contextmanager
def _left_out(troubles: list[str], name: str) -> Iterator[None]:
    """Skip a subject that cannot be written, and note a trouble of the round."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        troubles.append(f"what was found of {name} could not be recorded: {say_error(error)}; please report this")


def _record_gone(db: sqlite3.Connection, gone: Iterable[Subject], now: datetime) -> None:
    db.executemany(
        "UPDATE subjects SET gone_since = ? WHERE kind = ? AND name = ? AND gone_since IS NULL",
        [(now, *subject) for subject in gone],
    )


def _record_change(db: sqlite3.Connection, number: int, change: StateChange) -> None:
    state = change.state
    (subject_id,) = db.execute(
        "INSERT INTO subjects (kind, name, first_seen, state) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (kind, name) DO UPDATE SET state = excluded.state, gone_since = NULL RETURNING id",
        (state.kind, state.name, state.seen_at, _STATE.dump_json(state)),
    ).fetchone()
    for stage, transition in (("seen", change.seen), ("confirmed", change.confirmed)):
        if transition is None:
            continue
        names = ("cause", "message", "hint", "detail") if transition.trouble else ()
        insert(
            db,
            "INSERT INTO transitions",
            **{name: getattr(transition, name) for name in ("at", "before", "after", "lasted_since")},
            **{name: getattr(transition.trouble, name) for name in names},
            round_id=number,
            subject_id=subject_id,
            stage=stage,
        )


def _record_check_result(db: sqlite3.Connection, kind: Kind, result: CheckResult, *, renewed: bool) -> None:
    # `measured` is set only while the page shows an older round's measurements.
    change = "measured = NULL, measured_at = ?2" if renewed else "measured = coalesce(measured, reading)"
    row = db.execute(
        f"UPDATE subjects SET {change}, reading = ?1 WHERE kind = ?3 AND name = ?4 RETURNING id",  # noqa: S608 - ours
        (_CHECK_RESULT.dump_json(result), result.at, kind, result.name),
    ).fetchone()
    if row is None:
        return
    day = write_time(result.at)[:10]
    db.executemany(_ADD_TO_RANGE, [(row["id"], name, day, value) for name, value in kept_values(result).items()])
    if result.connect_ms is None:
        return
    insert(db, "INSERT OR REPLACE INTO samples", subject_id=row["id"], at=result.at, connect_ms=result.connect_ms)
    db.execute(
        "DELETE FROM samples WHERE subject_id = ? AND at < (SELECT at FROM samples WHERE subject_id = ? "
        "ORDER BY at DESC LIMIT 1 OFFSET ?)",
        (row["id"], row["id"], SAMPLES_KEPT - 1),
    )


_ADD_TO_RANGE = """
    INSERT INTO ranges (subject_id, measure, day, low, high) VALUES (?1, ?2, ?3, ?4, ?4)
    ON CONFLICT (subject_id, measure, day) DO UPDATE SET low = min(low, excluded.low), high = max(high, excluded.high)
"""

_ADD_TO_DAY = """
    INSERT INTO days (subject_id, day, up, degraded, down, unknown, maintenance)
    SELECT id, ?3, ?4, ?5, ?6, ?7, ?8 FROM subjects WHERE kind = ?1 AND name = ?2
    ON CONFLICT (subject_id, day) DO UPDATE SET
        up = up + excluded.up, degraded = degraded + excluded.degraded, down = down + excluded.down,
        unknown = unknown + excluded.unknown, maintenance = maintenance + excluded.maintenance
"""


def _day_values(share: DayShare) -> tuple[str, float, float, float, float, float]:
    return share.day.isoformat(), share.up, share.degraded, share.down, share.unknown, share.maintenance


def unusable(path: Path, error: Exception) -> str:
    """Why a history cannot be used, and what to do about it."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    cure = "check its folder's owner and mode, or set remotestatus_database to another file"
    if "locked" in text:
        cure = "another program holds it; try again when that has finished"
    elif "malformed" in text or "not a database" in text:
        cure = (
            "it is damaged or no SQLite file: `remotestatus doctor --repair` sets it aside and keeps what can be read"
        )
    elif "disk I/O error" in text or text == os.strerror(errno.EIO):
        cure = (
            "the disk is full or has errors (the kernel's log says more), or the limit on the size of files "
            "(`ulimit -f`) is too low; nothing of this round was recorded"
        )
    elif "full" in text or text in (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT)):
        cure = "the disk is full: make room; nothing of this round was recorded"
    return f"cannot use the history {path}: {text}; {cure}"
