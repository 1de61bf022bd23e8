"""
Keeps each destination's queue and memory when its entry in the inventory is written differently.

The receivers of a round come in. What waits for a key that is no longer configured goes to the receiver with the same
identity; what then still waits for nobody is an orphan, which is given up and told to the others.
"""

import json
import sqlite3
from collections.abc import Sequence

from remotestatus.history.database import History, row_as
from remotestatus.model.notification import OrphanedQueue, Receiver

UNCONFIGURED = "the destination is no longer configured"
"""Why a message is given up that waits for nobody."""


def carry_over(history: History, receivers: Sequence[Receiver]) -> None:
    """Give what is kept for a key that is not configured any more to the receiver that it belongs to."""
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


def give_up(db: sqlite3.Connection, queues: Sequence[OrphanedQueue]) -> None:
    """Note that these queues will never be sent."""
    db.executemany(
        "UPDATE messages SET dropped = ? WHERE destination = ? AND sent_at IS NULL AND dropped IS NULL",
        [(UNCONFIGURED, queue.key) for queue in queues],
    )
