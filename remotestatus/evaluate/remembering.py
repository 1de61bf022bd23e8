"""
Keeps what later rounds need of a remote, and finds what shows only over rounds: boot loops, storage faults.

A mount that was read-only, or an error that was counted, in the first round is no trouble.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from remotestatus.evaluate.make_trouble import explain
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import Trouble
from remotestatus.model.durations import say_duration
from remotestatus.model.facts import Facts
from remotestatus.model.fleet import Remote
from remotestatus.model.memory import Memory, Start
from remotestatus.model.status_words import Severity
from remotestatus.model.text import count
from remotestatus.model.untrusted_text import one_line

STARTS_KEPT = 10

LOOP_STARTS = 3
"""This many boots within as many check intervals are a boot loop."""

SHORTEST_LOOP, LONGEST_LOOP = timedelta(minutes=30), timedelta(hours=6)
"""The shortest and the longest span for a boot loop, whatever the check interval."""

HOURLY = timedelta(hours=1)
"""Interval of the facts that are too expensive for every round."""

_SAME_START = timedelta(minutes=2)
"""Without a boot id, boots differ by time; setting the clock may move that time by this much."""


def is_due(memory: Memory, now: datetime) -> bool:
    """Whether the hourly facts are due."""
    return memory.hourly_at is None or not timedelta() <= now - memory.hourly_at < HOURLY


def remember(memory: Memory, facts: Facts, now: datetime) -> Memory:
    """Make the Memory after a round with these facts."""
    starts = _add_start(memory.starts, facts, now)
    started_anew = bool(memory.starts) and starts[-1] != memory.starts[-1]
    before = 0 if started_anew else memory.oom_kills
    new = None if facts.oom_kills is None or before is None else max(0, facts.oom_kills - before)
    asked = started_anew or facts.hourly
    units = facts.failed_units if facts.failed_units is not None or asked else memory.failed_units
    return Memory(
        starts=starts,
        writable=_writable(memory, facts),
        filesystem_errors=_first_counts(memory, facts),
        oom_kills=facts.oom_kills,
        new_oom_kills=new,
        hourly_at=now if facts.hourly else None if started_anew else memory.hourly_at,
        clock_synchronised=facts.clock_synchronised if asked else memory.clock_synchronised,
        failed_units=units,
    )


def recall(memory: Memory, facts: Facts) -> Facts:
    """Add the last hourly facts to those of this round."""
    return replace(facts, clock_synchronised=memory.clock_synchronised, failed_units=memory.failed_units)


def _add_start(starts: tuple[Start, ...], facts: Facts, now: datetime) -> tuple[Start, ...]:
    if facts.boot_id is None or facts.uptime_seconds is None:
        return starts
    try:
        start = Start(facts.boot_id, now - timedelta(seconds=facts.uptime_seconds))
    except OverflowError:
        return starts
    if any(known.boot_id == start.boot_id for known in starts):
        return starts
    numbered = "-" in start.boot_id
    if starts and not numbered and abs(start.at - starts[-1].at) < _SAME_START:
        return starts
    return (*starts, start)[-STARTS_KEPT:]


def _writable(memory: Memory, facts: Facts) -> tuple[tuple[str, str], ...]:
    """List the mounts that are or were writable. An unmounted one is forgotten."""
    if facts.mounts is None:
        return memory.writable
    known = set(memory.writable)
    pairs = (((mount.device, mount.mount), mount.read_only) for mount in facts.mounts)
    return tuple(sorted({pair for pair, read_only in pairs if not read_only or pair in known}))


def _first_counts(memory: Memory, facts: Facts) -> dict[str, int]:
    """Return the errors that each device had when it was first seen, or after a later repair."""
    known = memory.filesystem_errors
    return {device: min(now, known.get(device, now)) for device, now in (facts.filesystem_errors or known).items()}


def find_boot_loop(remote: Remote, memory: Memory, now: datetime, every: timedelta) -> Iterator[Trouble]:
    """Make a trouble if the remote has booted again and again."""
    within = min(max(LOOP_STARTS * every, SHORTEST_LOOP), LONGEST_LOOP)
    # A boot in the future is from before the clock was set back.
    recent = [start.at for start in memory.starts if timedelta() <= now - start.at <= within]
    if len(recent) >= LOOP_STARTS:
        span, ago = say_duration(now - min(recent)), say_duration(now - max(recent))
        words = f"{count(len(recent), 'start')} in {span}, the last {ago} ago"
        yield explain(Cause.BOOT_LOOP, remote, names=[words], what="starts", severity=Severity.CRITICAL)


def find_storage_faults(remote: Remote, memory: Memory, facts: Facts) -> Iterator[Trouble]:
    """Make a trouble for each mount that was writable and is read-only, and each device that counts new errors."""
    for mount in facts.mounts or ():
        if mount.read_only and not mount.meant and (mount.device, mount.mount) in memory.writable:
            where, device = one_line(mount.mount, 100), one_line(mount.device, 100)
            words = f"{where} went read-only ({mount.kind} on {device})"
            yield explain(Cause.STORAGE_FAULT, remote, names=[words], what=where, severity=Severity.CRITICAL)
    for device, errors in (facts.filesystem_errors or {}).items():
        new = errors - memory.filesystem_errors.get(device, errors)
        if new > 0:
            name = one_line(device, 100)
            words = f"ext4 has counted {count(new, 'error')} on {name} since it was first seen"
            yield explain(Cause.STORAGE_FAULT, remote, names=[words], what=name, severity=Severity.CRITICAL)
