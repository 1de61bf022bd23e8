"""The regular report on a span of time: uptime, incidents, and open problems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.causes import Cause
from remotestatus.model.days import DayShare
from remotestatus.model.states import Subject, Transition
from remotestatus.model.status_words import Status
from remotestatus.model.windows import PlannedWindow


@dataclass(frozen=True, slots=True)
class Period:
    """
    The history of a span: days, confirmed transitions, and flapping subjects.

    Days count whole: `days` begin at `counted_since`, with the day in which the span begins.
    """

    since: datetime
    until: datetime
    days: Mapping[Subject, Sequence[DayShare]] = field(default_factory=dict)
    confirmed: Sequence[Transition] = ()
    flapped: frozenset[Subject] = frozenset()

    @property
    def counted_since(self) -> datetime:
        """The midnight (UTC) from which days are counted."""
        return self.since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    @property
    def counted_seconds(self) -> float:
        """The most seconds that one remote can be observed."""
        return (self.until - self.counted_since).total_seconds()


@dataclass(frozen=True, slots=True)
class RemoteUptime:
    """In percent: how much of the observed time a remote could be reached, and of the span it was observed."""

    name: str
    percent: float
    observed: float


@dataclass(frozen=True, slots=True)
class LastingProblem:
    """A problem that was open at the end of a report's span."""

    name: str
    status: Status
    since: datetime
    message: str
    acknowledged: Acknowledgement | None = None


@dataclass(frozen=True, slots=True)
class PeriodReport:
    """
    The regular report for one receiver.

    `percent` and `observed` are of all its remotes together, None when nothing was observed. `least` has the remotes
    with the lowest uptime; `incidents` counts, by cause, those that began in the span.
    """

    since: datetime
    until: datetime
    remotes: int
    percent: float | None
    observed: float
    least: tuple[RemoteUptime, ...] = ()
    incidents: tuple[tuple[Cause, int], ...] = ()
    flapped: tuple[str, ...] = ()
    lasting: tuple[LastingProblem, ...] = ()
    planned: tuple[PlannedWindow, ...] = ()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing happened, and nothing is open."""
        return not (self.incidents or self.flapped or self.lasting)
