"""
What is kept of each day, and where a disk is going: only a line that is steady enough is spoken of.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remotestatus.evaluate.limits import examine_trends
from remotestatus.evaluate.trends import days_until_full, kept_values
from remotestatus.history.database import History
from remotestatus.history.retention import forget
from remotestatus.model.check_result import CheckResult
from remotestatus.model.days import DayRange
from remotestatus.model.facts import Disk, Facts
from remotestatus.model.inventory_variables import FleetSettings, Limits
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, State, StateChange
from remotestatus.model.status_words import Severity, Status
from remotestatus.report.charts import draw_ranges

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TODAY = NOW.date()


def days(*highs: float) -> list[DayRange]:
    """Days up to yesterday with these highest values, the oldest first."""
    return [DayRange(TODAY - timedelta(days=len(highs) - at), high - 1, high) for at, high in enumerate(highs)]


@pytest.mark.parametrize(
    ("past", "percent", "left"),
    [
        (days(70, 72, 74, 76, 78), 80, 10.0),
        (days(70, 72, 74, 76, 78), 100, None),
        (days(74, 76, 78), 80, None),
        (days(80, 80, 80, 80, 80), 80, None),
        (days(80, 78, 76, 74, 72), 70, None),
        (days(20, 90, 20, 90, 20, 90), 80, None),
        (days(10, 10.01, 10.02, 10.03, 10.04), 10.05, None),
        ([], 99, None),
    ],
)
def test_a_disk_is_only_said_to_fill_up_when_it_does(past: list[DayRange], percent: float, left: float | None) -> None:
    """A steady rise over five days has an end; what is level, falls, goes up and down or takes years has none."""
    found = days_until_full(past, TODAY, percent)
    assert found is None if left is None else found == pytest.approx(left)


@settings(max_examples=60)
@given(st.lists(st.floats(0, 100), max_size=40), st.floats(0, 120))
def test_any_days_give_a_time_or_none(highs: list[float], percent: float) -> None:
    """Whatever the days were, the time left is a positive number of days within a year, or nothing."""
    found = days_until_full(days(*highs), TODAY, percent)
    assert found is None or 0 < found <= 365


@pytest.mark.parametrize(
    ("bounds", "severity"),
    [
        ("7d", None),
        ("14d", Severity.WARNING),
        ({"warning": "14d", "critical": "11d"}, Severity.CRITICAL),
        ({"critical": "9d"}, None),
    ],
)
def test_a_limit_on_the_time_left(bounds: Any, severity: Severity | None) -> None:
    """Less time than a bound is over the limit."""
    limits = Limits.model_validate({"disk_full_within": bounds})
    (finding,) = examine_trends(limits, {"/": 10.0})
    assert (None if finding.ok else finding.severity) == severity
    assert finding.name == "disk_full_within /"
    assert finding.sentence.startswith("disk / is full in about 10 d at this rate (")


def test_bounds_of_a_time_left_fall() -> None:
    """The critical time is the shorter one."""
    with pytest.raises(ValueError, match="shorter"):
        Limits.model_validate({"disk_full_within": {"warning": "1d", "critical": "7d"}})


def test_each_day_keeps_its_lowest_and_highest(tmp_path: Path) -> None:
    """Rounds of a day make one row for each value, and old days go."""
    with History.open(tmp_path / "history.sqlite3") as history:
        for hours, percent in ((0, 40), (1, 70), (2, 55), (26, 60)):
            at = NOW + timedelta(hours=hours)
            facts = Facts(disks=(Disk("/", 100, percent, percent),), temperature_celsius=40.0 + hours)
            result = CheckResult("box-1", at, connect_ms=80 + hours, facts=facts)
            state = State(Kind.REMOTE, "box-1", Status.UP, at, at)
            history.record(Round(0, at, at, 1), [StateChange(state)], [result])
        found = history.ranges("box-1")
        assert found["disk /"] == [DayRange(TODAY, 40, 70), DayRange(TODAY + timedelta(days=1), 60, 60)]
        assert found["temperature"][0] == DayRange(TODAY, 40, 42)
        assert set(found) == {"disk /", "temperature", "log-in"}
        disks = history.disk_ranges(["box-1", "new"], TODAY)
        assert disks == {"box-1": {"disk /": found["disk /"]}, "new": {}}
        assert history.disk_ranges(["box-1"], TODAY + timedelta(days=1)) == {"box-1": {"disk /": found["disk /"][1:]}}
        forget(history.connection, FleetSettings(), NOW + timedelta(days=92))
        assert [one.day for one in history.ranges("box-1")["disk /"]] == [TODAY + timedelta(days=1)]


def test_what_is_kept_of_a_remote_that_tells_nothing() -> None:
    """A remote that was not reached has no values."""
    assert kept_values(CheckResult("box-1", NOW)) == {}


def test_a_chart_for_each_measure_with_three_days() -> None:
    """Each measure is drawn with its unit; a gap of days interrupts the band."""
    ranges = {
        "disk /": [*days(50, 60), DayRange(TODAY + timedelta(days=9), 65, 70)],
        "temperature": days(40, 43, 45),
        "memory": days(30, 31),
    }
    charts = {chart.label: chart for chart in draw_ranges(ranges)}
    assert set(charts) == {"Disk /", "Temperature"}
    assert charts["Disk /"].band.count("M") == 2
    assert (charts["Disk /"].top, charts["Temperature"].unit, charts["Temperature"].high) == (100.0, "°C", 45)
