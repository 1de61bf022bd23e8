"""Replies to messages: commands with a code, their outcomes, and how many were refused."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from remotestatus.model.states import Subject

CODE_LIFE = timedelta(days=3)
"""How long replies are accepted."""


class ReplyCommand(StrEnum):
    """What a reply may ask for."""

    ACK = "ack"
    MUTE = "mute"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Reply:
    """One parsed reply: for `mute` the name and duration, for `ack` an optional duration."""

    command: ReplyCommand
    code: str
    name: str = ""
    lasting: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ReplyCode:
    """What a code allows: the subjects of one message, for one receiver, until it expires or is used."""

    id: int
    destination: str
    subjects: tuple[Subject, ...]
    expires: datetime
    used: bool = False


@dataclass(frozen=True, slots=True)
class ReplyInvitation:
    """How to reply to a message: the code, the addresses, the end, and a name to mute."""

    code: str
    places: tuple[str, ...]
    until: datetime
    name: str


@dataclass(frozen=True, slots=True)
class ReplyOutcome:
    """The effect of one reply: on which remotes and proxies, and until when; None: until it is over."""

    command: ReplyCommand
    names: tuple[str, ...] = ()
    until: datetime | None = None


class Refusal(StrEnum):
    """Why a reply is refused."""

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
    """The outcomes of the replies of one round. `done` has the key of the receiver of the message."""

    done: tuple[tuple[str, ReplyOutcome], ...] = ()
    asked: frozenset[str] = frozenset()
    """Receivers that asked for the status."""
    refused: tuple[Refusal, ...] = ()
    failures: tuple[str, ...] = ()
    """Why a source could not be read."""
