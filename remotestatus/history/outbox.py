"""
Keeps what is to be sent, what was sent, and what each receiver knows.

A round's Plan is written in the transaction of the round. A message is marked as sent only when its service accepted
it, so a crash may repeat a message but never lose one. All of it is in the history file, which holds no URL.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from remotestatus.history.acks_windows_notes import acknowledgements, command_windows
from remotestatus.history.database import History, insert, readable, row_as, subject_of
from remotestatus.history.retention import BODIES_KEPT, DECISIONS_KEPT
from remotestatus.model.messages import Message, SentMessage, Waiting, WaitingMessage
from remotestatus.model.notification import Decision, KeptDecision, Plan, Receiver
from remotestatus.model.receiver_memory import FailingDestination, NotificationMemory, NotificationState, OrphanedQueue
from remotestatus.model.states import Subject
from remotestatus.model.times import read_time
from remotestatus.model.untrusted_text import one_line

FIRST_PAUSE = timedelta(minutes=1)
GROWTH = 1.5
"""Backoff factor of the pauses."""

LONGEST_PAUSE = timedelta(hours=1)

UNCONFIGURED = "the destination is no longer configured"
"""Why a message without a destination is dropped."""

_UNREADABLE = "what is kept of it is damaged"

_NOTIFICATION_STATE = TypeAdapter(NotificationState)


def read_memory(history: History, now: datetime, receivers: Sequence[Receiver] | None = None) -> NotificationMemory:
    """
    What the next plan has to know, without past windows.

    With `receivers`, those of this round, also what waits for others.
    """
    rows = history.connection.execute("SELECT destination, kind, name, told FROM told")
    return NotificationMemory(
        known=dict(readable(rows, _known)),
        acknowledged=acknowledgements(history),
        windows=command_windows(history, now),
        failing=failing_destinations(history),
        orphans=() if receivers is None else orphans(history, receivers),
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
                kind, name = subject
                told = _NOTIFICATION_STATE.dump_json(state)
                insert(db, "INSERT OR REPLACE INTO told", destination=destination, kind=kind, name=name, told=told)
        for decision in plan.decisions:
            _add_decision(db, decision)
        _give_up(db, plan.orphans)
        for subject in plan.recovered:
            db.execute("DELETE FROM acknowledgements WHERE kind = ? AND name = ?", subject)
        for notification in plan.notifications:
            for one in notification.failing:
                db.execute("UPDATE destinations SET others_told_at = ? WHERE key = ?", (notification.at, one.key))


def _add_message(db: sqlite3.Connection, message: Message) -> None:
    names = ("destination", "destination_name", "at", "headline", "subject", "text", "html")
    number = insert(db, "INSERT INTO messages", tone=message.type, **{name: getattr(message, name) for name in names})
    for (kind, name), event_type in message.about:
        insert(db, "INSERT INTO mentions", message_id=number, kind=kind, name=name, what=event_type)


def _add_decision(db: sqlite3.Connection, decision: Decision) -> None:
    last = db.execute(
        "SELECT id, told, reason FROM decisions WHERE kind = ? AND name = ? AND destination_name = ? "
        "ORDER BY id DESC LIMIT 1",
        (*decision.subject, decision.destination),
    ).fetchone()
    if last and not decision.notified and not last["told"] and last["reason"] == decision.words:
        db.execute("UPDATE decisions SET last_at = ? WHERE id = ?", (decision.at, last["id"]))
        return
    kind, name = decision.subject
    told, at = {"destination_name": decision.destination, "told": decision.notified}, decision.at
    insert(db, "INSERT INTO decisions", kind=kind, name=name, **told, reason=decision.words, first_at=at, last_at=at)
    db.execute(
        "DELETE FROM decisions WHERE kind = ? AND name = ? AND id <= (SELECT id FROM decisions WHERE kind = ? AND "
        "name = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (*decision.subject, *decision.subject, DECISIONS_KEPT),
    )


# -- destinations that are written differently, or no longer configured ------------------------------------------------


def carry_over(history: History, receivers: Sequence[Receiver]) -> None:
    """Move the state of a key that is no longer configured to the receiver with its identity."""
    keys = {receiver.key for receiver in receivers}
    with history.transaction() as db:
        earlier = {row["identity"]: row["key"] for row in db.execute("SELECT key, identity FROM receivers")}
        kept = _keys_kept(db)
        for receiver in receivers:
            old_keys = [earlier.get(receiver.identity), *receiver.former] if receiver.identity else receiver.former
            for old in old_keys:
                if old in kept and old not in keys:
                    _move(db, old, receiver.key)
                    kept.discard(old)
        db.execute("DELETE FROM receivers")
        db.executemany(
            "INSERT OR REPLACE INTO receivers (key, name, identity) VALUES (?, ?, ?)",
            [(receiver.key, receiver.name, receiver.identity) for receiver in receivers],
        )


def _keys_kept(db: sqlite3.Connection) -> set[str]:
    """The keys of destinations that something is kept for."""
    rows = db.execute(
        "SELECT destination AS key FROM told UNION SELECT key FROM destinations UNION "
        "SELECT destination FROM messages WHERE sent_at IS NULL AND dropped IS NULL"
    )
    return {row["key"] for row in rows}


def _move(db: sqlite3.Connection, old: str, new: str) -> None:
    db.execute(
        "UPDATE messages SET destination = ? WHERE destination = ? AND sent_at IS NULL AND dropped IS NULL", (new, old)
    )
    db.execute("UPDATE OR IGNORE told SET destination = ? WHERE destination = ?", (new, old))
    db.execute("DELETE FROM told WHERE destination = ?", (old,))
    # Its entry was changed, perhaps because it failed: it is tried at once.
    db.execute("UPDATE OR IGNORE destinations SET key = ?, next_attempt = NULL WHERE key = ?", (new, old))
    db.execute("DELETE FROM destinations WHERE key = ?", (old,))


def orphans(history: History, receivers: Sequence[Receiver]) -> tuple[OrphanedQueue, ...]:
    """The queues that wait for destinations that are no longer configured."""
    rows = history.connection.execute(
        "SELECT destination AS key, destination_name AS name, count(*) AS messages, max(id), "
        "coalesce(nullif(headline, ''), subject) AS newest FROM messages "
        "WHERE sent_at IS NULL AND dropped IS NULL AND destination NOT IN (SELECT value FROM json_each(?)) "
        "GROUP BY destination ORDER BY destination_name",
        (json.dumps([receiver.key for receiver in receivers]),),
    )
    return tuple(map(row_as(OrphanedQueue), rows))


def _give_up(db: sqlite3.Connection, queues: Sequence[OrphanedQueue]) -> None:
    """Note that these queues will never be sent."""
    db.executemany(
        "UPDATE messages SET dropped = ? WHERE destination = ? AND sent_at IS NULL AND dropped IS NULL",
        [(UNCONFIGURED, queue.key) for queue in queues],
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
        "SELECT m.id, m.destination, m.destination_name, m.at, m.tone AS type, m.subject, m.text, m.html, m.refused, "
        "coalesce(nullif(m.headline, ''), m.subject) AS headline, d.attempts AS failed, d.next_attempt "
        "FROM messages m LEFT JOIN destinations d ON d.key = m.destination "
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


_read_message = row_as(Message, "about")


def _waiting(row: sqlite3.Row) -> WaitingMessage:
    return WaitingMessage(row["id"], _read_message(row), row["refused"])


def _drop_orphans(db: sqlite3.Connection, destinations: Mapping[str, str]) -> None:
    known = (json.dumps(list(destinations)),)
    db.execute(
        "UPDATE messages SET dropped = ? WHERE sent_at IS NULL AND dropped IS NULL "
        "AND destination NOT IN (SELECT value FROM json_each(?))",
        (UNCONFIGURED, *known),
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
    """Mark these messages as accepted."""
    with history.transaction() as db:
        _update(db, waiting, "sent_at = ?", now)
        db.execute("DELETE FROM destinations WHERE key = ?", (waiting.destination,))
        db.execute("UPDATE messages SET text = '', html = '' WHERE sent_at < ? AND text != ''", (now - BODIES_KEPT,))


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many failed attempts in a row."""
    return min(FIRST_PAUSE * GROWTH ** min(attempts - 1, 20), LONGEST_PAUSE)


def mark_failed(history: History, waiting: Waiting, error: str, now: datetime, *, permanent: bool) -> None:
    """Mark them as rejected, with the time of the next attempt. `error` must hold no secrets."""
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
                now,
                now + wait,
                one_line(error),
                permanent,
            ),
        )


def mark_refused(history: History, waiting: Waiting) -> None:
    """Note that the service refused these very messages, while it may well take others."""
    with history.transaction() as db:
        _update(db, waiting, "attempts = attempts + 1, refused = refused + 1")


def drop(history: History, waiting: Waiting, why: str) -> None:
    """Drop these messages; `why` is shown with them and must hold no secrets."""
    with history.transaction() as db:
        _update(db, waiting, "dropped = ?", one_line(why))


def _update(db: sqlite3.Connection, waiting: Waiting, change: str, *values: object) -> None:
    numbers = json.dumps([one.id for one in waiting.messages])
    where = "WHERE id IN (SELECT value FROM json_each(?))"
    db.execute(f"UPDATE messages SET {change} {where}", (*values, numbers))  # noqa: S608 - the changes are ours


def failing_destinations(history: History) -> tuple[FailingDestination, ...]:
    """The destinations that did not take the last message, for the page and for notifying the others."""
    rows = history.connection.execute(
        "SELECT key, name, failing_since AS since, coalesce(error, '') AS error, permanent, "
        "others_told_at AS others_notified_at FROM destinations WHERE failing_since IS NOT NULL ORDER BY name"
    )
    return tuple(readable(rows, row_as(FailingDestination)))


# -- what people read --------------------------------------------------------------------------------------------------


_SENT = (
    "m.at, m.destination_name AS destination, m.subject, x.what AS event_type, m.sent_at, "
    "coalesce(m.dropped, '') AS dropped FROM messages m JOIN mentions x ON x.message_id = m.id"
)


def messages_about(history: History, subject: Subject, limit: int = 20) -> list[SentMessage]:
    """The newest messages that mention a remote or proxy, newest first."""
    rows = history.connection.execute(
        f"SELECT {_SENT} WHERE x.kind = ? AND x.name = ? ORDER BY m.id DESC LIMIT ?",
        (*subject, limit),
    )
    return list(readable(rows, row_as(SentMessage)))


def newest_messages(history: History, limit: int) -> dict[Subject, list[SentMessage]]:
    """The newest messages about every remote and proxy, newest first."""
    rows = history.connection.execute(
        "SELECT * FROM (SELECT x.kind, x.name, "  # noqa: S608 - ours
        f"row_number() OVER (PARTITION BY x.kind, x.name ORDER BY m.id DESC) AS place, {_SENT}) "
        "WHERE place <= ? ORDER BY place",
        (limit,),
    )
    read_sent = row_as(SentMessage)
    found: dict[Subject, list[SentMessage]] = {}
    for subject, message in readable(rows, lambda row: (subject_of(row), read_sent(row))):
        found.setdefault(subject, []).append(message)
    return found


def decisions_about(history: History, subject: Subject, limit: int = DECISIONS_KEPT) -> list[KeptDecision]:
    """The newest decisions about a remote or proxy, newest first: who was notified, or why not."""
    rows = history.connection.execute(
        "SELECT first_at, last_at, destination_name AS destination, told AS notified, reason FROM decisions "
        "WHERE kind = ? AND name = ? ORDER BY last_at DESC, id DESC LIMIT ?",
        (*subject, limit),
    )
    return list(readable(rows, row_as(KeptDecision)))


def _known(row: sqlite3.Row) -> tuple[tuple[str, Subject], NotificationState]:
    return (row["destination"], subject_of(row)), _NOTIFICATION_STATE.validate_json(row["told"])


def count_waiting(history: History) -> int:
    """How many messages still wait to be sent."""
    (count,) = history.connection.execute(
        "SELECT count(*) FROM messages WHERE sent_at IS NULL AND dropped IS NULL"
    ).fetchone()
    return int(count)
