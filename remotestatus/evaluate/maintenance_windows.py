"""
Decides whether a maintenance window is open, and until when.

Windows come from the inventory (one-off, or recurring by cron expression or RFC 5545 rule) and from commands. A
recurring window starts at a local time and lasts its duration in real time, so a clock change does not change its
length.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrule, rruleset, rrulestr

from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.states import Kind, Subject
from remotestatus.model.windows import CommandWindow, OpenWindow, Window

EVERYTHING = "all"
"""The target of a window that is for every remote and proxy."""


CLOCK_CHANGE = timedelta(hours=3)
"""Longer than any clock change: a start in a skipped hour may come after starts with a later wall time."""


def window_of_remote(remote: Remote, commands: Iterable[CommandWindow], now: datetime) -> OpenWindow | None:
    """Find the window that this remote is in now, or None; of several, the one that ends last."""
    targets = {remote.name, *remote.groups, EVERYTHING}
    found = [open_now(window, now) for window in remote.settings.maintenance]
    found += [_open_command(window, now) for window in commands if window.target in targets]
    return _latest(found)


def window_of(subject: Subject, fleet: Fleet, commands: Iterable[CommandWindow], now: datetime) -> OpenWindow | None:
    """
    Find the window that a remote, proxy or worker is in now, or None.

    A proxy is also in one while all remotes behind it are: the one that ends first.
    """
    kind, name = subject
    commands = tuple(commands)
    if kind is Kind.REMOTE:
        return window_of_remote(fleet.remotes_by_name[name], commands, now)
    own = _latest([_open_command(window, now) for window in commands if window.target in (name, EVERYTHING)])
    behind = [window_of_remote(remote, commands, now) for remote in fleet.behind(name)] if kind is Kind.PROXY else []
    if own or not behind or None in behind:
        return own
    return min((window for window in behind if window), key=lambda window: window.until)


@lru_cache(maxsize=4096)
def open_now(window: Window, now: datetime) -> OpenWindow | None:
    """
    Say whether a window of the inventory is open, and until when. Cached: a group's remotes share one window.

    Raises ValueError for a cron expression or rule that `problem_of_window` objects to.
    """
    ends = [until for _, until in occurrences(window, now, now)]
    return OpenWindow(max(ends), window.note) if ends else None


def occurrences(window: Window, now: datetime, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    """List start and end of each occurrence that is open now or begins until `last`, in order of their start."""
    zone = ZoneInfo(window.timezone)
    begin, end = _in_zone(window.from_, zone), _in_zone(window.until, zone)
    if not (window.cron or window.rrule):
        if begin and end and end > now and begin <= last:
            yield begin, end
        return
    assert window.for_ is not None
    starts = (_cron_starts if window.cron else _rule_starts)(window, now - window.for_, zone)
    for start in takewhile(lambda moment: moment <= last + CLOCK_CHANGE, starts):
        if start <= last and start + window.for_ > now and not (begin and start < begin) and not (end and start > end):
            yield start, start + window.for_


def problem_of_window(window: Window) -> str | None:
    """Say what is wrong with a window's cron expression or rule, with its cure, or None."""
    try:
        open_now(window, datetime(2026, 1, 1, tzinfo=UTC))
    except ValueError as error:
        return str(error)
    return None


def _open_command(window: CommandWindow, now: datetime) -> OpenWindow | None:
    return OpenWindow(window.until, window.note) if window.starts <= now < window.until else None


def _latest(windows: Iterable[OpenWindow | None]) -> OpenWindow | None:
    return max((window for window in windows if window), key=lambda window: window.until, default=None)


def _in_zone(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """Convert a time to UTC; one without an offset is the zone's wall time."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _cron_starts(window: Window, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    try:
        for found in CronSim(str(window.cron), after.replace(microsecond=0).astimezone(zone)):
            yield found.astimezone(UTC)
    except CronSimError as error:
        raise ValueError(
            f'"{window.cron}" is not a cron expression ({error}); write for example "0 2 * * SUN"'
        ) from error


def _rule_starts(window: Window, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    wall = after.astimezone(zone).replace(tzinfo=None) - CLOCK_CHANGE
    for found in _rule_of(window, wall).xafter(wall, inc=True):
        yield found.replace(tzinfo=zone).astimezone(UTC)


def _rule_of(window: Window, wall: datetime) -> rrule | rruleset:
    """Make the recurrence rule of a window, from a start that lies before the wall time `wall`."""
    assert window.rrule is not None
    assert window.for_ is not None
    zone = ZoneInfo(window.timezone)
    text = re.sub(
        r"UNTIL=(\d{8}T\d{6})Z", lambda found: _local_until(found[1], zone), window.rrule.upper().removeprefix("RRULE:")
    )
    if window.from_ is not None:
        anchor = window.from_.astimezone(zone).replace(tzinfo=None) if window.from_.tzinfo else window.from_
    elif re.search(r"INTERVAL=(?!1\b)|COUNT=", text):
        raise ValueError(f'"{window.rrule}" counts from a start; write that as `from`, for example 2026-01-31 22:00')
    elif re.search(r"FREQ=(YEARLY|MONTHLY)", text):
        anchor = datetime(wall.year - 2, 1, 1)  # noqa: DTZ001 - wall time, as the rule is
    else:
        recent = wall - window.for_ - timedelta(days=14)
        anchor = datetime(recent.year, recent.month, recent.day) - timedelta(days=recent.weekday())  # noqa: DTZ001
    try:
        return rrulestr(text, dtstart=anchor)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(
            f'"{window.rrule}" is not a recurrence rule ({error}); write for example '
            '"FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=0"'
        ) from error


def _local_until(text: str, zone: ZoneInfo) -> str:
    moment = datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return f"UNTIL={moment.astimezone(zone):%Y%m%dT%H%M%S}"
