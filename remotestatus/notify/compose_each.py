"""
A message for each notification of a plan.

Takes a Plan and templates; returns Messages. One that cannot be composed keeps no other from being sent.
"""

from collections.abc import Sequence

from remotestatus.model.errors import say_error
from remotestatus.model.fleet import Fleet
from remotestatus.model.notification import Message, Plan
from remotestatus.notify.compose import compose_message, compose_names
from remotestatus.templates import Templates


def compose_each(
    plan: Plan, fleet: Fleet, templates: Templates, option: str = ""
) -> tuple[Sequence[Message], Sequence[str]]:
    """A message for each notification; one that cannot be composed says the names, and is a trouble of the round."""
    messages, troubles = [], []
    for notification in plan.notifications:
        try:
            messages.append(compose_message(notification, fleet, templates, option))
        except Exception as error:
            # The round has to be recorded all the same, and somebody has to hear of it.
            messages.append(compose_names(notification))
            troubles.append(f"a message could not be composed: {say_error(error)}; please report this")
    return messages, troubles
