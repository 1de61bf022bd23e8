"""
Sends what is due and marks what was taken: the outbox and the delivery, put together.

Takes the history, the destinations and the moment; returns what became of each sending. The rule: a message is marked
only when its service took it, so whatever happens in between doubles a message at most.
"""

from collections.abc import Sequence
from datetime import datetime

from remotestatus import deliver, outbox
from remotestatus.deliver import Attempt, Delivery, Destination, Failure
from remotestatus.history import History
from remotestatus.wording import Waiting


def send_due(
    history: History,
    destinations: Sequence[Destination],
    now: datetime,
    deadline: float = deliver.DEADLINE,
    link: str = "",
) -> Delivery:
    """
    Send what waits for each destination and is due; takes `deadline` seconds at most, for all of them together.

    `link` is where the page is, for a message whose words a service refuses.
    """

    def note(waiting: Waiting, attempt: Attempt) -> None:
        if attempt.taken:
            outbox.mark_sent(history, waiting, now)
        elif attempt.dropped:
            outbox.drop(history, waiting, f"refused: {attempt.error}")
        elif attempt.goes_on:
            outbox.mark_refused(history, waiting)
        else:
            if attempt.failure is Failure.MESSAGE:
                outbox.mark_refused(history, waiting)  # the next time it is the turn of others first
            outbox.mark_failed(history, waiting, attempt.error, now, permanent=attempt.permanent)

    names = {destination.key: destination.name for destination in destinations}
    return deliver.send(outbox.due(history, names, now), destinations, now, note, deadline, link)
