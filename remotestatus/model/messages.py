"""
Messages: notifications in words, those that wait for a destination, and those of the history.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from remotestatus.model.notification import EventType
from remotestatus.model.states import Subject


class NotificationType(StrEnum):
    """The type of a message, by which services colour it: Apprise's notification types."""

    FAILURE = "failure"
    WARNING = "warning"
    INFO = "info"
    SUCCESS = "success"


@dataclass(frozen=True, slots=True)
class Message:
    """
    One rendered notification, without the footer, which is added when it is sent.

    `headline` is its subject without the fleet's title. `about` says which remotes and proxies it mentions, and how.
    """

    destination: str
    destination_name: str
    at: datetime
    type: NotificationType
    headline: str
    subject: str
    text: str
    html: str
    about: tuple[tuple[Subject, EventType], ...] = ()


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A Message with its number in the outbox, and how often its service rejected it."""

    id: int
    message: Message
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages that wait for one destination, oldest first; `attempts` counts its failures in a row."""

    destination: str
    messages: tuple[WaitingMessage, ...]
    attempts: int = 0

    def part(self, messages: Sequence[WaitingMessage]) -> "Waiting":
        """Only these messages."""
        return replace(self, messages=tuple(messages))


@dataclass(frozen=True, slots=True)
class SentMessage:
    """One message of the history; `sent_at` is None while it waits, `event_type` is what it says of the subject."""

    at: datetime
    destination: str
    subject: str
    event_type: EventType
    sent_at: datetime | None = None
    dropped: str = ""

    @property
    def delivered(self) -> bool:
        """Whether its service took it."""
        return self.sent_at is not None
