"""
What a remote said of itself: uptime, load, memory, disks, clock.

The playbook's plain dictionary comes in, Facts go out. Whatever a remote did not or could not say is None.
"""

from collections.abc import Mapping
from typing import Any

from remotestatus.model.facts import Disk, Facts


def read_facts(raw: Mapping[str, Any], asked_at: float | None, answered_at: float | None) -> Facts:
    """
    Make Facts of the probe's dictionary.

    `asked_at` and `answered_at` are the checker's clock before and after the probe, in seconds since the epoch. The
    remote read its own clock somewhere between the two, so only what lies outside is certainly wrong.
    """
    memory = raw.get("memory") or {}
    disks = raw.get("disks")
    load = raw.get("load")
    return Facts(
        uptime_seconds=raw.get("uptime_seconds"),
        load=tuple(load) if load else None,
        cpus=raw.get("cpus"),
        memory_total_kb=memory.get("total_kb"),
        memory_available_kb=memory.get("available_kb"),
        swap_total_kb=memory.get("swap_total_kb"),
        swap_free_kb=memory.get("swap_free_kb"),
        disks=None
        if disks is None
        else tuple(Disk(disk["mount"], disk["size_kb"], disk["used_kb"], disk["percent"]) for disk in disks),
        clock_offset_seconds=_clock_offset(raw.get("clock"), asked_at, answered_at),
        notes=tuple(str(note) for note in raw.get("notes") or ()),
    )


_FURTHEST = 1e12
"""Seconds that a clock may be off, about 30,000 years; what is further off is shown as this."""


def _clock_offset(clock: float | None, asked_at: float | None, answered_at: float | None) -> float | None:
    if clock is None or asked_at is None or answered_at is None:
        return None
    # `date` gives whole seconds: a clock read as n may stand anywhere in [n, n + 1).
    if clock + 1 < asked_at:
        return max(-_FURTHEST, clock + 1 - asked_at)
    return min(_FURTHEST, max(0.0, clock - answered_at))
