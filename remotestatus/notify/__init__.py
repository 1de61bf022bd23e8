"""
Decides whom to tell what, composes messages and sends them.
"""

from remotestatus.notify.compose import compose_message
from remotestatus.notify.decide import plan_notifications
from remotestatus.notify.deliver import (
    Attempt,
    Delivery,
    Destination,
    Failure,
    load_destinations,
    problems_of_tags,
    read_destinations,
    send,
    send_test,
)
from remotestatus.notify.heartbeat import Heartbeat

__all__ = [
    "Attempt",
    "Delivery",
    "Destination",
    "Failure",
    "Heartbeat",
    "compose_message",
    "load_destinations",
    "plan_notifications",
    "problems_of_tags",
    "read_destinations",
    "send",
    "send_test",
]
