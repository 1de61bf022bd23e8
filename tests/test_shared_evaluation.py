"""
What is slow to evaluate for many hosts is evaluated by several processes, and comes out as if it were not.
"""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from remotestatus_playbook.shared_evaluation import by_processes, evaluate_all

from remotestatus.shipped import playbooks
from tests.rounds import await_that, is_running

NAMES = [f"host-{number}" for number in range(6)]


def test_only_what_is_slow_is_shared_out() -> None:
    """Six lookups of 0.3 s take about two of them; values are whole and in order, and fast ones start no process."""

    def slow(name: str) -> tuple[str, int, str]:
        time.sleep(0.3)
        return name, os.getpid(), "x" * 100_000

    begun = time.monotonic()
    found = evaluate_all(NAMES, slow)
    assert time.monotonic() - begun < 6 * 0.3
    assert list(found) == NAMES
    assert [(name, len(text)) for name, _, text in found.values()] == [(name, 100_000) for name in NAMES]
    assert len({pid for _, pid, _ in found.values()}) == len(NAMES)
    assert set(evaluate_all(NAMES, lambda name: os.getpid()).values()) == {os.getpid()}


def test_very_many_are_shared_out_among_the_processors() -> None:
    """A thousand that take a moment each, and all together longer than a second."""
    names = [f"host-{number}" for number in range(1000)]

    def evaluate(name: str) -> int:
        time.sleep(0.0015)
        return os.getpid()

    found = evaluate_all(names, evaluate)
    assert list(found) == names
    assert len(set(found.values())) == 1 + (os.cpu_count() or 1)


def test_where_no_process_can_be_started_all_is_evaluated_here() -> None:
    """There are no more open files to be had: nothing is lost, and none stays open."""
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        found = by_processes(NAMES, lambda name: os.getpid(), 3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == dict.fromkeys(NAMES, os.getpid())
    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before


def test_nothing_goes_on_when_its_parent_was_killed(tmp_path: Path) -> None:
    """What a killed round had begun holds no lock, and writes no page into the next one's."""
    program = (
        "import os, sys, time; from pathlib import Path\n"
        "from remotestatus_playbook.shared_evaluation import by_processes\n"
        "def note(number): Path(sys.argv[1], f'{os.getpid()}-{number}').touch(); time.sleep(0.1)\n"
        "by_processes(range(200), note, 2)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], env={"PYTHONPATH": str(playbooks())}) as parent:
        await_that(lambda: len(list(tmp_path.iterdir())) > 3)
        parent.kill()
    pids = {int(path.name.partition("-")[0]) for path in tmp_path.iterdir()}
    await_that(lambda: not any(map(is_running, pids)))
    assert len(list(tmp_path.iterdir())) < 100


def test_what_a_process_cannot_bring_is_evaluated_here() -> None:
    """One that is killed costs no host its value, and an error is the error that it would be without it."""
    ours = os.getpid()

    def killed(name: str) -> int:
        if name == NAMES[0]:
            time.sleep(0.21)
        elif os.getpid() != ours:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    def wrong(name: str) -> str:
        time.sleep(0.21)
        if name == NAMES[3]:
            raise ValueError(name)
        return name

    assert evaluate_all(NAMES, killed) == dict.fromkeys(NAMES, ours)
    with pytest.raises(ValueError, match=NAMES[3]):
        evaluate_all(NAMES, wrong)
