"""Times as text: RFC 3339, UTC, whole seconds."""

from datetime import UTC, datetime


def write_time(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with whole seconds: `2026-01-31T12:00:00Z`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_time(text: str) -> datetime:
    """Read what `write_time` wrote. Raises ValueError for anything else."""
    if not text.endswith("Z"):
        raise ValueError(f'"{text}" is not a time in UTC')
    return datetime.fromisoformat(text)


def say_moment(moment: datetime, now: datetime) -> str:
    """Write a time for people: `02:10 UTC`, with the date unless it is today."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    return f"{moment:%H:%M} UTC" if moment.date() == now.date() else say_date(moment)


def say_date(moment: datetime) -> str:
    """Write a time with its date for people: `2026-01-31 02:10 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
