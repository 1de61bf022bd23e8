"""
Everything that a page is made of: what one round and the history hand over to the report.

Nothing is computed here. The types of other stages come in as they are; small ones of our own stand for what the
notifications know, so that the report needs no mail code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from remotestatus.drawings import ConnectTime
from remotestatus.incidents import Acknowledgement
from remotestatus.judge import State, Subject, Transition
from remotestatus.reading import Reading
from remotestatus.remote import Fleet
from remotestatus.uptime import DayShare


class FinishedRound(Protocol):
    """The round that the page is about. `troubles` are sentences about what went wrong with the round itself."""

    @property
    def id(self) -> int: ...

    @property
    def started_at(self) -> datetime: ...

    @property
    def finished_at(self) -> datetime: ...

    @property
    def troubles(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class SentMessage:
    """
    A message about one remote or proxy: when, to which destination, its first line, and whether it arrived.

    `dropped` says why it never will.
    """

    name: str
    at: datetime
    destination: str
    subject: str
    delivered: bool = True
    dropped: str = ""


@dataclass(frozen=True, slots=True)
class FailingDestination:
    """A destination whose messages do not arrive: its name, since when, and what it answered."""

    name: str
    since: datetime
    error: str = ""


@dataclass(frozen=True, slots=True)
class Material:
    """
    What `build_report` takes.

    `transitions` are those seen, oldest first, of 90 days or more; `days` likewise. `maintenance` maps the remotes that
    are now in maintenance to the words for their window. `before` holds the readings of the round before, if there
    was one; with it the page can tell that a process was restarted.
    """

    fleet: Fleet
    round: FinishedRound
    states: Mapping[Subject, State]
    readings: Mapping[str, Reading]
    transitions: Sequence[Transition] = ()
    days: Mapping[Subject, Sequence[DayShare]] = field(default_factory=dict)
    samples: Mapping[str, Sequence[ConnectTime]] = field(default_factory=dict)
    first_seen: Mapping[Subject, datetime] = field(default_factory=dict)
    before: Mapping[str, Reading] = field(default_factory=dict)
    acknowledgements: Sequence[Acknowledgement] = ()
    maintenance: Mapping[str, str] = field(default_factory=dict)
    messages: Sequence[SentMessage] = ()
    failing: Sequence[FailingDestination] = ()
