"""
Lists the maintenance windows that are open or to come, for the page, the feed and the calendar.

Each occurrence is one entry, also when several remotes share it, such as the window of a group.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from remotestatus.evaluate.maintenance_windows import EVERYTHING, occurrences
from remotestatus.model.fleet import Fleet
from remotestatus.model.text import join_names
from remotestatus.model.windows import CommandWindow, PlannedWindow, Window

AHEAD = timedelta(days=30)
"""How far ahead windows are listed."""

OCCURRENCES = 40
"""Occurrences listed of one recurring window."""


def planned_windows(fleet: Fleet, commands: Iterable[CommandWindow], now: datetime) -> tuple[PlannedWindow, ...]:
    """List all windows that are open now or begin within AHEAD, in order of their start."""
    shared: dict[Window, list[str]] = {}
    for remote in fleet.remotes:
        for window in remote.settings.maintenance:
            shared.setdefault(window, []).append(remote.name)
    found = []
    for window, names in shared.items():
        title = _title(fleet, names)
        for starts, until in islice(occurrences(window, now, now + AHEAD), OCCURRENCES):
            found.append(PlannedWindow(starts, until, title, frozenset(names), window.note))
    for command in commands:
        if command.until > now and command.starts < now + AHEAD:
            targets = frozenset(_targets(fleet, command.target))
            found.append(PlannedWindow(command.starts, command.until, command.target, targets, command.note))
    return tuple(sorted(found, key=lambda one: (one.starts, one.until, one.title)))


def _title(fleet: Fleet, names: list[str]) -> str:
    members = frozenset(names)
    if len(members) == len(fleet.remotes) and len(members) > 1:
        return EVERYTHING
    groups = fleet.remotes_by_name[names[0]].groups if len(members) > 1 else ()
    return next((group for group in groups if fleet.remotes_by_group[group] == members), join_names(names, 3))


def _targets(fleet: Fleet, target: str) -> Iterator[str]:
    for proxy in fleet.proxies:
        if target in (EVERYTHING, proxy.name):
            yield proxy.name
    for remote in fleet.remotes:
        if target in (EVERYTHING, remote.name, *remote.groups):
            yield remote.name
