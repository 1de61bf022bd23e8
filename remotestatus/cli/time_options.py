"""
Reads times as people write them on the command line: `22:30`, a date and time, or a duration from now.

They become aware UTC datetimes. A time without an offset is in the local zone.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import click

from remotestatus.model.durations import parse_duration

EXAMPLES = 'write for example 22:30, "2026-01-31 22:30" or 2026-01-31T22:30+01:00'


def read_moment(text: str, now: datetime) -> datetime:
    """
    Read `22:30` (its next occurrence), `2026-01-31 22:30` or an ISO 8601 time with an offset.

    Raises click.BadParameter, which says how to write one.
    """
    written = text.strip()
    local = now.astimezone()
    try:
        if len(written) <= len("22:30") and ":" in written:
            clock = datetime.strptime(written, "%H:%M").time()  # noqa: DTZ007 - a wall time has no zone
            days = (local.date(), local.date() + timedelta(days=1))
            moments = (datetime.combine(day, clock).astimezone(UTC) for day in days)
            return next(moment for moment in moments if moment > now)
        return datetime.fromisoformat(written).astimezone().astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(f'"{written}" is not a time; {EXAMPLES}') from None


def read_end(lasting: str | None, until: str | None, now: datetime, begins: datetime | None = None) -> datetime | None:
    """The end that `--for` or `--until` gives, or None; it is after now and after the beginning."""
    if lasting and until:
        raise click.UsageError("write either --for or --until")
    begun = begins or now
    if lasting:
        try:
            return begun + parse_duration(lasting)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--for") from None
    if until is None:
        return None
    with suppress(ValueError):
        return begun + parse_duration(until)  # a duration is accepted here, too
    end = read_moment(until, now)
    if end <= max(now, begun):
        raise click.BadParameter(f'"{until}" is over already; {EXAMPLES}', param_hint="--until")
    return end


def say_local(moment: datetime) -> str:
    """Write a time in the local zone: `2026-01-31 22:30 CET`."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M %Z}"
