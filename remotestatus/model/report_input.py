"""
Everything that a report is made of: what one round found, and what the history knows of the time before.
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

    `transitions` are those seen in the last 90 days or more, oldest first; `days` likewise. `check_results` and
    `samples` are by a remote's name. `maintenance` has the remotes that are in maintenance now, with a description of
    the window. `before` holds the check results of the round before: with them the page says that a process was
    restarted.
    """

    fleet: Fleet
    round: Round
    states: Mapping[Subject, State]
    check_results: Mapping[str, CheckResult]
    transitions: Sequence[Transition] = ()
    days: Mapping[Subject, Sequence[DayShare]] = field(default_factory=dict)
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    first_seen: Mapping[Subject, datetime] = field(default_factory=dict)
    before: Mapping[str, CheckResult] = field(default_factory=dict)
    acknowledgements: Mapping[Subject, Acknowledgement] = field(default_factory=dict)
    maintenance: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[Subject, Sequence[SentMessage]] = field(default_factory=dict)
    failing: Sequence[FailingDestination] = ()
