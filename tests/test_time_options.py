"""How the command line reads times and ends."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click
import pytest

from remotestatus.cli.time_options import read_end, read_moment

NOW = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)  # 21:00 in Berlin, the evening before the clock change


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local zone is Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("22:30", "2026-03-28 21:30"),
        ("20:30", "2026-03-29 18:30"),  # tomorrow, and by then it is summer time
        ("2026-03-28 23:00", "2026-03-28 22:00"),
        ("2026-07-01 23:00", "2026-07-01 21:00"),
        ("2026-03-28T23:00+00:00", "2026-03-28 23:00"),
    ],
)
def test_a_time_is_the_checkers_own_unless_it_has_an_offset(text: str, utc: str) -> None:
    """A clock time is the next one, a date is of the local zone, and an offset is kept."""
    assert f"{read_moment(text, NOW):%Y-%m-%d %H:%M}" == utc


def test_a_time_that_the_clock_skipped_today_is_tomorrows() -> None:
    """On the morning after the clock change, 02:30 is the next 02:30 that clocks show."""
    morning = datetime(2026, 3, 29, 8, 0, tzinfo=UTC)
    assert read_moment("02:30", morning) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["25:00", "soon", "", "2026-13-01", "10m"])
def test_a_wrong_time_is_refused_with_an_example(text: str) -> None:
    """The error shows how to write one."""
    with pytest.raises(click.BadParameter, match="write for example 22:30"):
        read_moment(text, NOW)


def test_an_end_is_a_duration_or_a_time_and_is_in_the_future() -> None:
    """--for counts from the beginning; both together, and an end that is over, are refused."""
    begins = NOW + timedelta(hours=1)
    assert read_end("2h", None, NOW) == NOW + timedelta(hours=2)
    assert read_end("2h", None, NOW, begins) == begins + timedelta(hours=2)
    assert read_end(None, None, NOW) is None
    with pytest.raises(click.UsageError, match="either --for or --until"):
        read_end("2h", "22:30", NOW)
    with pytest.raises(click.BadParameter, match="is over already"):
        read_end(None, "2026-03-28 20:00", NOW)
    with pytest.raises(click.BadParameter, match="is not a duration"):
        read_end("soon", None, NOW)
