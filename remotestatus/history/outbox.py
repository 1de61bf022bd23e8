"""
Keeps what is to be sent, what was sent, what each receiver knows, and what people answered by command.

A round's Plan comes in and is written in the same transaction as the round itself; messages that are due go out, and
are marked only when the service took them. So a crash may double a message and never loses one. All of it is in the
history file, which never holds a URL.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from remotestatus.history import queues
from remotestatus.history.database import History, readable, subject_of
from remotestatus.model.notification import (
    Acknowledgement,
    Decision,
    EventType,
    FailingDestination,
    KeptDecision,
    Message,
    NotificationMemory,
    NotificationState,
    NotificationType,
    Plan,
    Receiver,
    SentMessage,
    Waiting,
    WaitingMessage,
)
from remotestatus.model.resend import LONGEST_PAUSE, pause_after
from remotestatus.model.states import Subject
from remotestatus.model.times import read_time, write_time
from remotestatus.model.untrusted_text import one_line
from remotestatus.model.windows import CommandWindow

DECISIONS_KEPT = 50
"""Decisions kept per remote or proxy."""

BODIES_KEPT = timedelta(days=14)
"""So long the words of a sent message are kept; its subject stays as long as the history."""

_UNREADABLE = "what is kept of it is damaged"

_NOTIFICATION_STATE = TypeAdapter(NotificationState)


def read_memory(history: History, now: datetime, receivers: Sequence[Receiver] | None = None) -> NotificationMemory:
    """
    What the next plan has to know; windows that are over are left out.

    With `receivers`, those of this round, also what waits for others.
    """
    rows = history.connection.execute("SELECT destination, kind, name, told FROM told")
    return NotificationMemory(
        known=dict(readable(rows, _known)),
        acknowledged=acknowledgements(history),
        windows=command_windows(history, now),
        failing=failing_destinations(history),
        orphans=() if receivers is None else queues.orphans(history, receivers),
    )


def add(history: History, plan: Plan, messages: Iterable[Message]) -> None:
    """
    Record a plan and its messages.

    Call inside `history.transaction()`, together with `history.record()`.
    """
    with history.transaction() as db:
        for message in messages:
            _add_message(db, message)
        for (destination, subject), state in plan.known.items():
            if state is None:
                db.execute("DELETE FROM told WHERE destination = ? AND kind = ? AND name = ?", (destination, *subject))
            else:
                db.execute(
                    "INSERT OR REPLACE INTO told (destination, kind, name, told) VALUES (?, ?, ?, ?)",
                    (destination, *subject, _NOTIFICATION_STATE.dump_json(state)),
                )
        for decision in plan.decisions:
            _add_decision(db, decision)
        queues.give_up(db, plan.orphans)
        for subject in plan.recovered:
            db.execute("DELETE FROM acknowledgements WHERE kind = ? AND name = ?", subject)
        for notification in plan.notifications:
            for one in notification.failing:
                db.execute(
                    "UPDATE destinations SET others_told_at = ? WHERE key = ?", (write_time(notification.at), one.key)
                )


def _add_message(db: sqlite3.Connection, message: Message) -> None:
    cursor = db.execute(
        "INSERT INTO messages (destination, destination_name, at, tone, headline, subject, text, html) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.destination,
            message.destination_name,
            write_time(message.at),
            message.type,
            message.headline,
            message.subject,
            message.text,
            message.html,
        ),
    )
    for (kind, name), event_type in message.about:
        db.execute(
            "INSERT INTO mentions (message_id, kind, name, what) VALUES (?, ?, ?, ?)",
            (cursor.lastrowid, kind, name, event_type),
        )


def _add_decision(db: sqlite3.Connection, decision: Decision) -> None:
    at = write_time(decision.at)
    last = db.execute(
        "SELECT id, told, reason FROM decisions WHERE kind = ? AND name = ? AND destination_name = ? "
        "ORDER BY id DESC LIMIT 1",
        (*decision.subject, decision.destination),
    ).fetchone()
    if last and not decision.notified and not last["told"] and last["reason"] == decision.words:
        db.execute("UPDATE decisions SET last_at = ? WHERE id = ?", (at, last["id"]))
        return
    db.execute(
        "INSERT INTO decisions (kind, name, destination_name, told, reason, first_at, last_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*decision.subject, decision.destination, decision.notified, decision.words, at, at),
    )
    db.execute(
        "DELETE FROM decisions WHERE kind = ? AND name = ? AND id <= (SELECT id FROM decisions WHERE kind = ? AND "
        "name = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (*decision.subject, *decision.subject, DECISIONS_KEPT),
    )


# -- sending -----------------------------------------------------------------------------------------------------------


def due(history: History, destinations: Mapping[str, str], now: datetime) -> list[Waiting]:
    """
    What is to be sent now, per destination. `destinations` gives the name of each key that is configured.

    What waits for a destination that is no longer configured is dropped, with that as its reason.
    """
    with history.transaction() as db:
        _drop_orphans(db, destinations)
    rows = history.connection.execute(
        "SELECT m.*, d.attempts AS failed, d.next_attempt FROM messages m "
        "LEFT JOIN destinations d ON d.key = m.destination "
        "WHERE m.sent_at IS NULL AND m.dropped IS NULL ORDER BY m.id"
    ).fetchall()
    found: dict[str, list[WaitingMessage]] = {}
    failed: dict[str, int] = {}
    for row in rows:
        read = next(readable([row], _waiting), None)
        if read is None:
            with history.transaction() as db:
                db.execute("UPDATE messages SET dropped = ? WHERE id = ?", (_UNREADABLE, row["id"]))
        elif _is_due(row["next_attempt"], now):
            found.setdefault(row["destination"], []).append(read)
            failed[row["destination"]] = row["failed"] or 0
    return [Waiting(destination=key, messages=tuple(waiting), attempts=failed[key]) for key, waiting in found.items()]


def _waiting(row: sqlite3.Row) -> WaitingMessage:
    return WaitingMessage(row["id"], _message(row), row["refused"])


def _drop_orphans(db: sqlite3.Connection, destinations: Mapping[str, str]) -> None:
    known = (json.dumps(list(destinations)),)
    db.execute(
        "UPDATE messages SET dropped = ? WHERE sent_at IS NULL AND dropped IS NULL "
        "AND destination NOT IN (SELECT value FROM json_each(?))",
        (queues.UNCONFIGURED, *known),
    )
    db.execute("DELETE FROM told WHERE destination NOT IN (SELECT value FROM json_each(?))", known)
    db.execute("DELETE FROM destinations WHERE key NOT IN (SELECT value FROM json_each(?))", known)


def _is_due(next_attempt: str | None, now: datetime) -> bool:
    try:
        moment = now if next_attempt is None else read_time(next_attempt)
    except ValueError:
        return True
    # Further away than any backoff: the clock was set back since.
    return moment <= now or moment > now + LONGEST_PAUSE


def mark_sent(history: History, waiting: Waiting, now: datetime) -> None:
    """Note that the service took these messages."""
    with history.transaction() as db:
        _update(db, waiting, "sent_at = ?", write_time(now))
        db.execute("DELETE FROM destinations WHERE key = ?", (waiting.destination,))
        limit = write_time(now - BODIES_KEPT)
        db.execute("UPDATE messages SET text = '', html = '' WHERE sent_at < ? AND text != ''", (limit,))


def mark_failed(history: History, waiting: Waiting, error: str, now: datetime, *, permanent: bool) -> None:
    """Note that the service did not take them, and when to try again. `error` must hold no secrets."""
    attempts = waiting.attempts + 1
    wait = pause_after(attempts)
    with history.transaction() as db:
        _update(db, waiting, "attempts = attempts + 1")
        db.execute(
            "INSERT INTO destinations (key, name, attempts, failing_since, next_attempt, error, permanent) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET name = excluded.name, "
            "attempts = excluded.attempts, next_attempt = excluded.next_attempt, error = excluded.error, "
            "permanent = excluded.permanent",
            (
                waiting.destination,
                waiting.messages[-1].message.destination_name,
                attempts,
                write_time(now),
                write_time(now + wait),
                one_line(error),
                permanent,
            ),
        )


def mark_refused(history: History, waiting: Waiting) -> None:
    """Note that the service refused these very messages, while it may well take others."""
    with history.transaction() as db:
        _update(db, waiting, "attempts = attempts + 1, refused = refused + 1")


def drop(history: History, waiting: Waiting, why: str) -> None:
    """Give these messages up for good; `why` is shown with them and must hold no secrets."""
    with history.transaction() as db:
        _update(db, waiting, "dropped = ?", one_line(why))


def _update(db: sqlite3.Connection, waiting: Waiting, change: str, *values: object) -> None:
    numbers = json.dumps([one.id for one in waiting.messages])
    where = "WHERE id IN (SELECT value FROM json_each(?))"
    db.execute(f"UPDATE messages SET {change} {where}", (*values, numbers))  # noqa: S608 - the changes are ours


def failing_destinations(history: History) -> tuple[FailingDestination, ...]:
    """The destinations that did not take the last message, for the page and for notifying the others."""
    rows = history.connection.execute("SELECT * FROM destinations WHERE failing_since IS NOT NULL ORDER BY name")
    return tuple(readable(rows, _failing))


def _failing(row: sqlite3.Row) -> FailingDestination:
    return FailingDestination(
        key=row["key"],
        name=row["name"],
        since=read_time(row["failing_since"]),
        error=row["error"] or "",
        permanent=bool(row["permanent"]),
        others_notified_at=read_time(row["others_told_at"]) if row["others_told_at"] else None,
    )


# -- what people read --------------------------------------------------------------------------------------------------


def messages_about(history: History, subject: Subject, limit: int = 20) -> list[SentMessage]:
    """The newest messages that mention a remote or proxy, newest first."""
    rows = history.connection.execute(
        "SELECT m.*, x.what FROM messages m JOIN mentions x ON x.message_id = m.id WHERE x.kind = ? AND x.name = ? "
        "ORDER BY m.id DESC LIMIT ?",
        (*subject, limit),
    )
    return list(readable(rows, _sent))


def newest_messages(history: History, limit: int) -> dict[Subject, list[SentMessage]]:
    """The newest messages about every remote and proxy, newest first."""
    rows = history.connection.execute(
        "SELECT * FROM (SELECT m.at, m.destination_name, m.subject, m.sent_at, m.dropped, x.kind, x.name, x.what, "
        "row_number() OVER (PARTITION BY x.kind, x.name ORDER BY m.id DESC) AS place "
        "FROM mentions x JOIN messages m ON m.id = x.message_id) WHERE place <= ? ORDER BY place",
        (limit,),
    )
    found: dict[Subject, list[SentMessage]] = {}
    for subject, message in readable(rows, lambda row: (subject_of(row), _sent(row))):
        found.setdefault(subject, []).append(message)
    return found


def decisions_about(history: History, subject: Subject, limit: int = DECISIONS_KEPT) -> list[KeptDecision]:
    """The newest decisions about a remote or proxy, newest first: who was notified, or why not."""
    rows = history.connection.execute(
        "SELECT * FROM decisions WHERE kind = ? AND name = ? ORDER BY last_at DESC, id DESC LIMIT ?", (*subject, limit)
    )
    return list(readable(rows, _decision))


def _decision(row: sqlite3.Row) -> KeptDecision:
    return KeptDecision(
        first_at=read_time(row["first_at"]),
        last_at=read_time(row["last_at"]),
        destination=row["destination_name"],
        notified=bool(row["told"]),
        reason=row["reason"],
    )


def prune(history: History, now: datetime, retention: timedelta) -> None:
    """Forget messages and decisions older than the retention; what still waits stays."""
    limit = write_time(now - retention)
    with history.transaction() as db:
        db.execute("DELETE FROM messages WHERE at < ? AND (sent_at IS NOT NULL OR dropped IS NOT NULL)", (limit,))
        db.execute("DELETE FROM decisions WHERE last_at < ?", (limit,))
        db.execute("DELETE FROM windows WHERE until < ?", (limit,))


# -- what people say by command ----------------------------------------------------------------------------------------


def acknowledge(history: History, subject: Subject, acknowledgement: Acknowledgement) -> None:
    """Note that somebody takes care of a problem; a later word replaces an earlier one."""
    until = write_time(acknowledgement.until) if acknowledgement.until else None
    with history.transaction() as db:
        db.execute(
            "INSERT OR REPLACE INTO acknowledgements (kind, name, at, until, note) VALUES (?, ?, ?, ?, ?)",
            (*subject, write_time(acknowledgement.at), until, acknowledgement.note),
        )


def clear_acknowledgement(history: History, subject: Subject) -> bool:
    """Take an acknowledgement back; returns whether there was one."""
    with history.transaction() as db:
        cursor = db.execute("DELETE FROM acknowledgements WHERE kind = ? AND name = ?", subject)
    return cursor.rowcount > 0


def acknowledgements(history: History) -> dict[Subject, Acknowledgement]:
    """All acknowledgements, also those whose time is over."""
    rows = history.connection.execute("SELECT * FROM acknowledgements")
    return dict(readable(rows, lambda row: (subject_of(row), _acknowledgement(row))))


def _acknowledgement(row: sqlite3.Row) -> Acknowledgement:
    return Acknowledgement(read_time(row["at"]), read_time(row["until"]) if row["until"] else None, row["note"])


def open_window(history: History, target: str, starts: datetime, until: datetime, note: str = "") -> int:
    """Add a maintenance window given by command and return its number."""
    with history.transaction() as db:
        cursor = db.execute(
            "INSERT INTO windows (target, starts, until, note) VALUES (?, ?, ?, ?)",
            (target, write_time(starts), write_time(until), note),
        )
    return int(cursor.lastrowid or 0)


def end_windows(history: History, target: str, now: datetime) -> int:
    """End every window of a target that is open or still to come; returns how many there were."""
    moment = write_time(now)
    with history.transaction() as db:
        cursor = db.execute(
            "UPDATE windows SET until = ?, starts = min(starts, ?) WHERE target = ? AND until > ?",
            (moment, moment, target, moment),
        )
    return cursor.rowcount


def command_windows(history: History, now: datetime) -> tuple[CommandWindow, ...]:
    """The windows given by command that are open or still to come, the first to start first."""
    rows = history.connection.execute("SELECT * FROM windows WHERE until > ? ORDER BY starts, id", (write_time(now),))
    return tuple(readable(rows, _window))


def _window(row: sqlite3.Row) -> CommandWindow:
    return CommandWindow(row["id"], row["target"], read_time(row["starts"]), read_time(row["until"]), row["note"])


def _known(row: sqlite3.Row) -> tuple[tuple[str, Subject], NotificationState]:
    return (row["destination"], subject_of(row)), _NOTIFICATION_STATE.validate_json(row["told"])


def _message(row: sqlite3.Row) -> Message:
    return Message(
        destination=row["destination"],
        destination_name=row["destination_name"],
        at=read_time(row["at"]),
        type=NotificationType(row["tone"]),
        headline=row["headline"] or row["subject"],
        subject=row["subject"],
        text=row["text"],
        html=row["html"],
    )


def _sent(row: sqlite3.Row) -> SentMessage:
    return SentMessage(
        at=read_time(row["at"]),
        destination=row["destination_name"],
        subject=row["subject"],
        event_type=EventType(row["what"]),
        sent_at=read_time(row["sent_at"]) if row["sent_at"] else None,
        dropped=row["dropped"] or "",
    )


def count_waiting(history: History) -> int:
    """How many messages still wait to be taken."""
    (count,) = history.connection.execute(
        "SELECT count(*) FROM messages WHERE sent_at IS NULL AND dropped IS NULL"
    ).fetchone()
    return int(count)
