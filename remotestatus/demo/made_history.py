"""
Invents the ninety days before the demo's first round, so that its page has something to show.

The invented results pass the real evaluation into the real history. A fixed seed makes them the same each time. A note
on the page says that they are invented. It only writes a history that does not exist yet, so that no real history is
changed.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from remotestatus.demo.members import MEMBERS, PROXY
from remotestatus.evaluate import next_state, share_out_time
from remotestatus.history import History, acks_windows_notes, add_note
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.days import DayShare
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, Policy, State, StateChange, Subject

_EVERY = timedelta(minutes=10)
_DAYS = 89
_STEADY = 24
"""Rounds without trouble before the demo's own, so that nothing seems to flap."""

_NO_TUNNEL, _NO_PROCESS, _FULL = Cause.TUNNEL_DOWN, Cause.PROCESS_MISSING, Cause.LIMIT_EXCEEDED
_EPISODES: dict[str, tuple[tuple[float, int, Cause], ...]] = {
    "capture-1": ((71, 50, _NO_TUNNEL), (34, 190, _NO_PROCESS), (9, 1700, _FULL)),
    # Its network came and went for two hours.
    "upload-1": tuple((20 - turn / 72, 10, _NO_TUNNEL) for turn in range(6)),
    "kiosk-1": ((58, 420, _NO_PROCESS), (15, 60, _NO_TUNNEL)),
    "sensors-1": ((80, 2900, _NO_TUNNEL), (41, 30, _NO_TUNNEL), (4, 340, _NO_TUNNEL)),
    "shop-1": (),
    PROXY: ((27, 90, Cause.CONNECTION_TIMEOUT),),
}
"""What was wrong with each: how many days ago it began, how many minutes it lasted, and why."""

_RESTING, _MAINTENANCE_DAYS_AGO = "shop-1", 12
"""The remote that was in maintenance for two hours, and when."""


def make_up_history(database: Path, now: datetime) -> None:
    """Fill a history that does not exist yet; an existing one stays as it is."""
    if database.exists():
        return
    subjects: list[Subject] = [(Kind.PROXY, PROXY), *((Kind.REMOTE, member.name) for member in MEMBERS)]
    changes: list[StateChange] = []
    days: list[tuple[Subject, DayShare]] = []
    for subject in subjects:
        _live(subject, now, changes, days)
    changes.sort(key=lambda change: change.state.seen_at)
    chance = random.Random(90)  # noqa: S311 - nothing secret is made of it
    samples = [sample for member in MEMBERS for sample in _samples(member.name, now, chance)]
    ended = now - _EVERY
    with History.open(database) as history, history.transaction():
        history.record(Round(0, ended, ended, len(MEMBERS)), changes, samples, days)
        words = f"The ninety days before {now:%Y-%m-%d %H:%M} UTC are made up, so that there is something to see."
        add_note(history, "", f"{words} All rounds since then are real.", now, None)
        begins = (now + timedelta(days=1)).replace(hour=2, minute=0, second=0, microsecond=0)
        acks_windows_notes.open_window(history, _RESTING, begins, begins + timedelta(hours=2), "a new receipt printer")


def _live(subject: Subject, now: datetime, changes: list[StateChange], days: list[tuple[Subject, DayShare]]) -> None:
    """Evaluate one subject at each time at which something changed, and credit the time between."""
    resting = now - timedelta(days=_MAINTENANCE_DAYS_AGO)
    state: State | None = None
    for at, troubles in _checks(subject, now):
        if state:
            # A gap of up to twice `every` counts in full, so that no time is left unobserved.
            every = max(_EVERY, (at - state.seen_at) / 2)
            maintenance = subject[1] == _RESTING and state.seen_at <= resting < at
            shares = share_out_time(state.seen_at, at, state.status, maintenance=maintenance, every=every)
            days.extend((subject, share) for share in shares)
        change = next_state(*subject, state, troubles, Policy(), at)
        state = change.state
        changes.append(change)


def _checks(subject: Subject, now: datetime) -> Iterator[tuple[datetime, tuple[Trouble, ...]]]:
    """When the subject was checked and what was wrong with it, oldest first."""
    kind, name = subject
    found: list[tuple[datetime, tuple[Trouble, ...]]] = [(now - timedelta(days=_DAYS, hours=now.hour), ())]
    outages = [(days_ago, minutes, _trouble(cause, name)) for days_ago, minutes, cause in _EPISODES[name]]
    if kind is Kind.REMOTE:
        behind = Trouble(Cause.PROXY_UNREACHABLE, f"Not checked: its proxy {PROXY} does not answer.", proxy=PROXY)
        outages += [(days_ago, minutes, behind) for days_ago, minutes, _ in _EPISODES[PROXY]]
    for days_ago, minutes, trouble in outages:
        began = now - timedelta(days=days_ago)
        found += [(began, (trouble,)), (began + timedelta(minutes=minutes), ())]
    if name == _RESTING:
        resting = now - timedelta(days=_MAINTENANCE_DAYS_AGO)
        found += [(resting - timedelta(hours=1), ()), (resting + timedelta(hours=1), ())]
    found += [(now - _EVERY * back, ()) for back in range(_STEADY, 0, -1)]
    return iter(sorted(found, key=lambda one: one[0]))


def _trouble(cause: Cause, name: str) -> Trouble:
    words = {
        _NO_TUNNEL: f"The proxy {PROXY} answers, but the tunnel of {name} is not up.",
        _NO_PROCESS: "A process that has to run does not.",
        _FULL: "Over its limits: disk /srv 97 % (limit 90 %).",
    }
    return Trouble(cause, words.get(cause, cause.declaration.public))


def _samples(name: str, now: datetime, chance: random.Random) -> Iterator[CheckResult]:
    usual = 60 + chance.randrange(60)
    for back in range(140, 0, -1):
        slow = 300 if chance.random() < 0.03 else 0
        yield CheckResult(name, now - _EVERY * back, connect_ms=usual + chance.randrange(-9, 25) + slow)
