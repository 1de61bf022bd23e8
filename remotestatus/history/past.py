"""
Reads from the history what the report says of the time before this round.

The open history, and what the round has in memory, go in; a ReportInput comes out.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from remotestatus.evaluate import window_of_remote
from remotestatus.history import outbox
from remotestatus.history.database import History
from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Fleet
from remotestatus.model.report_input import ReportInput
from remotestatus.model.rounds import Round
from remotestatus.model.states import State, Subject

SHOWN = timedelta(days=91)
"""How far back the page looks: its longest bar has 90 days."""


def read_past(
    history: History,
    fleet: Fleet,
    round_: Round,
    states: Mapping[Subject, State],
    check_results: Mapping[str, CheckResult],
    before: Mapping[str, CheckResult],
    now: datetime,
) -> ReportInput:
    """
    Add to this round's states and check results what the history knows of the time before.

    `before` holds the check results of the round before.
    """
    since = now - SHOWN
    windows = outbox.command_windows(history, now)
    maintenance = {}
    for remote in fleet.remotes:
        window = window_of_remote(remote, windows, now)
        if window is not None:
            maintenance[remote.name] = (
                f"until {window.until:%Y-%m-%d %H:%M} UTC{': ' if window.note else ''}{window.note}"
            )
    return ReportInput(
        fleet=fleet,
        round=round_,
        states=states,
        check_results=check_results,
        transitions=history.transitions(since),
        days=history.days(since.date()),
        samples=history.samples(),
        first_seen=history.first_seen(),
        before=before,
        acknowledgements={
            subject: known for subject, known in outbox.acknowledgements(history).items() if known.holds(now)
        },
        maintenance=maintenance,
        messages={subject: outbox.messages_about(history, subject, limit=10) for subject in states},
        failing=outbox.failing_destinations(history),
    )
