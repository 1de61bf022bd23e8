"""
Decides when the regular report is due, and makes it for one receiver, of its remotes.

It uses the history of a span, the current states and the planned windows.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.causes import Cause
from remotestatus.model.inventory_variables import RegularReport
from remotestatus.model.period_report import LastingProblem, Period, PeriodReport, RemoteUptime
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.status_words import Status
from remotestatus.model.text import join_names
from remotestatus.model.windows import PlannedWindow

LEAST_SHOWN = 5
"""Remotes with the lowest uptime that are named."""


def is_report_due(spec: RegularReport, last: datetime, now: datetime) -> bool:
    """Whether the report is due at `now` after the one at `last`; a missed one is sent once."""
    if spec.every:
        # Rounds do not begin to the second.
        return now - last >= spec.every - timedelta(minutes=1)
    zone = ZoneInfo(spec.timezone)
    try:
        due = next(CronSim(str(spec.cron), last.astimezone(zone)))
    except (CronSimError, StopIteration):
        return False
    return due.astimezone(UTC) <= now


def make_period_report(
    period: Period,
    names: Collection[Subject],
    states: Mapping[Subject, State],
    acknowledged: Mapping[Subject, Acknowledgement],
    planned: Sequence[PlannedWindow],
) -> PeriodReport:
    """Make the report of the remotes and proxies in `names`."""
    told = frozenset(names)
    remotes = [subject for subject in names if subject[0] is Kind.REMOTE]
    uptimes = [one for subject in remotes if (one := _uptime(subject, period)) is not None]
    uptimes.sort(key=lambda one: (one.percent, one.name))
    counted = sum(share.counted for subject in remotes for share in period.days.get(subject, ()))
    reachable = sum(share.reachable for subject in remotes for share in period.days.get(subject, ()))
    possible = len(remotes) * period.counted_seconds
    incidents = Counter(
        one.trouble.cause
        for one in period.confirmed
        if (one.kind, one.name) in told and one.before in (None, Status.UP) and one.after.is_bad and one.trouble
    )
    mine = frozenset(name for _, name in names)
    return PeriodReport(
        since=period.since,
        until=period.until,
        remotes=len(remotes),
        percent=100 * reachable / counted if counted else None,
        observed=min(100.0, 100 * counted / possible) if possible else 0.0,
        least=tuple(
            sorted((one for one in uptimes if one.percent < 100), key=lambda one: (one.percent, one.name))[:LEAST_SHOWN]
        ),
        incidents=tuple(sorted(incidents.items(), key=lambda item: (-item[1], list(Cause).index(item[0])))),
        flapped=tuple(sorted(name for kind, name in period.flapped if (kind, name) in told)),
        lasting=tuple(
            _lasting(states[subject], acknowledged.get(subject), period.until)
            for subject in names
            if subject in states and states[subject].confirmed is not Status.UP
        ),
        planned=tuple(_limit(window, mine) for window in planned if window.names & mine),
    )


def _limit(window: PlannedWindow, mine: frozenset[str]) -> PlannedWindow:
    """Limit a window to these names, so that its title names no others."""
    if window.names <= mine:
        return window
    names = window.names & mine
    return replace(window, names=names, title=join_names(sorted(names), 3))


def _uptime(subject: Subject, period: Period) -> RemoteUptime | None:
    shares = period.days.get(subject, ())
    counted = sum(share.counted for share in shares)
    if not counted:
        return None
    span = period.counted_seconds
    reachable = sum(share.reachable for share in shares)
    return RemoteUptime(subject[1], 100 * reachable / counted, min(100.0, 100 * counted / span) if span else 100.0)


def _lasting(state: State, acknowledged: Acknowledgement | None, now: datetime) -> LastingProblem:
    trouble = next(iter(state.confirmed_troubles), state.trouble)
    return LastingProblem(
        name=state.name,
        status=state.confirmed,
        since=state.problem_since or state.since,
        message=trouble.message if trouble else "",
        acknowledged=acknowledged if acknowledged and acknowledged.holds(now) else None,
    )
