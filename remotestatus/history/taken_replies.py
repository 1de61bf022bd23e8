"""
Applies the replies to messages, and keeps their codes and the read position of each source.

One transaction applies the replies of a round and stores the positions, so each is applied once. The key that signs
codes is made once and kept in the history file, which only its owner can read.
"""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import assert_never

from remotestatus.evaluate import check_reply, is_meant, write_code
from remotestatus.history import acks_windows_notes
from remotestatus.history.database import History, insert, readable
from remotestatus.model.inventory_variables import AnswerSource
from remotestatus.model.notification import Notification, Plan
from remotestatus.model.replies import (
    CODE_LIFE,
    ReadSource,
    Refusal,
    Reply,
    ReplyCode,
    ReplyCommand,
    ReplyInvitation,
    ReplyOutcome,
    TakenReplies,
)
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.times import read_time

_KEY_BYTES = 32


def take(
    history: History,
    found: Sequence[ReadSource],
    places: Mapping[str, str],
    states: Mapping[Subject, State],
    now: datetime,
) -> TakenReplies:
    """
    Apply the replies; forged, replayed, late or not allowed ones are refused and counted.

    `places` has the words for each source, `states` is what the last round found.
    """
    key = signing_key(history)
    done: list[tuple[str, ReplyOutcome]] = []
    asked: set[str] = set()
    refused: list[Refusal] = []
    with history.transaction():
        for source in found:
            for text in filter(is_meant, source.texts):
                checked = check_reply(text, key, lambda number: _code_of(history, number), now)
                if isinstance(checked, Refusal):
                    refused.append(checked)
                    continue
                answer, code = checked
                _use_code(history, code.id)
                done.append((code.destination, _do(history, answer, code, states, now)))
                if answer.command is ReplyCommand.STATUS:
                    asked.add(code.destination)
            if source.position:
                _note_position(history, source.key, source.position)
        _count_refused(history, refused, now)
    failures = [f"{places[one.key]} could not be read for answers: {one.failure}" for one in found if one.failure]
    return TakenReplies(tuple(done), frozenset(asked), tuple(refused), tuple(failures))


def _do(
    history: History, answer: Reply, code: ReplyCode, states: Mapping[Subject, State], now: datetime
) -> ReplyOutcome:
    """Do what one answer says."""
    until = now + answer.lasting if answer.lasting else None
    match answer.command:
        case ReplyCommand.STATUS:
            return ReplyOutcome(answer.command)
        case ReplyCommand.MUTE:
            assert until is not None
            acks_windows_notes.open_window(history, answer.name, now, until, "muted by an answer to a message")
            return ReplyOutcome(answer.command, (answer.name,), until)
        case ReplyCommand.ACK:
            wrong = [subject for subject in code.subjects if subject in states and not states[subject].is_well]
            for subject in wrong:
                note = "acknowledged by an answer to a message"
                acks_windows_notes.acknowledge(history, subject, now, until, note)
            return ReplyOutcome(answer.command, tuple(name for _, name in wrong), until)
        case _:
            assert_never(answer.command)


def invite(history: History, plan: Plan, sources: Sequence[AnswerSource], now: datetime) -> Plan:
    """Give each notification of a problem a code with which it can be answered; keep the codes with `keep_codes`."""
    if not sources:
        return plan
    key = signing_key(history)
    places = tuple(source.place for source in sources)
    notifications: list[Notification] = []
    codes: list[ReplyCode] = []
    for notification in plan.notifications:
        problems = [line.subject for line in notification.lines if not line.is_recovery]
        if problems:
            number = _new_number(history, {code.id for code in codes})
            code = ReplyCode(number, notification.receiver.key, tuple(problems), now + CODE_LIFE)
            invitation = ReplyInvitation(write_code(key, number), places, code.expires, problems[0][1])
            notification = replace(notification, answer=invitation)
            codes.append(code)
        notifications.append(notification)
    return replace(plan, notifications=tuple(notifications), codes=tuple(codes))


def signing_key(history: History) -> bytes:
    """The key that signs codes."""
    with history.transaction() as db:
        db.execute("DELETE FROM answer_key WHERE typeof(key) != 'blob'")  # it was damaged
        db.execute("INSERT OR IGNORE INTO answer_key (id, key) VALUES (1, ?)", (os.urandom(_KEY_BYTES),))
        (key,) = db.execute("SELECT key FROM answer_key").fetchone()
    return bytes(key)


def _new_number(history: History, given: Collection[int]) -> int:
    """A random number for a new code, so that a restored backup gives none twice."""
    while True:
        number = int.from_bytes(os.urandom(3), "big")
        if number not in given and _code_of(history, number) is None:
            return number


def keep_codes(history: History, codes: Sequence[ReplyCode]) -> None:
    """Note what new codes are good for, and forget those that expired."""
    if not codes:
        return
    now = codes[0].expires - CODE_LIFE
    with history.transaction() as db:
        for code in codes:
            insert(db, "INSERT INTO answer_codes", **{**asdict(code), "subjects": json.dumps(code.subjects)})
        db.execute("DELETE FROM answer_codes WHERE expires < ?", (now,))


def _code_of(history: History, number: int) -> ReplyCode | None:
    """What a code is good for; None when it is not known any more."""
    rows = history.connection.execute("SELECT * FROM answer_codes WHERE id = ?", (number,))
    return next(readable(rows, _answer_code), None)


def _answer_code(row: sqlite3.Row) -> ReplyCode:
    subjects: tuple[Subject, ...] = tuple((Kind(kind), name) for kind, name in json.loads(row["subjects"]))
    return ReplyCode(row["id"], row["destination"], subjects, read_time(row["expires"]), bool(row["used"]))


def _use_code(history: History, number: int) -> None:
    """Mark a code as used; it is not accepted again."""
    with history.transaction() as db:
        db.execute("UPDATE answer_codes SET used = 1 WHERE id = ?", (number,))


def read_until(history: History, source: str) -> str:
    """How far a source was read, in its own format; empty when it was never read."""
    row = history.connection.execute("SELECT position FROM answer_sources WHERE key = ?", (source,)).fetchone()
    return str(row["position"]) if row else ""


def _note_position(history: History, source: str, position: str) -> None:
    """Note how far a source was read."""
    with history.transaction() as db:
        insert(db, "INSERT OR REPLACE INTO answer_sources", key=source, position=position)


def _count_refused(history: History, refused: Sequence[Refusal], now: datetime) -> None:
    """Count refused replies."""
    with history.transaction() as db:
        db.executemany(
            "INSERT INTO answers_refused (why, number, last_at) VALUES (?, ?, ?) ON CONFLICT (why) DO UPDATE SET "
            "number = number + excluded.number, last_at = excluded.last_at",
            [(why, number, now) for why, number in Counter(refused).items()],
        )


def refused_so_far(history: History) -> dict[Refusal, int]:
    """How many replies were refused so far, by the reason."""
    rows = history.connection.execute("SELECT why, number FROM answers_refused ORDER BY why")
    return dict(readable(rows, lambda row: (Refusal(row["why"]), int(row["number"]))))
