"""
Formats the facts of a box for pages.

The result is a text, or several by object; None or empty for an unknown fact.

Pure: the same inputs always give the same values.
"""

from collections.abc import Mapping
from datetime import timedelta

from remotestatus.model.durations import say_duration
from remotestatus.model.facts import Facts
from remotestatus.model.text import join_names, say_bytes
from remotestatus.report.clean_text import clean


def say_size(kib: int) -> str:
    """Write a size for people: `812 MiB`, `31 GiB`."""
    return say_bytes(1024 * kib)


def _duration(seconds: float) -> str:
    """Write a remote's duration in words. An old history may hold numbers too large for timedelta."""
    return say_duration(timedelta(seconds=min(max(seconds, 0.0), 1e12)))


def running_for(facts: Facts) -> str | None:
    return None if facts.uptime_seconds is None else _duration(facts.uptime_seconds)


def restart(facts: Facts) -> str | None:
    return "required, to use what was updated" if facts.reboot_required else None


def load(facts: Facts) -> str | None:
    if not facts.load:
        return None
    cpus = f" on {facts.cpus} CPU{'s' if facts.cpus > 1 else ''}" if facts.cpus else ""
    return " · ".join(f"{load:.2f}" for load in facts.load) + cpus


def used(percent: float | None, total: int | None) -> str | None:
    return None if percent is None or total is None else f"{percent:.0f} % of {say_size(total)}"


def disk_shares(facts: Facts) -> Mapping[str, str]:
    return {clean(disk.mount): f"{disk.percent:.0f} % of {say_size(disk.size_kb)}" for disk in facts.disks or ()}


def inode_shares(facts: Facts) -> Mapping[str, str]:
    shares = ((disk.mount, disk.inodes_percent) for disk in facts.disks or ())
    return {clean(mount): f"{share:.0f} %" for mount, share in shares if share is not None}


def read_only_mounts(facts: Facts) -> str | None:
    mounts = [clean(mount.mount, 100) for mount in facts.mounts or () if mount.read_only]
    return join_names(mounts, 8) or None


def counted_errors(facts: Facts) -> Mapping[str, str]:
    return {clean(device, 100): str(number) for device, number in (facts.filesystem_errors or {}).items() if number}


def clock(facts: Facts) -> str | None:
    offset = facts.clock_offset_seconds
    if offset is None:
        return None
    return "right" if abs(offset) < 1 else f"{_duration(abs(offset))} {'ahead' if offset > 0 else 'behind'}"


def oom_kills(facts: Facts) -> str | None:
    if not facts.oom_kills:
        return None
    return f"{facts.oom_kills} {'process' if facts.oom_kills == 1 else 'processes'} since its start"


def pressure(facts: Facts) -> str | None:
    if not facts.pressure:
        return None
    words = {"cpu": "a processor", "memory": "memory", "io": "disks"}
    waited = [f"{share:.0f} % for {words.get(name, clean(name))}" for name, share in facts.pressure.items()]
    return "waited " + ", ".join(waited)


def temperature(facts: Facts) -> str | None:
    return None if facts.temperature_celsius is None else f"{facts.temperature_celsius:.0f} °C"


def power(facts: Facts) -> str | None:
    if facts.under_voltage is None:
        return None
    return "under-voltage: too weak a supply or cable" if facts.under_voltage else "sufficient"


def emmc(facts: Facts) -> str | None:
    worn = None if facts.emmc_wear_percent is None else f"up to {facts.emmc_wear_percent} % of its life used"
    if facts.emmc_wear_percent is not None and facts.emmc_wear_percent > 100:
        worn = "more than its life used"
    reserve = facts.emmc_reserve
    spare = None if reserve is None else f"spare blocks {reserve}"
    return ", ".join(part for part in (worn, spare) if part) or None


def synchronised(facts: Facts) -> str | None:
    return None if facts.clock_synchronised is None else ("yes" if facts.clock_synchronised else "no")


def failed_units(facts: Facts) -> str | None:
    return None if facts.failed_units is None else join_names([clean(one) for one in facts.failed_units], 8) or "none"
