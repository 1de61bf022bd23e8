"""When a maintenance window is open: one-off, cron and RRULE, over clock changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remotestatus.cli.maintenance import window_lines
from remotestatus.cli.note import note_lines
from remotestatus.evaluate.maintenance_windows import open_now, problem_of_window, window_of, window_of_remote
from remotestatus.model.notes import Note
from remotestatus.model.states import Kind
from remotestatus.model.windows import CommandWindow, OpenWindow, Window
from tests.stories import START, make_fleet

BERLIN = {"timezone": "Europe/Berlin"}


def moment(text: str) -> datetime:
    """A UTC moment written as 2026-01-31 12:00."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "now", "until"),
    [
        pytest.param({"from": "2026-01-31 22:00", "until": "2026-02-01 06:00"}, "2026-01-31 21:59", None, id="before"),
        pytest.param(
            {"from": "2026-01-31 22:00", "until": "2026-02-01 06:00"}, "2026-01-31 22:00", "2026-02-01 06:00", id="in"
        ),
        pytest.param({"from": "2026-01-31 22:00", "until": "2026-02-01 06:00"}, "2026-02-01 06:00", None, id="end"),
        pytest.param(
            {"from": "2026-07-01 22:00", "until": "2026-07-02 06:00", **BERLIN},
            "2026-07-01 20:00",
            "2026-07-02 04:00",
            id="a wall time is of its zone",
        ),
        pytest.param(
            {"from": "2026-07-01T22:00:00-05:00", "until": "2026-07-02T06:00:00-05:00", **BERLIN},
            "2026-07-02 03:00",
            "2026-07-02 11:00",
            id="an offset wins over the zone",
        ),
        pytest.param(
            {"from": "2026-07-01T22:00:00+02:00", "until": "2026-07-02 06:00", **BERLIN},
            "2026-07-02 03:00",
            "2026-07-02 04:00",
            id="only one of them has an offset",
        ),
        pytest.param({"cron": "0 2 * * SUN", "for": "2h"}, "2026-03-01 02:00", "2026-03-01 04:00", id="cron, first"),
        pytest.param({"cron": "0 2 * * SUN", "for": "2h"}, "2026-03-01 03:59", "2026-03-01 04:00", id="cron, last"),
        pytest.param({"cron": "0 2 * * SUN", "for": "2h"}, "2026-03-01 04:00", None, id="cron, over"),
        pytest.param({"cron": "0 2 * * SUN", "for": "2h"}, "2026-03-02 02:30", None, id="cron, another day"),
        pytest.param({"cron": "0 22 * * *", "for": "8h"}, "2026-03-02 01:00", "2026-03-02 06:00", id="cron, midnight"),
        pytest.param({"cron": "0 * * * *", "for": "90m"}, "2026-03-02 01:10", "2026-03-02 02:30", id="overlapping"),
        pytest.param(
            {"cron": "0 2 * * *", "for": "1h", "from": "2026-03-02"}, "2026-03-01 02:30", None, id="cron, not yet"
        ),
        pytest.param(
            {"cron": "0 2 * * *", "for": "1h", "until": "2026-03-02"}, "2026-03-02 02:30", None, id="cron, no more"
        ),
        pytest.param(
            {"rrule": "FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=0", "for": "2h"},
            "2026-03-01 03:00",
            "2026-03-01 04:00",
            id="rrule",
        ),
        pytest.param(
            {"rrule": "RRULE:FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=20;BYMINUTE=30", "for": "1d"},
            "2026-02-28 20:29",
            "2026-02-28 20:30",
            id="last Friday of the month",
        ),
        pytest.param(
            {"rrule": "FREQ=WEEKLY;INTERVAL=2", "from": "2026-03-02 10:00", "for": "1h"},
            "2026-03-16 10:30",
            "2026-03-16 11:00",
            id="every other week",
        ),
        pytest.param(
            {"rrule": "FREQ=WEEKLY;INTERVAL=2", "from": "2026-03-02 10:00", "for": "1h"},
            "2026-03-09 10:30",
            None,
            id="not the week between",
        ),
        pytest.param(
            {"rrule": "FREQ=DAILY;UNTIL=20260301T020000Z;BYHOUR=3;BYMINUTE=0", "for": "1h", **BERLIN},
            "2026-03-01 02:30",
            "2026-03-01 03:00",
            id="UNTIL is UTC",
        ),
        pytest.param(
            {"rrule": "FREQ=DAILY;UNTIL=20260301T015959Z;BYHOUR=3;BYMINUTE=0", "for": "1h", **BERLIN},
            "2026-03-01 02:30",
            None,
            id="and the start must not be after it",
        ),
    ],
)
def test_windows(window: dict[str, Any], now: str, until: str | None) -> None:
    """A window is open from its start to just before its end, and says when that is."""
    found = open_now(Window.model_validate(window), moment(now))
    assert found == (OpenWindow(moment(until)) if until else None)


RECURRING = [
    pytest.param({"cron": "30 2 * * *"}, id="cron"),
    pytest.param({"rrule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30"}, id="rrule"),
]


@pytest.mark.parametrize("rule", RECURRING)
def test_in_autumn_a_window_in_the_repeated_hour_lasts_its_real_time(rule: dict[str, str]) -> None:
    """On 25 October 2026 02:30 comes twice in Berlin; the window is open one hour from the first, and once."""
    window = Window.model_validate({**rule, "for": "1h", **BERLIN})
    first = moment("2026-10-25 00:30")  # 02:30 summer time
    open_minutes = [
        minute for minute in range(-60, 240, 5) if open_now(window, first + timedelta(minutes=minute)) is not None
    ]
    assert open_minutes == list(range(0, 60, 5))


@pytest.mark.parametrize("rule", RECURRING)
def test_in_spring_a_window_in_the_missing_hour_still_happens_once(rule: dict[str, str]) -> None:
    """On 29 March 2026 there is no 02:30 in Berlin; the window opens in the hour after the change, for one hour."""
    window = Window.model_validate({**rule, "for": "1h", **BERLIN})
    change = moment("2026-03-29 01:00")  # 02:00 becomes 03:00
    opened = [at for minute in range(-60, 240, 5) if open_now(window, at := change + timedelta(minutes=minute))]
    assert len(opened) == 12
    assert change <= opened[0] <= change + timedelta(minutes=30)


def test_a_window_over_a_clock_change_is_neither_longer_nor_shorter() -> None:
    """Eight hours from 22:00 in Berlin are eight hours in the nights of both clock changes."""
    window = Window.model_validate({"cron": "0 22 * * *", "for": "8h", **BERLIN})
    for evening in ("2026-03-28 21:00", "2026-10-24 20:00"):
        found = open_now(window, moment(evening) + timedelta(hours=3))
        assert found is not None
        assert found.until == moment(evening) + timedelta(hours=8)


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ({"cron": "0 25 * * *", "for": "1h"}, "is not a cron expression"),
        ({"rrule": "FREQ=SOMETIMES", "for": "1h"}, "is not a recurrence rule"),
        ({"rrule": "every sunday", "for": "1h"}, "is not a recurrence rule"),
        ({"rrule": "FREQ=DAILY;INTERVAL=3", "for": "1h"}, "counts from a start; write that as `from`"),
    ],
)
def test_a_wrong_rule_is_said_with_an_example(window: dict[str, str], words: str) -> None:
    """What is wrong with an expression is a sentence that shows how to write one."""
    assert words in (problem_of_window(Window.model_validate(window)) or "")


def test_a_right_rule_has_no_problem() -> None:
    """What can be read is not complained about."""
    assert problem_of_window(Window.model_validate({"cron": "0 2 * * 1-5", "for": "1h"})) is None
    assert problem_of_window(Window.model_validate({"from": "2026-01-01", "until": "2026-01-02"})) is None


@pytest.mark.parametrize("target", ["r1", "boxes", "all"])
def test_a_window_by_command_is_for_a_remote_a_group_or_all(target: str) -> None:
    """Each target covers the remote, until the window's end; another remote's window does not."""
    fleet = make_fleet(2)
    window = CommandWindow(1, target, START, START + timedelta(hours=1), "new disk")
    assert window_of_remote(fleet.remotes[0], [window], START) == OpenWindow(window.until, "new disk")
    assert window_of_remote(fleet.remotes[0], [window], window.until) is None
    other = CommandWindow(2, "r2", START, START + timedelta(hours=1))
    assert window_of_remote(fleet.remotes[0], [other], START) is None


def test_a_proxy_is_in_maintenance_by_its_own_window_or_all_of_its_remotes() -> None:
    """One remote outside keeps the proxy out of maintenance; when all are in, the first end counts."""
    fleet = make_fleet(2)
    one = CommandWindow(1, "r1", START, START + timedelta(hours=1))
    two = CommandWindow(2, "r2", START, START + timedelta(hours=2))
    own = CommandWindow(3, "jump", START, START + timedelta(hours=3))
    assert window_of((Kind.PROXY, "jump"), fleet, [one], START) is None
    assert window_of((Kind.PROXY, "jump"), fleet, [one, two], START) == OpenWindow(one.until)
    assert window_of((Kind.PROXY, "jump"), fleet, [one, own], START) == OpenWindow(own.until)


def test_the_list_has_what_is_open_and_what_is_to_come() -> None:
    """Windows given by command and those of the inventory, each as open or to come, with its note."""
    fleet = make_fleet(2)
    daily = Window.model_validate({"cron": "0 2 * * *", "for": "1h", "note": "backup"})
    settings = fleet.remotes[0].settings.model_copy(update={"maintenance": (daily,)})
    fleet = replace(fleet, remotes=(replace(fleet.remotes[0], settings=settings), fleet.remotes[1]))
    now = moment("2026-03-02 02:30")
    by_command = CommandWindow(1, "jump", now + timedelta(hours=1), now + timedelta(hours=2), "cables")
    lines = window_lines(fleet, [by_command], now)
    assert lines[0].startswith("jump, to come, ")
    assert lines[0].endswith(": cables")
    assert lines[1].startswith("r1, open by the inventory, ")
    assert lines[2].startswith("r1, to come by the inventory, ")
    assert lines[2].endswith(": backup")
    assert window_lines(make_fleet(2), [], now) == ["No maintenance window is open or to come."]


def test_notes_are_listed_by_what_they_are_about() -> None:
    """A name leaves its own notes, --all those about all, and neither leaves all of them."""
    notes = [Note(1, "", "A word to all.", START), Note(2, "r1", "New camera.", START)]
    assert [len(note_lines(notes, name)) for name in (None, "", "r1")] == [2, 1, 1]
    assert note_lines(notes, "r1")[0].endswith("New camera.")
    assert note_lines(notes, "r2") == ["There are no notes about r2."]
