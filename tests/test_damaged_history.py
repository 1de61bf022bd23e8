"""
A damaged history is a sentence and a way out: what can be read is kept, the rest set aside, and rounds go on.
"""

import os
import random
import sqlite3
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from remotestatus.evaluate import write_code
from remotestatus.history import (
    History,
    acks_windows_notes,
    back_up,
    only_round,
    open_or_repair,
    outbox,
    period,
    read_past,
    repair,
    taken_replies,
    what_is_damaged,
)
from remotestatus.history.backup import backups
from remotestatus.history.retention import may_forget
from remotestatus.model.errors import RoundError, RoundRunning
from remotestatus.model.replies import CODE_LIFE, ReadSource, ReplyCode
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind
from tests.lab import Command, Lab, SmtpSink
from tests.made_fleet import Made, make_report_input
from tests.rounds import run_round
from tests.stories import OPS, START, make_fleet

PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A history with ninety days of twelve remotes."""
    path = tmp_path_factory.mktemp("whole") / "history.sqlite3"
    make_report_input(Made(remotes=12, now=START), path)
    with History.open(path) as history:
        history.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def counts(path: Path) -> dict[str, int]:
    """How many rows each table has."""
    with History.open(path) as history:
        tables = ("subjects", "transitions", "days", "samples", "rounds")
        return {name: history.connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}


_GOOD = {"kind": "remote", "name": "r1", "destination": OPS.key, "what": "problem", "tone": "failure", "why": "used"}
"""What stands in a column where a table of its own is made up; else a number or a time, and nothing in the last two."""


def fill_every_table(history: History) -> list[tuple[str, str]]:
    """Put a row into each table that has none; returns all columns with their tables."""
    db, found = history.connection, list[tuple[str, str]]()
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = {row["name"]: row["type"] for row in db.execute(f"PRAGMA table_info({table})")}
        if db.execute(f"SELECT 1 FROM {table}").fetchone() is None:
            row = {
                name: _GOOD.get(name, "2026-03-02T11:00:00Z" if kind == "TEXT" else 1)
                for name, kind in columns.items()
                if name not in ("sent_at", "dropped")
            }
            db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()])
        found += [(table, name) for name in columns]
    return found


def read_all(history: History) -> None:
    """All that a round and a page read."""
    fleet = make_fleet(1)
    round_ = Round(0, START, START, 1)
    last = read_past(history, fleet, round_, history.states(), history.check_results(), {}, START)
    for name in (*last.check_results, ""):
        _ = last.samples(name), last.ranges(name), last.measured(name)
        outbox.messages_about(history, (Kind.REMOTE, name))
        outbox.decisions_about(history, (Kind.REMOTE, name))
    outbox.read_memory(history, START, [OPS])
    outbox.due(history, {OPS.key: OPS.name}, START)
    outbox.carry_over(history, [OPS])
    history.rounds()
    may_forget(history.connection, timedelta(days=1), timedelta(minutes=1))
    history.disk_ranges(last.check_results, START.date())
    period.last_report_at(history)
    period.read_for_page(history, "", {"r1"})
    period.read_period(history, START - timedelta(days=9), START)
    taken_replies.refused_so_far(history)
    taken_replies.take(history, [ReadSource("x", (write_code(taken_replies.signing_key(history), 1),))], {}, {}, START)


def test_a_damaged_value_costs_its_row(tmp_path: Path) -> None:
    """No check of SQLite's finds a wrong letter in a text: whatever stands in a column, all else is read."""
    with History.open(tmp_path / "history.sqlite3") as history:
        db, failed = history.connection, []
        for table, column in fill_every_table(history):
            for value in ("'zz'", "CAST(x'7bfffe' AS TEXT)", "9e300", "'[[7]]'"):
                db.execute("BEGIN IMMEDIATE")
                with suppress(sqlite3.IntegrityError):
                    db.execute(f"UPDATE OR IGNORE {table} SET {column} = {value}")
                    try:
                        read_all(history)
                    except Exception as error:
                        failed.append(f"{table}.{column} = {value}: {error!r}")
                db.execute("ROLLBACK")
    assert failed == []


@pytest.mark.parametrize("seed", range(6))
def test_pages_that_were_zeroed_cost_only_themselves(tmp_path: Path, whole: bytes, seed: int) -> None:
    """Whichever page it is, most of the history is kept, the old file stands beside it, and the new one is whole."""
    path = tmp_path / "history.sqlite3"
    path.write_bytes(whole)
    before = counts(path)
    damaged = bytearray(path.read_bytes())
    page = random.Random(seed).randrange(2, len(damaged) // PAGE)
    damaged[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(damaged)

    said = repair(path, START)

    [aside] = [one for one in tmp_path.glob("*.damaged-*") if not one.name.endswith(("-wal", "-shm"))]
    assert aside.name == "history.sqlite3.damaged-20260302T120000Z"
    assert aside.read_bytes() == bytes(damaged)
    assert str(aside) in said
    assert what_is_damaged(path) is None
    after = counts(path)
    assert sum(after.values()) > sum(before.values()) / 3, (page, before, after)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda whole: b"not a database at all" * 100, "no SQLite file"),
        (lambda whole: bytes(len(whole)), "no SQLite file"),
        (lambda whole: bytes(PAGE) + whole[PAGE:], "no SQLite file"),
        (lambda whole: whole[: len(whole) // 2 // PAGE * PAGE], ""),
        (lambda whole: whole[:5000], ""),
        (lambda whole: whole[:100] + os.urandom(200) + whole[300:], ""),
    ],
    ids=["foreign", "zeroes", "first page", "half", "a page", "its schema"],
)
def test_what_cannot_be_opened_is_set_aside(tmp_path: Path, whole: bytes, content: object, reason: str) -> None:
    """Rounds begin anew, or with the newest copy if there is one."""
    path = tmp_path / "history.sqlite3"
    path.write_bytes(whole)
    with History.open(path) as history:
        back_up(history, START, 7)
    assert callable(content)
    path.write_bytes(content(whole))
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    with open_or_repair(path, START) as (history, said):
        assert reason in said
        assert len(history.states()) >= 12
    assert what_is_damaged(path) is None
    assert repair(path, START) == ""


def test_what_was_deleted_since_the_copy_stays_deleted(tmp_path: Path, whole: bytes) -> None:
    """Of the copy comes only what could not be read: no acknowledgement that ended, and no code that was used."""
    path, remote = tmp_path / "history.sqlite3", (Kind.REMOTE, "r1")
    path.write_bytes(whole)
    with History.open(path) as history:
        acks_windows_notes.acknowledge(history, remote, START, note="known")
        taken_replies.keep_codes(history, [ReplyCode(7, "ops", (remote,), START + CODE_LIFE)])
        back_up(history, START, 7)
        acks_windows_notes.clear_acknowledgement(history, remote)
        states = history.states()
        pages = "SELECT rootpage FROM sqlite_master WHERE name IN ('subjects', 'answer_codes')"
        roots = [row[0] for row in history.connection.execute(pages)]
        history.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damaged = bytearray(path.read_bytes())
    for root in roots:
        damaged[(root - 1) * PAGE : root * PAGE] = bytes(PAGE)
    path.write_bytes(damaged)
    assert "set aside" in repair(path, START)
    with History.open(path) as history:
        assert history.states() == states
        assert acks_windows_notes.acknowledgements(history) == {}
        assert history.connection.execute("SELECT count(*) FROM answer_codes").fetchone()[0] == 0


def test_a_repair_that_is_stopped_is_begun_anew(tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment before the new history takes its place, the damaged one is still there, and not nothing."""
    path = tmp_path / "history.sqlite3"
    damaged = whole[:-PAGE] + bytes(PAGE)
    path.write_bytes(damaged)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            repair(path, START)
    assert path.read_bytes() == damaged
    assert "set aside" in repair(path, START + timedelta(seconds=1))
    assert counts(path)["days"] > 0


def test_a_newer_schema_is_set_aside(tmp_path: Path, whole: bytes) -> None:
    """What an older remotestatus knows of it is kept; the newer file stays whole beside it."""
    path = tmp_path / "history.sqlite3"
    path.write_bytes(whole)
    with History.open(path) as history:
        states = history.states()
        history.connection.execute("ALTER TABLE subjects ADD COLUMN mood TEXT")
        history.connection.execute("PRAGMA user_version = 999")
    with pytest.raises(RoundError, match="doctor --repair"):
        History.open(path)
    with open_or_repair(path, START) as (history, said):
        assert "a newer remotestatus wrote it" in said
        assert history.states() == states


def test_another_programs_database_is_not_moved(tmp_path: Path) -> None:
    """A wrong path is a sentence, and that file stays where it is."""
    path = tmp_path / "shop.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customers (name TEXT)")
    db.close()
    with pytest.raises(RoundError, match="another program's database"), open_or_repair(path, START):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["shop.sqlite3"]


@pytest.mark.parametrize("table", ["told", "subjects"])
def test_a_table_that_is_gone_is_made_anew(tmp_path: Path, whole: bytes, table: str) -> None:
    """No round could use the history any more, and SQLite finds nothing wrong with it: all others are kept."""
    path = tmp_path / "history.sqlite3"
    path.write_bytes(whole)
    before = counts(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute(f"DROP TABLE {table}")
    assert f"its table {table} is gone" in repair(path, START)
    assert what_is_damaged(path) is None
    assert counts(path)["rounds"] == before["rounds"]


def test_what_is_whole_or_new_is_left_alone(tmp_path: Path, whole: bytes) -> None:
    """No repair, no other file; an empty file is a new history."""
    path = tmp_path / "history.sqlite3"
    assert repair(path, START) == ""
    path.write_bytes(b"")
    assert repair(path, START) == ""
    path.write_bytes(whole)
    assert repair(path, START) == ""
    assert {one.name.removesuffix("-wal").removesuffix("-shm") for one in tmp_path.iterdir()} == {"history.sqlite3"}


def test_a_copy_a_day_is_kept_as_many_as_wanted(tmp_path: Path, whole: bytes) -> None:
    """One a day, whole and ours alone; the oldest goes; a clock that was ahead costs its own copy first."""
    path = tmp_path / "history.sqlite3"
    path.write_bytes(whole)
    with History.open(path) as history:
        back_up(history, START + timedelta(days=700), 3)
        for hours in range(0, 24 * 5, 6):
            back_up(history, START + timedelta(hours=hours), 3)
        names = [one.name.rpartition("backup-")[2] for one in backups(path)]
        assert names == ["2026-03-05", "2026-03-06", "2026-03-07"]
        for one in backups(path):
            assert one.stat().st_mode & 0o777 == 0o600
            assert what_is_damaged(one) is None
            assert counts(one) == counts(path)
        back_up(history, START + timedelta(days=9), 0)
        assert backups(path) == []


def test_a_copy_that_cannot_be_made_is_a_sentence(tmp_path: Path, whole: bytes) -> None:
    """Something in its place: the round is done, and says so."""
    path = tmp_path / "history.sqlite3"
    path.write_bytes(whole)
    (tmp_path / "history.sqlite3.backup-2026-03-02.part").mkdir()
    with History.open(path) as history, pytest.raises(RoundError, match="the day's copy"):
        back_up(history, START, 3)


RETENTION, EVERY = timedelta(days=400), timedelta(minutes=10)


@pytest.mark.parametrize(
    ("steps", "believed"),
    [
        ([EVERY] * 5, True),
        ([EVERY, timedelta(days=730)], False),
        ([timedelta(days=730), timedelta(days=-730), EVERY, EVERY], False),
        ([timedelta(days=730), timedelta(days=-730), *[timedelta(days=1)] * 4], True),
        ([timedelta(days=7)] * 4, True),
        ([timedelta(days=60), *[timedelta(days=1)] * 4], True),
        ([timedelta(seconds=-30)], False),
    ],
    ids=["steady", "ahead", "back again", "steady again", "weekly", "after a long pause", "a little back"],
)
def test_nothing_is_forgotten_on_the_word_of_one_round(tmp_path: Path, steps: list[timedelta], believed: bool) -> None:
    """After a jump of the clock rounds have to agree for three days before anything is deleted."""
    with History.open(tmp_path / "history.sqlite3") as history:
        now = START
        history.record(Round(0, now, now, 1), [], [])
        for step in steps:
            now += step
            history.record(Round(0, now, now, 1), [], [])
        assert may_forget(history.connection, RETENTION, EVERY) is believed


def test_two_rounds_through_a_link_are_one_at_a_time(tmp_path: Path) -> None:
    """The lock is that of the file itself."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with (
        only_round(tmp_path / "real" / "history.sqlite3"),
        pytest.raises(RoundRunning),
        only_round(tmp_path / "link" / "history.sqlite3"),
    ):
        pass


def test_a_damaged_history_is_told_once_and_rounds_go_on(lab: Lab, remotestatus: Command, smtp_sink: SmtpSink) -> None:
    """The round is done, people get one message, the page says it once, and `status` never shows a traceback."""
    lab.remote("capture-1")
    inventory = lab.write_inventory(remotestatus_apprise=[smtp_sink.url], remotestatus_attempts=1)
    run_round(lab, remotestatus, inventory)
    database = lab.directory / "history.sqlite3"
    database.write_bytes(b"oh dear" * 1000)
    shown = remotestatus("status", "-i", inventory)
    assert "Traceback" not in shown.stderr
    assert "doctor --repair" in " ".join(shown.stderr.split())

    done = remotestatus("run", "-i", inventory)

    assert done.returncode == 3, done.stdout + done.stderr
    assert "it was set aside as" in " ".join(done.stderr.split())
    [mail] = smtp_sink.wait_for(1)
    assert "the history was damaged" in str(mail["Subject"])
    assert run_round(lab, remotestatus, inventory).causes == {"capture-1": None}
    assert len(smtp_sink.messages) == 1
    with History.open(database) as history:
        assert outbox.count_waiting(history) == 0
    repaired = remotestatus("doctor", "--offline", "--repair", "-i", inventory)
    assert "needs no repair" in repaired.stdout
