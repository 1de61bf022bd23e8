"""
Gathers from the history everything that a page is made of.

The open history and the round go in; the report's Material comes out. Only reads.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from remotestatus import outbox
from remotestatus.history import History, Round
from remotestatus.incidents import Acknowledgement
from remotestatus.maintenance import window_of_remote
from remotestatus.material import FailingDestination, Material, SentMessage
from remotestatus.reading import Reading
from remotestatus.remote import Fleet

SHOWN = timedelta(days=91)
"""How far back the page looks: its longest bar has 90 days."""


def gather(history: History, fleet: Fleet, round_: Round, before: Mapping[str, Reading], now: datetime) -> Material:
    """Everything about this round and the time before it; `before` holds the readings of the round before."""
    states = history.states()
    since = now - SHOWN
    windows = outbox.command_windows(history, now)
    maintenance = {}
    for remote in fleet.remotes:
        window = window_of_remote(remote, windows, now)
        if window is not None:
            maintenance[remote.name] = (
                f"until {window.until:%Y-%m-%d %H:%M} UTC{': ' if window.note else ''}{window.note}"
            )
    return Material(
        fleet=fleet,
        round=round_,
        states=states,
        readings=history.readings(),
        transitions=history.transitions(since),
        days=history.days(since.date()),
        samples=history.samples(),
        first_seen=history.first_seen(),
        before=before,
        acknowledgements=[
            Acknowledgement(kind=kind, name=name, at=known.at, note=known.note)
            for (kind, name), known in outbox.acknowledgements(history).items()
            if known.holds(now)
        ],
        maintenance=maintenance,
        messages=[
            SentMessage(
                name=name,
                at=message.sent_at or message.at,
                destination=message.destination,
                subject=message.subject,
                delivered=message.sent_at is not None,
                dropped=message.dropped,
            )
            for kind, name in states
            for message in outbox.messages_about(history, (kind, name), limit=10)
        ],
        failing=[
            FailingDestination(name=one.name, since=one.since, error=one.error)
            for one in outbox.failing_destinations(history)
        ],
    )
