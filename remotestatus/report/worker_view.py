"""
Makes the WorkerViews, and lists what is up but not reached from everywhere.

What one place cannot reach behind one proxy is one entry, for any number of remotes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.check_result import HasTroubles, Trouble
from remotestatus.model.fleet import Worker
from remotestatus.model.inventory_variables import CHECKER
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind
from remotestatus.model.status_words import Status
from remotestatus.report.clean_text import clean, clean_trouble
from remotestatus.report.incidents import Incident, open_note
from remotestatus.report.remote_view import RemoteView


@dataclass(frozen=True, slots=True)
class WorkerView(HasTroubles):
    """What the pages show of one worker. `looked_at` counts the remotes whose check result is from there."""

    name: str
    status: Status
    since: datetime
    troubles: tuple[Trouble, ...]
    looked_at: int
    acknowledged: Acknowledgement | None = None


@dataclass(frozen=True, slots=True)
class OutOfSight:
    """
    The remotes that are up but not reached from one place, by name.

    `proxy` is set if no remote behind it was reached from there: then the proxy is not reached.
    """

    place: str
    proxy: str | None
    remotes: tuple[str, ...]

    @property
    def spoken_place(self) -> str:
        """The name of the place in a sentence."""
        return "the checker" if self.place == CHECKER else f"the worker {self.place}"


def view_worker(
    worker: Worker, report_input: ReportInput, remotes: Iterable[RemoteView], incidents: Sequence[Incident]
) -> WorkerView:
    """Make the WorkerView of one worker that has a State."""
    state = report_input.states[Kind.WORKER, worker.name]
    return WorkerView(
        name=clean(worker.name),
        status=state.status,
        since=state.since,
        troubles=tuple(map(clean_trouble, state.troubles)),
        looked_at=sum(remote.worker == worker.name for remote in remotes),
        acknowledged=open_note(incidents),
    )


def find_out_of_sight(remotes: Sequence[RemoteView]) -> tuple[OutOfSight, ...]:
    """Find what is up but not reached from everywhere, the largest entry first."""
    reached = [remote for remote in remotes if remote.status.is_reached]
    places = sorted({place for remote in reached for place in remote.not_from})
    found = [one for place in places for one in _out_of_sight_from(place, reached)]
    return tuple(sorted(found, key=lambda one: (-len(one.remotes), one.place)))


def say_out_of_sight(found: Iterable[OutOfSight]) -> list[str]:
    """Say how many are not reached from each place, in a few words."""
    counts: dict[str, int] = {}
    for one in found:
        counts[one.spoken_place] = counts.get(one.spoken_place, 0) + len(one.remotes)
    return [f"{count} not from {place}" for place, count in counts.items()]


def _out_of_sight_from(place: str, reached: Sequence[RemoteView]) -> Iterable[OutOfSight]:
    seen = {proxy for remote in reached if place not in remote.not_from for proxy in remote.path}
    groups: dict[str | None, list[str]] = {}
    for remote in reached:
        if place in remote.not_from:
            # The first proxy behind which that place reaches no remote.
            proxy = next((proxy for proxy in remote.path if proxy not in seen), None)
            groups.setdefault(proxy, []).append(remote.name)
    return [OutOfSight(place, proxy, tuple(names)) for proxy, names in groups.items()]
