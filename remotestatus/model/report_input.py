"""The input of a report: the results of one round, and the history before it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.check_result import CheckResult
from remotestatus.model.days import PastDays, Ranges
from remotestatus.model.fleet import Fleet, SshAccess
from remotestatus.model.messages import SentMessage
from remotestatus.model.notes import Note
from remotestatus.model.period_report import PeriodReport
from remotestatus.model.receiver_memory import FailingDestination
from remotestatus.model.rounds import Round, Sample
from remotestatus.model.states import Kind, State, Subject, Transition
from remotestatus.model.windows import PlannedWindow


@dataclass(frozen=True, slots=True)
class ReportInput:
    """
    What `build_report` takes.

    `transitions` are those seen in the last 90 days or more, oldest first; `days` are the sums of that time.
    `check_results` are by a remote's name. `measured_at` is the time of the measurements on its page. `measured` reads
    them, `samples` its last connect times and `ranges` its daily ranges, oldest first. They are functions, because only
    pages that are rewritten need them. Where a remote has no `measured_at` its page shows those of its check result.
    `maintenance` has the remotes that are in maintenance now, with a description of the window. `before` holds the
    check results of the round before: with them the page says that a process was restarted. `planned` are the
    maintenance windows that are open or to come, the first to start first, and `regular` is the last regular report.
    `ssh` says how each remote is reached by hand; `inventory_option` is the `-i FOLDER` that commands in hints need, or
    empty.
    """

    fleet: Fleet
    round: Round
    states: Mapping[Subject, State]
    check_results: Mapping[str, CheckResult]
    transitions: Sequence[Transition] = ()
    days: Mapping[Subject, PastDays] = field(default_factory=dict)
    samples: Callable[[str], Sequence[Sample]] = lambda _: ()
    measured_at: Mapping[str, datetime] = field(default_factory=dict)
    measured: Callable[[str], CheckResult | None] = lambda _: None
    ranges: Callable[[str], Ranges] = lambda _: {}
    first_seen: Mapping[Subject, datetime] = field(default_factory=dict)
    before: Mapping[str, CheckResult] = field(default_factory=dict)
    acknowledgements: Mapping[Subject, Acknowledgement] = field(default_factory=dict)
    maintenance: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[Subject, Sequence[SentMessage]] = field(default_factory=dict)
    failing: Sequence[FailingDestination] = ()
    planned: Sequence[PlannedWindow] = ()
    notes: Sequence[Note] = ()
    regular: PeriodReport | None = None
    ssh: SshAccess = field(default_factory=SshAccess)
    inventory_option: str = ""

    def only(self, subjects: Collection[Subject]) -> "ReportInput":
        """The input limited to these remotes, proxies and workers."""
        fleet, wanted = self.fleet, set(subjects)
        return replace(
            self,
            fleet=replace(
                fleet,
                remotes=tuple(one for one in fleet.remotes if (Kind.REMOTE, one.name) in wanted),
                proxies=tuple(one for one in fleet.proxies if (Kind.PROXY, one.name) in wanted),
                looked_at=tuple(one for one in fleet.looked_at if (Kind.PROXY, one.name) in wanted),
            ),
            states={subject: state for subject, state in self.states.items() if subject in wanted},
            transitions=[one for one in self.transitions if (one.kind, one.name) in wanted],
        )
