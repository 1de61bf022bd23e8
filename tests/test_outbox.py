"""What the outbox keeps: messages, memory, decisions, acknowledgements and windows, in a real history file."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from remotestatus.history import acks_windows_notes, outbox, retention
from remotestatus.history.database import History
from remotestatus.history.migrations import MIGRATIONS
from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.fleet import Fleet
from remotestatus.model.inventory_variables import FleetSettings
from remotestatus.model.notification import Receiver
from remotestatus.model.states import Kind
from tests.stories import EVERY, OPS, START, make_fleet, record_round

R1 = (Kind.REMOTE, "r1")
CHAT = Receiver("id chat", "chat")
BOTH = {OPS.key: OPS.name, CHAT.key: CHAT.name}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """A new history file."""
    with History.open(tmp_path / "history.sqlite3") as history:
        yield history


def have_round(
    history: History, fleet: Fleet, letter: str, number: int, receivers: tuple[Receiver, ...] = (OPS, CHAT)
) -> None:
    """Record one round in which r1 is what the letter says, with its messages."""
    record_round(history, fleet, {"r1": letter}, receivers, START + number * EVERY)


def test_a_message_waits_for_each_destination_until_it_is_marked(history: History) -> None:
    """Each destination has its own copy; marking one as sent leaves the other waiting."""
    have_round(history, make_fleet(), "d", 0)
    waiting = {one.destination: one for one in outbox.due(history, BOTH, START)}
    assert set(waiting) == set(BOTH)
    outbox.mark_sent(history, waiting[OPS.key], START)
    assert [one.destination for one in outbox.due(history, BOTH, START)] == [CHAT.key]
    assert outbox.count_waiting(history) == 1


def test_messages_and_transitions_are_recorded_together_or_not_at_all(history: History) -> None:
    """When recording fails after the messages were added, neither they nor the transition are there."""

    def have_half_a_round() -> None:
        with history.transaction():
            have_round(history, make_fleet(), "d", 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        have_half_a_round()
    assert outbox.count_waiting(history) == 0
    assert history.states() == {}
    assert outbox.read_memory(history, START).known == {}


def test_a_failing_destination_is_tried_again_later_and_later(history: History) -> None:
    """The wait grows by half each time from a minute up to an hour, and ends with the first success."""
    have_round(history, make_fleet(), "d", 0, (OPS,))
    now, waits = START, []
    for _ in range(13):
        (waiting,) = outbox.due(history, BOTH, now)
        outbox.mark_failed(history, waiting, "the connection is refused", now, permanent=False)
        assert outbox.due(history, BOTH, now) == []
        wait = next(minutes for minutes in range(1, 90) if outbox.due(history, BOTH, now + timedelta(minutes=minutes)))
        waits.append(wait)
        now += timedelta(minutes=wait)
    assert waits == [1, 2, 3, 4, 6, 8, 12, 18, 26, 39, 58, 60, 60]
    (failing,) = outbox.failing_destinations(history)
    assert (failing.name, failing.since, failing.error) == ("ops", START, "the connection is refused")
    (waiting,) = outbox.due(history, BOTH, now)
    outbox.mark_sent(history, waiting, now)
    assert outbox.failing_destinations(history) == ()


def test_a_clock_set_back_does_not_hold_messages_for_ever(history: History) -> None:
    """A next attempt that lies further ahead than any backoff is from another clock: it is due."""
    have_round(history, make_fleet(), "d", 0, (OPS,))
    (waiting,) = outbox.due(history, BOTH, START)
    outbox.mark_failed(history, waiting, "x", START, permanent=False)
    assert outbox.due(history, BOTH, START - timedelta(days=400))


def test_what_waits_for_a_destination_goes_out_together_and_in_order(history: History) -> None:
    """Messages of several rounds are due together, the oldest first."""
    fleet = make_fleet()
    for number, letter in enumerate("dud"):
        have_round(history, fleet, letter, number, (OPS,))
    (waiting,) = outbox.due(history, BOTH, START + 3 * EVERY)
    assert [one.message.subject for one in waiting.messages] == ["1 down: r1", "1 recovered: r1", "1 down: r1"]


def test_a_destination_that_is_gone_is_dropped_with_its_reason(history: History) -> None:
    """Its messages wait no longer and say why; its memory goes, so that its successor is notified of what is open."""
    fleet = make_fleet()
    have_round(history, fleet, "d", 0, (OPS,))
    assert outbox.due(history, {CHAT.key: "chat"}, START) == []
    (sent,) = outbox.messages_about(history, R1)
    assert sent.dropped == "the destination is no longer configured"
    have_round(history, fleet, "d", 1, (CHAT,))
    (waiting,) = outbox.due(history, {CHAT.key: "chat"}, START)
    assert waiting.messages[0].message.subject == "1 down: r1"


def test_the_history_of_messages_says_what_was_sent_to_whom_when(history: History) -> None:
    """Each mention of a remote is listed, newest first, with the time at which the service took it."""
    fleet = make_fleet()
    have_round(history, fleet, "d", 0, (OPS,))
    (waiting,) = outbox.due(history, BOTH, START)
    outbox.mark_sent(history, waiting, START + timedelta(seconds=3))
    have_round(history, fleet, "u", 1, (OPS,))
    newest, oldest = outbox.messages_about(history, R1)
    assert (newest.subject, newest.sent_at, newest.event_type) == ("1 recovered: r1", None, "recovered")
    assert (oldest.destination, oldest.sent_at) == ("ops", START + timedelta(seconds=3))
    assert outbox.messages_about(history, (Kind.REMOTE, "r2")) == []


def test_a_repeated_decision_is_kept_once_with_its_first_and_last_time(history: History) -> None:
    """A hold that lasts many rounds is one row, so the file grows with changes and not with rounds."""
    fleet = make_fleet()
    have_round(history, fleet, "u", 0, (OPS,))
    acks_windows_notes.open_window(history, "r1", START, START + timedelta(days=1))
    for number in range(1, 31):
        have_round(history, fleet, "d", number, (OPS,))
    (kept,) = outbox.decisions_about(history, R1)
    assert kept.reason == "held: in maintenance until 2026-03-03 12:00 UTC"
    assert (kept.first_at, kept.last_at) == (START + EVERY, START + 30 * EVERY)


def test_decisions_do_not_grow_without_bound(history: History) -> None:
    """However often a remote changes, only its newest decisions are kept."""
    fleet = make_fleet({"r1": {"fail_after": 2}})
    for number in range(90):
        have_round(history, fleet, "udu"[number % 3], number, (OPS, CHAT))
    assert len(outbox.decisions_about(history, R1, limit=1000)) <= retention.DECISIONS_KEPT


def test_an_acknowledgement_is_kept_replaced_and_cleared(history: History) -> None:
    """A later word replaces an earlier one; clearing says whether there was one."""
    acks_windows_notes.acknowledge(history, R1, START, None, "mine")
    acks_windows_notes.acknowledge(history, R1, START, START + EVERY, "really")
    assert acks_windows_notes.acknowledgements(history) == {R1: Acknowledgement(START, START + EVERY, "really")}
    assert acks_windows_notes.clear_acknowledgement(history, R1)
    assert not acks_windows_notes.clear_acknowledgement(history, R1)


def test_recovery_clears_an_acknowledgement(history: History) -> None:
    """The round that finds it up again takes the acknowledgement away."""
    fleet = make_fleet()
    have_round(history, fleet, "d", 0)
    acks_windows_notes.acknowledge(history, R1, START)
    have_round(history, fleet, "u", 1)
    assert acks_windows_notes.acknowledgements(history) == {}


def test_windows_given_by_command_are_listed_until_they_are_over(history: History) -> None:
    """Open and coming windows are listed; ending takes effect at once."""
    acks_windows_notes.open_window(history, "r1", START, START + EVERY, "disk")
    acks_windows_notes.open_window(history, "boxes", START + EVERY, START + 3 * EVERY)
    assert [window.target for window in acks_windows_notes.command_windows(history, START)] == ["r1", "boxes"]
    assert [window.target for window in acks_windows_notes.command_windows(history, START + EVERY)] == ["boxes"]
    assert acks_windows_notes.end_windows(history, "boxes", START) == 1
    assert acks_windows_notes.end_windows(history, "boxes", START) == 0


def test_old_messages_are_forgotten_and_waiting_ones_are_not(history: History) -> None:
    """Retention removes what was sent; what still waits stays however old it is."""
    fleet = make_fleet()
    have_round(history, fleet, "d", 0)
    (first, _) = outbox.due(history, BOTH, START)
    outbox.mark_sent(history, first, START)
    settings = FleetSettings.model_validate({"retention": "1d"})
    retention.forget(history.connection, settings, START + timedelta(days=30))
    assert [message.destination for message in outbox.messages_about(history, R1)] == ["chat"]
    assert outbox.decisions_about(history, R1) == []


def test_what_people_said_is_forgotten_when_it_ended_long_ago(history: History) -> None:
    """Windows, notes and acknowledgements whose end is older than the retention go; those without an end stay."""
    for until in (START + EVERY, None):
        acks_windows_notes.add_note(history, "r1", "A word.", START, until)
    acks_windows_notes.acknowledge(history, R1, START, START + EVERY, "mine")
    acks_windows_notes.acknowledge(history, (Kind.PROXY, "p1"), START, None, "mine too")
    acks_windows_notes.open_window(history, "r1", START, START + EVERY)
    for days in (0, 30):
        settings = FleetSettings.model_validate({"retention": "1d"})
        retention.forget(history.connection, settings, START + timedelta(days=days))
        counts = [
            history.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("notes", "acknowledgements", "windows")
        ]
        assert counts == ([1, 1, 0] if days else [2, 2, 1])


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_history_of_every_older_version_is_brought_up_to_date(version: int, tmp_path: Path) -> None:
    """It gets the tables and columns that it lacks, and keeps what is in it."""
    path = tmp_path / "history.sqlite3"
    with closing(sqlite3.connect(path)) as old:
        for statement in itertools.chain.from_iterable(MIGRATIONS[:version]):
            old.execute(statement)
        old.execute("INSERT INTO rounds VALUES (41, ?, ?, 1, '[]')", (START.timestamp(), START.timestamp()))
        old.execute(f"PRAGMA user_version = {version}")
        old.commit()
    with History.open(path) as history:
        have_round(history, make_fleet(), "d", 1)
        assert outbox.count_waiting(history) == 2
        assert [row[0] for row in history.connection.execute("SELECT id FROM rounds ORDER BY id")] == [41, 42]


def test_a_message_that_waits_since_an_older_version_is_sent_by_its_subject(history: History) -> None:
    """It has no headline: its subject stands in for it."""
    have_round(history, make_fleet(title="Fleet"), "d", 0, (OPS,))
    history.connection.execute("UPDATE messages SET headline = ''")
    (waiting,) = outbox.due(history, BOTH, START)
    assert waiting.messages[0].message.headline == "1 down: r1 [Fleet]"
