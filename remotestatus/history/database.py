"""
Keeps the history in one SQLite file: subjects with their last state, transitions, rounds, days, and the outbox.

Verdicts and readings of one round come in and are recorded in one transaction; states, transitions and days go out to
the judge and the page. It grows with changes and days, not with rounds: results of a round are overwritten by the next.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from remotestatus.history.migrations import MIGRATIONS
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.days import DayShare
from remotestatus.model.errors import RoundError
from remotestatus.model.rounds import Round, Sample
from remotestatus.model.states import Kind, State, StateChange, Subject, Transition
from remotestatus.model.statuses import Status
from remotestatus.model.times import read_time, write_time

SAMPLES_KEPT = 300
"""Connect times kept per remote, for the chart."""

ROUNDS_KEPT = 2000
"""Rounds kept, for the page's footer and the doctor."""

_STATE = TypeAdapter(State)
_READING = TypeAdapter(CheckResult)


class History:
    """The history file, open. Use `History.open(path)`; close it or use it in a `with`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """
        Open the history, make it when it is new, and bring an older one up to date.

        Raises RoundError, with the cure, when the file cannot be used.
        """
        try:
            if read_only:
                connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(path, isolation_level=None, timeout=30)
                path.chmod(0o600)
        except (OSError, sqlite3.Error) as error:
            raise RoundError(_unusable(path, error)) from error
        try:
            connection.row_factory = sqlite3.Row
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
            raise RoundError(_unusable(path, error)) from error
        return history

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: what happens inside is committed whole or not at all. May be nested."""
        if self.connection.in_transaction:
            yield self.connection
            return
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise RoundError(_unusable(self.path, error)) from error
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise RoundError(_unusable(self.path, error)) from error
            raise

    def _migrate(self, *, read_only: bool) -> None:
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise RoundError(
                f"the history {self.path} was written by a newer remotestatus (its version {version}, ours "
                f"{len(MIGRATIONS)}): update remotestatus"
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
        verdicts: Sequence[StateChange],
        readings: Iterable[CheckResult],
        days: Iterable[tuple[Subject, DayShare]] = (),
        gone: Iterable[Subject] = (),
    ) -> Round:
        """
        Record one round and return it with its number. Call inside `transaction()` to record its messages with it.

        `gone` are subjects that are no longer in the inventory: they keep their history and leave the page.
        """
        with self.transaction() as db:
            cursor = db.execute(
                "INSERT INTO rounds (started, finished, remotes, troubles) VALUES (?, ?, ?, ?)",
                (
                    round_.started_at.timestamp(),
                    round_.finished_at.timestamp(),
                    round_.remotes,
                    json.dumps(round_.troubles),
                ),
            )
            number = int(cursor.lastrowid or 0)
            for verdict in verdicts:
                self._record_verdict(db, number, verdict)
            self._record_readings(db, readings)
            self._record_days(db, days)
            for kind, name in gone:
                db.execute(
                    "UPDATE subjects SET gone_since = ? WHERE kind = ? AND name = ? AND gone_since IS NULL",
                    (write_time(round_.finished_at), kind, name),
                )
            db.execute("DELETE FROM rounds WHERE id <= ?", (number - ROUNDS_KEPT,))
        return replace(round_, id=number)

    def _record_verdict(self, db: sqlite3.Connection, number: int, verdict: StateChange) -> None:
        state = verdict.state
        (subject_id,) = db.execute(
            "INSERT INTO subjects (kind, name, first_seen, state) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (kind, name) DO UPDATE SET state = excluded.state, gone_since = NULL RETURNING id",
            (state.kind, state.name, write_time(state.seen_at), _STATE.dump_json(state)),
        ).fetchone()
        for stage, transition in (("seen", verdict.seen), ("confirmed", verdict.confirmed)):
            if transition is None:
                continue
            trouble = transition.trouble
            db.execute(
                "INSERT INTO transitions (round_id, subject_id, stage, at, before, after, cause, message, hint, detail,"
                " lasted_since) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    number,
                    subject_id,
                    stage,
                    write_time(transition.at),
                    transition.before,
                    transition.after,
                    trouble.cause if trouble else None,
                    trouble.message if trouble else None,
                    trouble.hint if trouble else None,
                    trouble.detail if trouble else None,
                    write_time(transition.lasted_since) if transition.lasted_since else None,
                ),
            )

    def _record_readings(self, db: sqlite3.Connection, readings: Iterable[CheckResult]) -> None:
        for reading in readings:
            row = db.execute(
                "UPDATE subjects SET reading = ? WHERE kind = ? AND name = ? RETURNING id",
                (_READING.dump_json(reading), Kind.REMOTE, reading.name),
            ).fetchone()
            if row is not None and reading.connect_ms is not None:
                db.execute(
                    "INSERT OR REPLACE INTO samples (subject_id, at, connect_ms) VALUES (?, ?, ?)",
                    (row["id"], write_time(reading.at), reading.connect_ms),
                )
                db.execute(
                    "DELETE FROM samples WHERE subject_id = ? AND at < (SELECT at FROM samples WHERE subject_id = ? "
                    "ORDER BY at DESC LIMIT 1 OFFSET ?)",
                    (row["id"], row["id"], SAMPLES_KEPT - 1),
                )

    def _record_days(self, db: sqlite3.Connection, days: Iterable[tuple[Subject, DayShare]]) -> None:
        for (kind, name), share in days:
            db.execute(
                "INSERT INTO days (subject_id, day, up, degraded, down, unknown, maintenance) "
                "SELECT id, ?, ?, ?, ?, ?, ? FROM subjects WHERE kind = ? AND name = ? "
                "ON CONFLICT (subject_id, day) DO UPDATE SET up = up + excluded.up, "
                "degraded = degraded + excluded.degraded, down = down + excluded.down, "
                "unknown = unknown + excluded.unknown, maintenance = maintenance + excluded.maintenance",
                (
                    share.day.isoformat(),
                    share.up,
                    share.degraded,
                    share.down,
                    share.unknown,
                    share.maintenance,
                    kind,
                    name,
                ),
            )

    def prune(self, now: datetime, retention: timedelta) -> None:
        """Forget days, transitions and departed subjects older than the retention; what is open stays."""
        limit = write_time(now - retention)
        with self.transaction() as db:
            db.execute("DELETE FROM days WHERE day < ?", (limit[:10],))
            db.execute(
                "DELETE FROM transitions WHERE at < ? AND id NOT IN (SELECT max(id) FROM transitions "
                "GROUP BY subject_id, stage)",
                (limit,),
            )
            db.execute("DELETE FROM subjects WHERE gone_since < ?", (limit,))

    # -- what the next round and the page read ----------------------------------------------------------------------

    def states(self) -> dict[Subject, State]:
        """The last State of every subject of the inventory; one that can't be read back counts as never seen."""
        found: dict[Subject, State] = {}
        for row in self.connection.execute("SELECT kind, name, state FROM subjects WHERE gone_since IS NULL"):
            try:
                found[Kind(row["kind"]), row["name"]] = _STATE.validate_json(row["state"])
            except ValidationError:
                continue
        return found

    def readings(self) -> dict[str, CheckResult]:
        """The last CheckResult of every remote of the inventory, by name."""
        found: dict[str, CheckResult] = {}
        for row in self.connection.execute(
            "SELECT name, reading FROM subjects WHERE gone_since IS NULL AND reading IS NOT NULL"
        ):
            try:
                found[row["name"]] = _READING.validate_json(row["reading"])
            except ValidationError:
                continue
        return found

    def first_seen(self) -> dict[Subject, datetime]:
        """When each subject of the inventory was first seen."""
        rows = self.connection.execute("SELECT kind, name, first_seen FROM subjects WHERE gone_since IS NULL")
        return {(Kind(row["kind"]), row["name"]): read_time(row["first_seen"]) for row in rows}

    def transitions(self, since: datetime, stage: str = "seen", subject: Subject | None = None) -> list[Transition]:
        """Transitions since a moment, oldest first, of subjects that are (still) in the inventory."""
        where = "t.stage = ? AND t.at >= ? AND s.gone_since IS NULL"
        values: list[Any] = [stage, write_time(since)]
        if subject:
            where += " AND s.kind = ? AND s.name = ?"
            values += subject
        rows = self.connection.execute(
            f"SELECT t.*, s.kind, s.name FROM transitions t JOIN subjects s ON s.id = t.subject_id "  # noqa: S608
            f"WHERE {where} ORDER BY t.id",
            values,
        )
        return [_transition(row) for row in rows]

    def days(self, since: date) -> dict[Subject, list[DayShare]]:
        """The shares of each day since a day, per subject, oldest first."""
        found: dict[Subject, list[DayShare]] = {}
        rows = self.connection.execute(
            "SELECT d.*, s.kind, s.name FROM days d JOIN subjects s ON s.id = d.subject_id "
            "WHERE d.day >= ? AND s.gone_since IS NULL ORDER BY d.day",
            (since.isoformat(),),
        )
        for row in rows:
            found.setdefault((Kind(row["kind"]), row["name"]), []).append(
                DayShare(
                    date.fromisoformat(row["day"]),
                    row["up"],
                    row["degraded"],
                    row["down"],
                    row["unknown"],
                    row["maintenance"],
                )
            )
        return found

    def samples(self) -> dict[str, list[Sample]]:
        """The last connect times of each remote, oldest first."""
        found: dict[str, list[Sample]] = {}
        rows = self.connection.execute(
            "SELECT s.name, x.at, x.connect_ms FROM samples x JOIN subjects s ON s.id = x.subject_id "
            "WHERE s.gone_since IS NULL ORDER BY x.subject_id, x.at"
        )
        for row in rows:
            found.setdefault(row["name"], []).append(Sample(read_time(row["at"]), row["connect_ms"]))
        return found

    def last_round(self) -> Round | None:
        """The newest round, or None before the first."""
        row = self.connection.execute("SELECT * FROM rounds ORDER BY id DESC LIMIT 1").fetchone()
        return _round(row) if row else None

    def rounds(self, limit: int = ROUNDS_KEPT) -> list[Round]:
        """The newest rounds, newest first."""
        return [
            _round(row) for row in self.connection.execute("SELECT * FROM rounds ORDER BY id DESC LIMIT ?", (limit,))
        ]


def _round(row: sqlite3.Row) -> Round:
    return Round(
        id=row["id"],
        started_at=datetime.fromtimestamp(row["started"], UTC),
        finished_at=datetime.fromtimestamp(row["finished"], UTC),
        remotes=row["remotes"],
        troubles=tuple(json.loads(row["troubles"])),
    )


def _transition(row: Mapping[str, Any]) -> Transition:
    trouble = None
    if row["cause"]:
        trouble = Trouble(Cause(row["cause"]), row["message"] or "", row["hint"] or "", row["detail"] or "")
    return Transition(
        kind=Kind(row["kind"]),
        name=row["name"],
        at=read_time(row["at"]),
        before=Status(row["before"]) if row["before"] else None,
        after=Status(row["after"]),
        trouble=trouble,
        lasted_since=read_time(row["lasted_since"]) if row["lasted_since"] else None,
    )


def _unusable(path: Path, error: Exception) -> str:
    text = str(error)
    cure = "check its folder's owner and mode, or set remotestatus_database to another file"
    if "locked" in text:
        cure = "another program holds it; try again when that has finished"
    elif "malformed" in text or "not a database" in text:
        cure = "it is damaged or no SQLite file: move it aside (history starts anew) or restore a copy"
    elif "full" in text:
        cure = "the disk is full: make room; nothing of this round was recorded"
    return f"cannot use the history {path}: {text}; {cure}"
