"""
Sends what is due and marks what was taken: the outbox and the delivery, put together.

Takes the history, the destinations and the moment; returns what became of each sending. The rule: a message is marked
only when its service took it, so whatever happens in between doubles a message at most.
"""

from collections.abc import Sequence
from datetime import datetime

from remotestatus import deliver, outbox
from remotestatus.deliver import Attempt, Delivery, Destination
from remotestatus.history import History
from remotestatus.wording import Waiting


def send_due(
    history: History, destinations: Sequence[Destination], now: datetime, deadline: float = deliver.DEADLINE
) -> Delivery:
    """Send what waits for each destination and is due; takes `deadline` seconds at most, for all of them together."""

    def note(waiting: Waiting, attempt: Attempt) -> None:
        if attempt.taken:
            outbox.mark_sent(history, waiting, now)
        else:
            outbox.mark_failed(history, waiting, attempt.error, now, permanent=attempt.permanent)

    names = {destination.key: destination.name for destination in destinations}
    return deliver.send(outbox.due(history, names, now), destinations, now, note, deadline)
