"""
Makes the texts of a hardened systemd service with its timer, or of a crontab line.

Nothing is installed here. The units are templates in `report_templates/setup/`. Paths may hold anything but control
characters: each use has a filter that quotes them.
"""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from remotestatus.model.durations import write_duration
from remotestatus.model.errors import ConfigurationError, ConfigurationProblem
from remotestatus.templates import Templates

_MINUTE, _HOUR, _DAY, _WEEK = 60, 3600, 86400, 604800
# Interval units: divisor, multiple, and the forms for systemd and cron. From an hour on they are in UTC, so that clock
# changes do not change an interval.
_CLOCKS = (
    (_WEEK, _WEEK, "Mon *-*-* 00:00:00 UTC", "0 0 * * 1"),
    (_DAY, _DAY, "*-*-* 00:00:00 UTC", "0 0 * * *"),
    (_HOUR, _DAY, "*-*-* 00/{}:00:00 UTC", "0 */{} * * *"),
    (_MINUTE, _HOUR, "*-*-* *:00/{}:00", "*/{} * * * *"),
    (1, _MINUTE, "*-*-* *:*:00/{}", None),
)
_TEMPORARY = ("/tmp/", "/var/tmp/")  # noqa: S108


MARK = "# Written by `remotestatus schedule` for "
CRON_MARK = "# Written by `remotestatus schedule`: "


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    The command, and its interval. All paths are absolute.

    `command` is the program with its arguments, `folder` where it starts, `writable` the folders it must be able to
    write to. `user` is who it runs as in a system unit; None makes a unit for the user manager.
    """

    name: str
    command: tuple[str, ...]
    every: timedelta
    folder: str
    writable: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    keeps_connections: bool = False

    def __post_init__(self) -> None:
        texts = (self.name, *self.command, self.folder, *self.writable, *self.environment.values())
        cure = "a control character, or a backslash or space at the end, has no place in a unit or crontab; rename it"
        odd = [text for text in texts if not text.isprintable() or text != text.rstrip("\\ ")]
        if odd:
            raise ConfigurationError("no timer can be written", [ConfigurationProblem(ascii(one), cure) for one in odd])

    @property
    def marker(self) -> str:
        """The first line of our files, which identifies them and their inventory."""
        return f"{MARK}{self.folder}"


# -- systemd


def unit_folder(*, whole: bool) -> Path:
    """The folder of system units, or of user units."""
    if whole:
        return Path("/etc/systemd/system")
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "systemd" / "user"


def service_text(schedule: Schedule) -> str:
    """The service: one round, hardened as far as ssh and Ansible allow; see systemd.exec(5)."""
    paths = (*schedule.command, schedule.folder, *schedule.writable, *schedule.environment.values())
    values = {
        "longest": min(7200, max(1800, 2 * _seconds(schedule.every))),
        "temporary": [path for path in paths if path.startswith(_TEMPORARY)],
    }
    return _render("service.service.j2", schedule, values)


def timer_text(schedule: Schedule) -> str:
    """The timer: by the clock if the interval divides an hour, a day or a week, else after each round."""
    values = {
        "calendar": on_calendar(schedule.every),
        "seconds": _seconds(schedule.every),
        "every": write_duration(schedule.every),
    }
    return _render("timer.timer.j2", schedule, values)


def _render(name: str, schedule: Schedule, values: Mapping[str, object]) -> str:
    own: dict[str, object] = {one.name: getattr(schedule, one.name) for one in fields(schedule)}
    templates = Templates(filters={"word": _quote_word, "argument": _quote_argument, "literal": _escape_specifiers})
    return templates.render(f"setup/{name}", {**own, "marker": schedule.marker, **values}).rstrip("\n") + "\n"


def on_calendar(every: timedelta) -> str | None:
    """The systemd.time(7) calendar expression of an interval, or None."""
    return _by_clock(_seconds(every))[0]


def _by_clock(seconds: int) -> tuple[str | None, str | None]:
    """The calendar expression and the five crontab(5) fields of an interval, or None."""
    for unit, whole, calendar, cron in _CLOCKS:
        if seconds % unit == 0 and whole % seconds == 0:
            return calendar.format(seconds // unit), cron and cron.format(seconds // unit)
    return None, None


def next_round(every: timedelta, now: datetime) -> datetime | None:
    """The next time by the clock, without the random delay; None if the timer counts from the last round."""
    calendar = on_calendar(every)
    if calendar is None:
        return None
    # 5 January 1970 was a Monday; every calendar above counts from there.
    start = datetime(1970, 1, 5, tzinfo=UTC)
    return start + ((now - start) // every + 1) * every


def _quote_word(text: str) -> str:
    """One word of a unit file's line: quoted, with specifiers taken literally."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_escape_specifiers(escaped)}"'


def _quote_argument(text: str) -> str:
    """One argument of a command in a unit file, where variables would be replaced too."""
    return _quote_word(text).replace("$", "$$")


def _escape_specifiers(text: str) -> str:
    """A path alone on its line, where only % has to be escaped."""
    return text.replace("%", "%%")


def _seconds(span: timedelta) -> int:
    return max(1, round(span.total_seconds()))


# -- cron


def cron_times(every: timedelta) -> str:
    """
    The five fields of crontab(5) for an interval.

    Raises ConfigurationError, which names the nearest ones, for what cron can't express.
    """
    seconds = _seconds(every)
    if fields := _by_clock(seconds)[1]:
        return fields
    possible = [one for one in range(_MINUTE, _WEEK + 1, _MINUTE) if _by_clock(one)[1]]
    nearest = [one for one in possible if one < seconds][-1:] + [one for one in possible if one > seconds][:1]
    near = " and ".join(write_duration(timedelta(seconds=one)) for one in nearest)
    raise ConfigurationError(
        f"cron can't run something every {write_duration(every)}; the nearest that it can are {near}: set "
        "remotestatus_every to one of them, or use systemd or `remotestatus watch`"
    )


def cron_line(schedule: Schedule) -> str:
    """One line for a user's crontab. Cron mails the output of the round."""
    settings = [f"{name}={shlex.quote(value)}" for name, value in schedule.environment.items()]
    command = " ".join([*settings, shlex.join(schedule.command)])
    line = f"cd {shlex.quote(schedule.folder)} && {command}"
    # In a crontab an unescaped % is a line break, even inside quotes.
    return f"{cron_times(schedule.every)} {line.replace('%', chr(92) + '%')}"


def add_cron_line(crontab: str, schedule: Schedule) -> str:
    """A crontab with our line in it, in place of an earlier one of the same name."""
    kept = remove_cron_line(crontab, schedule.name)
    if kept and not kept.endswith("\n"):
        kept += "\n"
    return f"{kept}{_cron_mark(schedule.name)}\n{cron_line(schedule)}\n"


def remove_cron_line(crontab: str, name: str) -> str:
    """A crontab without our line of that name; all else stays as it is."""
    return re.sub(rf"^{re.escape(_cron_mark(name))}[ \t]*(\n.*)?\n?", "", crontab, flags=re.MULTILINE)


def _cron_mark(name: str) -> str:
    return f"{CRON_MARK}{name} (this line and the next)"
