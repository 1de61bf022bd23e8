"""
Everything that a page is made of: what one round and the history hand over to the report.

Nothing is computed here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from remotestatus.model.check_result import CheckResult
from remotestatus.model.days import DayShare
from remotestatus.model.fleet import Fleet
from remotestatus.model.notification import Acknowledgement, FailingDestination, SentMessage
from remotestatus.model.rounds import Round, Sample
from remotestatus.model.states import State, Subject, Transition


@dataclass(frozen=True, slots=True)
class ReportInput:
    """
    What `build_report` takes.

    `transitions` are those seen, oldest first, of 90 days or more; `days` likewise. `maintenance` maps the remotes that
    are now in maintenance to the words for their window. `before` holds the readings of the round before, if there
    was one; with it the page can tell that a process was restarted.
    """

    fleet: Fleet
    round: Round
    states: Mapping[Subject, State]
    readings: Mapping[str, CheckResult]
    transitions: Sequence[Transition] = ()
    days: Mapping[Subject, Sequence[DayShare]] = field(default_factory=dict)
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    first_seen: Mapping[Subject, datetime] = field(default_factory=dict)
    before: Mapping[str, CheckResult] = field(default_factory=dict)
    acknowledgements: Mapping[Subject, Acknowledgement] = field(default_factory=dict)
    maintenance: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[Subject, Sequence[SentMessage]] = field(default_factory=dict)
    failing: Sequence[FailingDestination] = ()
