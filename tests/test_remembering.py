"""
What shows only over rounds: boot loops, storage faults, kills for lack of memory; and what is asked once an hour.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remotestatus.evaluate.remembering import find_boot_loop, find_storage_faults, is_due, recall, remember
from remotestatus.model.causes import Cause
from remotestatus.model.facts import Facts, Mount
from remotestatus.model.fleet import Remote
from remotestatus.model.inventory_variables import RemoteSettings
from remotestatus.model.memory import Memory, Start

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVERY = timedelta(minutes=10)
BOX = Remote("box-1", (), RemoteSettings())


def boot_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def live(rounds: Sequence[Facts]) -> list[list[tuple[Cause, str]]]:
    """What is found in each of several rounds, one check interval after the other."""
    memory, found = Memory(), []
    for number, facts in enumerate(rounds):
        now = NOW + number * EVERY
        memory = remember(memory, facts, now)
        troubles = [*find_boot_loop(BOX, memory, now, EVERY), *find_storage_faults(BOX, memory, facts)]
        found.append([trouble.key for trouble in troubles])
    return found


def started(number: int, minutes: float) -> Facts:
    """A box whose start has this number, and was so many minutes ago."""
    return Facts(boot_id=boot_id(number), uptime_seconds=60 * minutes)


def root(*, read_only: bool, mounted: bool = True, meant: bool = False, errors: int = 0) -> Facts:
    mounts = (Mount("/", "/dev/sda1", "ext4", read_only, meant),) if mounted else ()
    return Facts(mounts=mounts, filesystem_errors={"sda1": errors})


LOOP = (Cause.BOOT_LOOP, "starts")
RO = (Cause.STORAGE_FAULT, "/")
ERRORS = (Cause.STORAGE_FAULT, "sda1")


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        pytest.param([started(1, 2), started(2, 2), started(3, 2)], [[], [], [LOOP]], id="three starts"),
        pytest.param([started(1, 2), started(2, 2), started(2, 12)], [[], [], []], id="two starts"),
        pytest.param([started(1, 50000), started(2, 1), started(3, 1)], [[], [], []], id="the first was long ago"),
        pytest.param(
            [started(1, 2), started(2, 2), started(3, 2), started(3, 12), started(3, 22)],
            [[], [], [LOOP], [], []],
            id="it stays up",
        ),
        pytest.param(
            [Facts(), Facts(boot_id=boot_id(1)), Facts(uptime_seconds=3)], [[], [], []], id="it tells nothing"
        ),
        pytest.param(
            [root(read_only=False), root(read_only=True), root(read_only=True), root(read_only=False)],
            [[], [RO], [RO], []],
            id="it becomes read-only",
        ),
        pytest.param([root(read_only=True)] * 3, [[], [], []], id="it always was"),
        pytest.param([root(read_only=False), root(read_only=True, meant=True)], [[], []], id="fstab wants it so"),
        pytest.param(
            [root(read_only=False), root(read_only=True, mounted=False), root(read_only=True)],
            [[], [], []],
            id="mounted anew, read-only",
        ),
        pytest.param(
            [root(read_only=False), Facts(), root(read_only=True)], [[], [], [RO]], id="a round without facts"
        ),
        pytest.param(
            [root(read_only=False, errors=number) for number in (4, 4, 5, 5, 0, 1)],
            [[], [], [ERRORS], [ERRORS], [], [ERRORS]],
            id="it counts errors, and is mended",
        ),
    ],
)
def test_what_changes_is_told_and_what_was_always_so_is_not(
    rounds: list[Facts], expected: list[list[tuple[Cause, str]]]
) -> None:
    """A trouble needs a change since the box was first seen, and lasts until it is mended."""
    assert live(rounds) == expected


@settings(max_examples=60)
@given(
    st.lists(st.booleans(), max_size=6),
    st.dictionaries(st.sampled_from(["sda1", "dm-0", "mmcblk0p2"]), st.integers(0, 1000)),
    st.integers(0, 10**9),
)
def test_the_first_round_finds_nothing(read_only: list[bool], errors: dict[str, int], uptime: int) -> None:
    """Whatever a box is like when it is first seen, and as long as it stays so, none of it is a trouble."""
    mounts = tuple(Mount(f"/{at}", f"/dev/sd{at}", "ext4", one) for at, one in enumerate(read_only))
    facts = Facts(boot_id=boot_id(1), uptime_seconds=uptime, mounts=mounts, filesystem_errors=errors)
    assert live([facts] * 4) == [[]] * 4


def test_the_words_say_what_and_where() -> None:
    """The message names the mount, its kind and device, and the starts with their times."""
    memory = remember(remember(Memory(), root(read_only=False), NOW), root(read_only=True), NOW)
    (trouble,) = find_storage_faults(BOX, memory, root(read_only=True))
    assert trouble.message == "Its storage is at fault: / went read-only (ext4 on /dev/sda1)."
    memory = Memory()
    for number in range(3):
        memory = remember(memory, started(number, 2), NOW + number * EVERY)
    (trouble,) = find_boot_loop(BOX, memory, NOW + 2 * EVERY, EVERY)
    assert trouble.message == "It starts again and again: 3 starts in 22 min, the last 2 min ago."


@pytest.mark.parametrize(
    ("every", "ago", "is_loop"),
    [
        (timedelta(days=1), [48, 24, 0.1], False),
        (timedelta(days=1), [5, 3, 0.1], True),
        (timedelta(minutes=1), [0.2, 0.1, 0.01], True),
        (timedelta(minutes=10), [0.6, 0.1, 0.01], False),
        (timedelta(minutes=10), [0.2, 0.1, -5], False),
    ],
    ids=["switched on each morning", "a slow loop", "every five minutes", "too long ago", "a clock set back"],
)
def test_a_boot_loop_depends_little_on_how_often_it_is_checked(
    every: timedelta, ago: list[float], *, is_loop: bool
) -> None:
    """Three check intervals, at least half an hour and at most six; a start in the future is none."""
    starts = tuple(Start(boot_id(number), NOW - timedelta(hours=hours)) for number, hours in enumerate(ago))
    assert bool([*find_boot_loop(BOX, Memory(starts=starts), NOW, every)]) is is_loop


def test_a_start_without_a_number_is_known_by_its_time() -> None:
    """Where only the time of the start is known, a clock that is set a little makes no other start."""
    memory = Memory()
    for seconds in (0, 30, -40):
        memory = remember(memory, Facts(boot_id=str(1700000000 + seconds), uptime_seconds=600 + seconds), NOW)
    assert len(memory.starts) == 1
    assert len(remember(memory, Facts(boot_id="1700009000", uptime_seconds=5), NOW).starts) == 2


@pytest.mark.parametrize(
    ("kills", "new"),
    [([2], [None]), ([2, 2, 5], [None, 0, 3]), ([2, None, 5], [None, None, None]), ([None, 4], [None, None])],
)
def test_kills_are_counted_since_the_last_round(kills: list[int | None], new: list[int | None]) -> None:
    """The first count is nothing new; later ones are compared with the round before."""
    memory, found = Memory(), []
    for number in kills:
        memory = remember(memory, Facts(boot_id=boot_id(1), uptime_seconds=9, oom_kills=number), NOW)
        found.append(memory.new_oom_kills)
    assert found == new


def test_kills_after_a_start_are_all_new() -> None:
    """The count begins again with each start."""
    memory = remember(Memory(), Facts(boot_id=boot_id(1), uptime_seconds=9, oom_kills=7), NOW)
    assert remember(memory, Facts(boot_id=boot_id(2), uptime_seconds=9, oom_kills=2), NOW).new_oom_kills == 2


def test_what_is_asked_once_an_hour_is_kept_in_between() -> None:
    """The answers stay until they are asked for again, after an hour or a start."""
    asked = Facts(
        boot_id=boot_id(1), uptime_seconds=9, hourly=True, clock_synchronised=True, failed_units=("a.service",)
    )
    later = Facts(boot_id=boot_id(1), uptime_seconds=700)
    assert is_due(Memory(), NOW)
    memory = remember(Memory(), asked, NOW)
    assert [is_due(memory, NOW + timedelta(minutes=minutes)) for minutes in (0, 59, 60, -1)] == [
        False,
        False,
        True,
        True,
    ]
    memory = remember(memory, later, NOW + EVERY)
    facts = recall(memory, later)
    assert (facts.clock_synchronised, facts.failed_units) == (True, ("a.service",))
    memory = remember(memory, started(2, 1), NOW + 2 * EVERY)
    assert recall(memory, later).failed_units is None
    assert is_due(memory, NOW + 2 * EVERY)
