"""
Plans the notifications of a round, also when the state of one remote or proxy keeps that from being done.

Takes and returns what `plan_notifications` does, with sentences about whom it had to leave out. What is left out
changes nothing of what anybody knows, so it is told in the first round in which it can be. Pure: no clock, database or
network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from remotestatus.model.errors import say_error
from remotestatus.model.failing_subjects import find_failing
from remotestatus.model.fleet import Fleet
from remotestatus.model.notification import NotificationMemory, Plan, Receiver
from remotestatus.model.states import State, Subject
from remotestatus.notify.decide import plan_notifications


def plan_for_each(
    fleet: Fleet,
    states: Mapping[Subject, State],
    receivers: Sequence[Receiver],
    memory: NotificationMemory,
    now: datetime,
) -> tuple[Plan, tuple[str, ...]]:
    """Decide what each receiver is notified of; also return what went wrong with it."""

    def plan(subjects: Sequence[Subject]) -> Plan:
        wanted = set(subjects)
        known = {key: state for key, state in memory.known.items() if key[1] in wanted or key[1] not in states}
        acknowledged = {
            subject: one for subject, one in memory.acknowledged.items() if subject in wanted or subject not in states
        }
        some = {subject: state for subject, state in states.items() if subject in wanted}
        return plan_notifications(fleet, some, receivers, replace(memory, known=known, acknowledged=acknowledged), now)

    def works(subjects: Sequence[Subject]) -> bool:
        try:
            plan(subjects)
        except Exception:
            return False
        return True

    try:
        return plan_notifications(fleet, states, receivers, memory, now), ()
    except Exception as error:
        culprits = find_failing(tuple(states), works)
        sentence = f"{say_error(error)}; please report this"
        if not culprits:
            return Plan((), (), {}), (f"nobody could be notified in this round: {sentence}",)
        names = ", ".join(name for _, name in culprits)
        rest = [subject for subject in states if subject not in culprits]
        return plan(rest), (f"nobody could be notified of {names} in this round: {sentence}",)
