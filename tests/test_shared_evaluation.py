"""
What is slow to evaluate for many hosts is evaluated by several processes, and comes out as if it were not.
"""

import os
import signal
import time

import pytest
from remotestatus_playbook.shared_evaluation import evaluate_all

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
