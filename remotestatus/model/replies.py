"""
What people answer to a message from a phone: commands with a code, what became of them, and how many were refused.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from remotestatus.model.states import Subject

CODE_LIFE = timedelta(days=3)
"""So long a message can be answered."""


class ReplyCommand(StrEnum):
    """What an answer may ask for."""

    ACK = "ack"
    MUTE = "mute"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it was read: for `mute` the name and how long, for `ack` how long if that is said."""

    command: ReplyCommand
    code: str
    name: str = ""
    lasting: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ReplyCode:
    """What a code is good for: the subjects of one message, for one receiver, until it expires or was used."""

    id: int
    destination: str
    subjects: tuple[Subject, ...]
    expires: datetime
    used: bool = False


@dataclass(frozen=True, slots=True)
class ReplyInvitation:
    """How a message can be answered: with which code, where to, until when, and a name to mute."""

    code: str
    places: tuple[str, ...]
    until: datetime
    name: str


@dataclass(frozen=True, slots=True)
class ReplyOutcome:
    """What one answer did: to which remotes and proxies, and until when; None is until it is over."""

    command: ReplyCommand
    names: tuple[str, ...] = ()
    until: datetime | None = None


class Refusal(StrEnum):
    """Why an answer changes nothing."""

    UNREADABLE = "unreadable"
    FORGED = "forged"
    EXPIRED = "expired"
    REPLAYED = "replayed"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class ReadSource:
    """What came from one source: texts, oldest first, and how far it is read now; `failure` says why it could not."""

    key: str
    texts: tuple[str, ...] = ()
    position: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class TakenReplies:
    """What became of the answers of one round. `done` has the key of the receiver whose message was answered."""

    done: tuple[tuple[str, ReplyOutcome], ...] = ()
    asked: frozenset[str] = frozenset()
    """Receivers that asked for the status."""
    refused: tuple[Refusal, ...] = ()
    failures: tuple[str, ...] = ()
    """Why a source could not be read."""
