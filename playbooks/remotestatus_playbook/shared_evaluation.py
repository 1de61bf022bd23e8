"""
Evaluates a function for many hosts or pages, in several processes if it is slow.

It returns the values by name, in the order of the names. A lookup may wait for a server without limit, and Ansible is
not thread-safe. So slow evaluations, and those of very many hosts, are split among processes; otherwise none is
started.
"""

import gc
import os
import pickle
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

_SLOW_SECONDS = 0.2
"""Seconds for one host, above which the others are split among processes."""

_PROCESSES = 16
"""Processes for hosts that wait for lookups."""

_LONG_SECONDS = 1.0
"""Estimated seconds for the rest from which it is split among the processors."""

_FIRST = 100
"""Hosts by which the time is estimated."""

Key = TypeVar("Key")
Value = TypeVar("Value")


def evaluate_all(names: Sequence[str], evaluate: Callable[[str], Value]) -> dict[str, Value]:
    """The value of every name. It has to be one that can be pickled."""
    found: dict[str, Value] = {}
    started = time.monotonic()
    for place, name in enumerate(names, start=1):
        begun = time.monotonic()
        found[name] = evaluate(name)
        now = time.monotonic()
        if now - begun > _SLOW_SECONDS:
            return found | by_processes(names[place:], evaluate, _PROCESSES)
        if place == _FIRST and (now - started) / place * (len(names) - place) > _LONG_SECONDS:
            return found | by_processes(names[place:], evaluate, os.cpu_count() or 1)
    return found


def by_processes(names: Sequence[Key], evaluate: Callable[[Key], Value], processes: int) -> dict[Key, Value]:
    """Evaluate every name in this number of processes; missing values are evaluated here."""
    parts = [names[number::processes] for number in range(min(processes, len(names)))]
    children: list[tuple[int, int]] = []
    with suppress(OSError):  # no more processes or open files than these
        children.extend(_start(part, evaluate) for part in parts)  # those before the error stay
    found: dict[Key, Value] = {}
    for pid, pipe in children:
        with open(pipe, "rb") as answers:  # noqa: PTH123 - it is open already
            text = answers.read()
        os.waitpid(pid, 0)
        with suppress(pickle.UnpicklingError, EOFError):
            found |= pickle.loads(text)  # noqa: S301 - a process of ours has written it
    # The values of a killed process are evaluated here.
    return {name: found[name] if name in found else evaluate(name) for name in names}


def _start(names: Sequence[Key], evaluate: Callable[[Key], Value]) -> tuple[int, int]:
    """Start a process that evaluates these and ends with us; return its pid, and the pipe of its results."""
    parent = os.getpid()
    ours, theirs = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(ours)
        os.close(theirs)
        raise
    if pid:
        os.close(theirs)
        return pid, ours
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        gc.freeze()  # so that memory pages stay shared
        os.close(ours)
        with open(theirs, "wb") as answers:  # noqa: PTH123 - it is open already
            answers.write(pickle.dumps({name: evaluate(name) for name in names if os.getppid() == parent}))
    finally:
        os._exit(0)
