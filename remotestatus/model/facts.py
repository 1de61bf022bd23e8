"""
What a remote reports of its own resources.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Disk:
    """One mounted filesystem; sizes in KiB, `percent` is the used share."""

    mount: str
    size_kb: int
    used_kb: int
    percent: float


@dataclass(frozen=True, slots=True)
class Facts:
    """A remote's resources; sizes in KiB, times in seconds, `clock_offset_seconds` positive when its clock is ahead."""

    uptime_seconds: float | None = None
    load: tuple[float, ...] | None = None
    cpus: int | None = None
    memory_total_kb: int | None = None
    memory_available_kb: int | None = None
    swap_total_kb: int | None = None
    swap_free_kb: int | None = None
    disks: tuple[Disk, ...] | None = None
    clock_offset_seconds: float | None = None
    notes: tuple[str, ...] = ()
