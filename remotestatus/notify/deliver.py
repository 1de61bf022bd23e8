"""
Sends the messages in the outbox.

Each destination is sent to separately, so that a failure repeats nothing elsewhere. All share a deadline, so that a
hanging server cannot stall the round.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from remotestatus.model.inventory_variables import FleetSettings
from remotestatus.model.messages import Message, Waiting, WaitingMessage
from remotestatus.notify.assemble import assemble, complete_commands, shorten, write_test
from remotestatus.notify.failures import Failure
from remotestatus.notify.sendings import Attempt, Destination, run_together
from remotestatus.templates import Templates

DEADLINE = 60.0
"""Seconds that all destinations of a round together may take."""

REFUSALS_IN_A_ROW = 3
"""After this many single refusals and no success, a destination is left until the next attempt."""


@dataclass(frozen=True, slots=True)
class Sending:
    """
    What is the same for all that a round sends: the fleet's settings, the templates, and the time.

    `own_settings` are, by key, those of receivers with a page of their own; `option` is `-i FOLDER` for commands, or
    empty.
    """

    settings: FleetSettings
    templates: Templates
    now: datetime
    deadline: float = DEADLINE
    own_settings: Mapping[str, FleetSettings] = field(default_factory=dict)
    option: str = ""


def send(
    waiting: Sequence[Waiting],
    destinations: Sequence[Destination],
    sending: Sending,
    note: Callable[[Waiting, Attempt], None],
) -> tuple[Attempt, ...]:
    """
    Send what waits for each destination, as one message each; `note` hears of each outcome as soon as it is known.

    If a service refuses the message perhaps because of its text, each part is sent alone; one that is still refused is
    sent as subject and link. Returns at the deadline at the latest; what was not accepted by then counts as failed.
    """
    by_key = {destination.key: destination for destination in destinations}
    left = {one.destination: one for one in waiting if one.destination in by_key}
    end = time.monotonic() + sending.deadline
    attempts = []

    def send_all(key: str) -> Iterator[tuple[Waiting, Attempt]]:
        return _Turn(by_key[key], sending, end).send(left[key])

    for key, outcome in run_together(left, send_all, sending.deadline):
        part, attempt = (left[key], outcome) if isinstance(outcome, Attempt) else outcome
        attempt = replace(attempt, name=by_key[key].name)
        note(part, attempt)
        attempts.append(attempt)
        if not attempt.goes_on:
            left[key] = left[key].part([one for one in left[key].messages if one not in part.messages])
    return tuple(attempts)


@dataclass(slots=True)
class _Turn:
    """
    Sends to one destination: all messages as one; if that is refused, it isolates the refused ones.

    Apprise itself pauses some seconds between two messages to one service. `end` (monotonic) is the end of all turns:
    the first message may be begun until then, and what has not been begun by half the time goes on waiting.
    """

    destination: Destination
    sending: Sending
    end: float
    begun: bool = False
    taken: bool = False

    @property
    def _may_begin(self) -> bool:
        return time.monotonic() < self.end - (self.sending.deadline / 2 if self.begun else 0)

    def send(self, waiting: Waiting) -> Iterator[tuple[Waiting, Attempt]]:
        """Send all of it; yields each part with what became of it."""
        by_refusals = sorted(waiting.messages, key=lambda one: one.refused)
        suspects = {one: "its service refused it before" for one in by_refusals if one.refused}
        fresh = [one for one in waiting.messages if not one.refused]
        batches, refusals = [fresh] if fresh else [], 0
        while batches and self._may_begin:
            batch = batches.pop(0)
            attempt = self._try([one.message for one in batch])
            if attempt.taken:
                yield waiting.part(batch), attempt
                continue
            refusals += len(batch) == 1
            if attempt.failure is not Failure.MESSAGE or (not self.taken and refusals >= REFUSALS_IN_A_ROW):
                # The rest would be refused too.
                yield waiting.part([*batch, *chain(*batches), *suspects]), attempt
                return
            if len(batch) > 1:
                batches = [[one] for one in batch]
            else:
                yield waiting.part(batch), replace(attempt, goes_on=True)
                suspects[batch[0]] = attempt.error
        yield from self._send_shortened(waiting, suspects)

    def _send_shortened(
        self, waiting: Waiting, suspects: Mapping[WaitingMessage, str]
    ) -> Iterator[tuple[Waiting, Attempt]]:
        stubborn: dict[WaitingMessage, Attempt] = {}
        for one, error in suspects.items():
            if not self._may_begin or (not self.taken and len(stubborn) >= REFUSALS_IN_A_ROW):
                break
            attempt = self._try([one.message], refused=error)
            if attempt.taken:
                yield waiting.part([one]), attempt
            else:
                stubborn[one] = attempt
        for one, attempt in stubborn.items():
            dropped = self.taken and attempt.failure is Failure.MESSAGE
            yield waiting.part([one]), replace(attempt, dropped=dropped)

    def _try(self, messages: Sequence[Message], refused: str = "") -> Attempt:
        self.begun = True
        settings, templates = self.sending.settings, self.sending.templates
        settings = self.sending.own_settings.get(self.destination.key, settings)
        if refused:
            message = shorten(messages[0], refused, settings, templates, self.destination)
            message = complete_commands(message, self.sending.option)
        else:
            message = assemble(messages, self.sending.now, settings, templates, self.destination)
        attempt = _hand_over(self.destination, message)
        self.taken = self.taken or attempt.taken
        return attempt


def send_test(
    destinations: Sequence[Destination], tag: str | None, sending: Sending
) -> list[tuple[Destination, Attempt]]:
    """Send a test message to each destination (with this tag), and say for each whether it was taken, and why not."""
    chosen = {one.key: one for one in destinations if tag is None or tag in one.tags}

    def send(key: str) -> Iterator[Attempt]:
        title = sending.settings.title
        yield _hand_over(chosen[key], write_test(chosen[key], title, sending.now, sending.templates))

    outcomes = dict(run_together(chosen, send, sending.deadline))
    return [(destination, outcomes[key]) for key, destination in chosen.items()]


def _hand_over(destination: Destination, message: Message) -> Attempt:
    from remotestatus.notify.apprise_client import hand_over

    return hand_over(destination, message)
