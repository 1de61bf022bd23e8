"""
Makes incidents from transitions: the times in which a remote or proxy was not up.

If a remote could not be checked only because its proxy was down, its incident is part of the proxy's: it is `folded`,
and the pages leave it out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import Trouble
from remotestatus.model.states import Kind, State, Subject, Transition
from remotestatus.model.status_words import APPEARANCES, Status
from remotestatus.report.clean_text import clean, clean_all, clean_trouble


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of an incident with one status and one cause. `ended_at` is None while it lasts."""

    status: Status
    trouble: Trouble | None
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which a subject was not up. `ended_at` is None while it lasts."""

    kind: Kind
    name: str
    started_at: datetime
    ended_at: datetime | None
    phases: tuple[Phase, ...]
    notes: tuple[Acknowledgement, ...] = ()
    began_earlier: bool = False
    """Whether it began before the kept history; `started_at` is then the first known time."""

    @property
    def worst(self) -> Phase:
        """The worst phase: down, then degraded, then unknown."""
        return min(self.phases, key=lambda phase: _WORST_FIRST.index(phase.status))

    @property
    def status(self) -> Status:
        """The current status of an open incident, the worst status of a past one."""
        return self.worst.status if self.ended_at else self.phases[-1].status

    @property
    def trouble(self) -> Trouble | None:
        """The trouble that goes with `status`."""
        return self.worst.trouble if self.ended_at else self.phases[-1].trouble

    @property
    def cause(self) -> Cause | None:
        """The cause that goes with `status`."""
        return self.trouble.cause if self.trouble else None

    @property
    def folded(self) -> bool:
        """Whether it was only its proxy's or its worker's outage."""
        return all(phase.trouble and phase.trouble.cause.declaration.of_another for phase in self.phases)

    def lasted(self, now: datetime) -> timedelta:
        """Return how long it lasted, or has lasted until `now`."""
        return max(timedelta(), (self.ended_at or now) - self.started_at)


_WORST_FIRST = tuple(APPEARANCES)


def build_incidents(
    transitions: Iterable[Transition],
    states: Mapping[Subject, State],
    acknowledgements: Mapping[Subject, Acknowledgement],
) -> dict[Subject, tuple[Incident, ...]]:
    """Make the incidents of each subject that has a state, newest first. `transitions` are those seen, oldest first."""
    by_subject: dict[Subject, list[Transition]] = {subject: [] for subject in states}
    for transition in transitions:
        if (transition.kind, transition.name) in by_subject:
            by_subject[transition.kind, transition.name].append(transition)
    return {
        subject: tuple(
            _with_note(incident, acknowledgements.get(subject))
            for incident in reversed(_of_subject(history, states[subject]))
        )
        for subject, history in by_subject.items()
    }


def in_order(incidents: Iterable[Incident]) -> tuple[Incident, ...]:
    """Sort incidents: open ones first, then newest first."""
    return tuple(sorted(incidents, key=lambda one: (one.ended_at is None, one.started_at), reverse=True))


def open_note(incidents: Iterable[Incident]) -> Acknowledgement | None:
    """Find the acknowledgement of the open incident, if any."""
    return next((incident.notes[-1] for incident in incidents if incident.ended_at is None and incident.notes), None)


def _of_subject(history: list[Transition], state: State) -> list[Incident]:
    found: list[Incident] = []
    phases: list[Phase] = []
    began_earlier = False
    for transition in history:
        if not phases and transition.before not in (None, Status.UP):
            began_earlier = True
        if transition.after is Status.UP:
            if phases:
                found.append(_incident(state, phases, transition.at, began_earlier=began_earlier))
            phases, began_earlier = [], False
        else:
            phases.append(Phase(transition.after, _clean(transition.trouble), transition.at))
    if state.status is not Status.UP:
        if not phases:
            began_earlier = not history and state.problem_since is not None and state.problem_since < state.since
            phases.append(Phase(state.status, _clean(state.trouble), state.problem_since or state.since))
        elif began_earlier and state.problem_since and state.problem_since < phases[0].started_at:
            phases[0] = replace(phases[0], started_at=state.problem_since)
            began_earlier = False
        # The cause can change while the status stays: update the last phase.
        phases[-1] = replace(phases[-1], trouble=_clean(state.trouble) or phases[-1].trouble)
        found.append(_incident(state, phases, None, began_earlier=began_earlier))
    return found


def _incident(state: State, phases: list[Phase], ended_at: datetime | None, *, began_earlier: bool) -> Incident:
    ended = [replace(phase, ended_at=after.started_at) for phase, after in pairwise(phases)]
    last = replace(phases[-1], ended_at=ended_at)
    return Incident(
        state.kind, clean(state.name), phases[0].started_at, ended_at, (*ended, last), began_earlier=began_earlier
    )


def _with_note(incident: Incident, note: Acknowledgement | None) -> Incident:
    if note is None or note.at < incident.started_at or (incident.ended_at is not None and note.at > incident.ended_at):
        return incident
    return replace(incident, notes=(clean_all(note, note=1000),))


def _clean(trouble: Trouble | None) -> Trouble | None:
    return clean_trouble(trouble) if trouble else None
