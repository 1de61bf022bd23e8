"""
Decides whether a maintenance window is open, and until when.

Windows of the inventory (one-off, or recurring by cron expression or RFC 5545 rule) and windows given by command come
in; the one that is open now goes out. A recurring window starts by its zone's wall clock and lasts its duration in
real time, so a night with a clock change makes it neither longer nor shorter.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrule, rruleset, rrulestr

from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.settings import Window
from remotestatus.model.states import Kind, Subject
from remotestatus.model.windows import CommandWindow, OpenWindow

EVERYTHING = "all"
"""The target of a window that is for every remote and proxy."""

AHEAD = timedelta(hours=3)
"""When a clock is set back, a later wall time may be an earlier moment: the search starts later than any change."""


def window_of_remote(remote: Remote, commands: Iterable[CommandWindow], now: datetime) -> OpenWindow | None:
    """The window that this remote is in now, or None; of several, the one that ends last."""
    targets = {remote.name, *remote.groups, EVERYTHING}
    found = [open_now(window, now) for window in remote.settings.maintenance]
    found += [_open_command(window, now) for window in commands if window.target in targets]
    return _latest(found)


def window_of(subject: Subject, fleet: Fleet, commands: Iterable[CommandWindow], now: datetime) -> OpenWindow | None:
    """
    The window that a remote, proxy or worker is in now, or None.

    A proxy's is its own, or if all remotes behind it are in one, the first to end.
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


def open_now(window: Window, now: datetime) -> OpenWindow | None:
    """
    Say whether a window of the inventory is open, and until when.

    Raises ValueError for a cron expression or rule that `problem_of_window` objects to.
    """
    zone = ZoneInfo(window.timezone)
    first = in_zone(window.from_, zone)
    last = in_zone(window.until, zone)
    if not (window.cron or window.rrule):
        assert first is not None
        assert last is not None
        return OpenWindow(last, window.note) if first <= now < last else None
    assert window.for_ is not None
    start = _last_start(window, now)
    if start is None or (first and start < first) or (last and start > last):
        return None
    end = start + window.for_
    return OpenWindow(end, window.note) if now < end else None


def problem_of_window(window: Window) -> str | None:
    """What is wrong with a window's cron expression or rule, with its cure, or None."""
    try:
        open_now(window, datetime(2026, 1, 1, tzinfo=UTC))
    except ValueError as error:
        return str(error)
    return None


def _open_command(window: CommandWindow, now: datetime) -> OpenWindow | None:
    return OpenWindow(window.until, window.note) if window.starts <= now < window.until else None


def _latest(windows: Iterable[OpenWindow | None]) -> OpenWindow | None:
    return max((window for window in windows if window), key=lambda window: window.until, default=None)


def in_zone(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """A moment in UTC; one without an offset is the zone's wall time."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


@lru_cache(maxsize=4096)
def _last_start(window: Window, now: datetime) -> datetime | None:
    """When a recurring window last started, at `now` or before. Cached: a group's remotes share one window."""
    zone = ZoneInfo(window.timezone)
    if window.cron:
        try:
            return next(
                begun
                for found in CronSim(window.cron, now.replace(microsecond=0).astimezone(zone) + AHEAD, reverse=True)
                if (begun := found.astimezone(UTC)) <= now
            )
        except CronSimError as error:
            raise ValueError(
                f'"{window.cron}" is not a cron expression ({error}); write for example "0 2 * * SUN"'
            ) from error
        except StopIteration:
            return None
    assert window.rrule is not None
    assert window.for_ is not None
    wall = now.astimezone(zone).replace(tzinfo=None) + AHEAD
    rule = rule_of(window, wall)
    start: datetime | None = rule.before(wall, inc=True)
    while start is not None and start.replace(tzinfo=zone).astimezone(UTC) > now:
        start = rule.before(start)
    return start.replace(tzinfo=zone).astimezone(UTC) if start else None


def rule_of(window: Window, wall: datetime) -> rrule | rruleset:
    """The recurrence rule of a window, from a start that lies before the wall time `wall`."""
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
