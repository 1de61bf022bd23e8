"""
The facts that a remote's page lists: each with its label, how it is written, and whether strangers may see it.

Facts come in; pairs of a label and its text go out, without what the remote did not tell. A fact that the probe
reads is shown by one line in _SHOWN, and is kept from strangers unless its field stands in _PUBLIC too.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from remotestatus.model.durations import say_duration
from remotestatus.model.facts import Facts
from remotestatus.model.text import join_names, say_bytes
from remotestatus.report.clean_text import clean

_PUBLIC = ("uptime_seconds",)
"""The fields of Facts that stay in public mode."""


def public_facts(facts: Facts) -> Facts:
    """What strangers may see of a remote's facts."""
    return Facts(**{field: getattr(facts, field) for field in _PUBLIC})


def write_facts(facts: Facts) -> Iterator[tuple[str, str]]:
    """The labels and texts of all facts that are known, in the order of the page."""
    for label, write in _SHOWN:
        match write(facts):
            case str(text):
                yield label, text
            case Mapping() as texts:
                yield from ((f"{label} {name}", text) for name, text in texts.items())


def say_size(kib: int) -> str:
    """Write a size for people: `812 MiB`, `31 GiB`."""
    return say_bytes(1024 * kib)


def say_percent(percent: float) -> str:
    """Write a share at most with two decimals, and never 100 for what is less."""
    if percent >= 100:
        return "100 %"
    return f"{min(percent, 99.99):.2f} %" if percent > 99 else f"{percent:.1f} %"


def say_observed(percent: float) -> str:
    """Write how much of a span was observed, in steps: it grows with every round, and pages are to stay the same."""
    if percent >= 100:
        return "100 %"
    step = int(percent / 5) * 5
    return f"over {step} %" if step else "under 5 %"


def _running_for(facts: Facts) -> str | None:
    return None if facts.uptime_seconds is None else _duration(facts.uptime_seconds)


def _load(facts: Facts) -> str | None:
    if not facts.load:
        return None
    cpus = f" on {facts.cpus} CPU{'s' if facts.cpus > 1 else ''}" if facts.cpus else ""
    return " · ".join(f"{load:.2f}" for load in facts.load) + cpus


def _memory(facts: Facts) -> str | None:
    return _used(facts.memory_total_kb, facts.memory_available_kb)


def _swap(facts: Facts) -> str | None:
    return _used(facts.swap_total_kb, facts.swap_free_kb)


def _disks(facts: Facts) -> Mapping[str, str]:
    return {clean(disk.mount): f"{disk.percent:.0f} % of {say_size(disk.size_kb)}" for disk in facts.disks or ()}


def _clock(facts: Facts) -> str | None:
    offset = facts.clock_offset_seconds
    if offset is None:
        return None
    return "right" if abs(offset) < 1 else f"{_duration(abs(offset))} {'ahead' if offset > 0 else 'behind'}"


def _used(total: int | None, free: int | None) -> str | None:
    if not total or free is None:
        return None
    return f"{100 * (total - free) / total:.0f} % of {say_size(total)}"


def _duration(seconds: float) -> str:
    """A duration that a remote told, in words. An older history may hold any number; timedelta takes far fewer."""
    return say_duration(timedelta(seconds=min(max(seconds, 0.0), 1e12)))


def _disk_inodes(facts: Facts) -> Mapping[str, str]:
    shares = ((disk.mount, disk.inodes_percent) for disk in facts.disks or ())
    return {clean(mount): f"{share:.0f} %" for mount, share in shares if share is not None}


def _read_only(facts: Facts) -> str | None:
    mounts = [clean(mount.mount, 100) for mount in facts.mounts or () if mount.read_only]
    return join_names(mounts, 8) or None


def _filesystem_errors(facts: Facts) -> Mapping[str, str]:
    return {clean(device, 100): str(number) for device, number in (facts.filesystem_errors or {}).items() if number}


def _oom_kills(facts: Facts) -> str | None:
    if not facts.oom_kills:
        return None
    return f"{facts.oom_kills} {'process' if facts.oom_kills == 1 else 'processes'} since its start"


def _pressure(facts: Facts) -> str | None:
    if not facts.pressure:
        return None
    words = {"cpu": "a processor", "memory": "memory", "io": "disks"}
    waited = [f"{share:.0f} % for {words.get(name, clean(name))}" for name, share in facts.pressure.items()]
    return "waited " + ", ".join(waited)


def _temperature(facts: Facts) -> str | None:
    return None if facts.temperature_celsius is None else f"{facts.temperature_celsius:.0f} °C"


def _power(facts: Facts) -> str | None:
    if facts.under_voltage is None:
        return None
    return "under-voltage: too weak a supply or cable" if facts.under_voltage else "sufficient"


def _emmc(facts: Facts) -> str | None:
    worn = None if facts.emmc_wear_percent is None else f"up to {facts.emmc_wear_percent} % of its life used"
    if facts.emmc_wear_percent is not None and facts.emmc_wear_percent > 100:
        worn = "more than its life used"
    reserve = facts.emmc_reserve
    spare = None if reserve is None else f"spare blocks {reserve}"
    return ", ".join(part for part in (worn, spare) if part) or None


def _restart(facts: Facts) -> str | None:
    return "required, to use what was updated" if facts.reboot_required else None


def _synchronised(facts: Facts) -> str | None:
    return None if facts.clock_synchronised is None else ("yes" if facts.clock_synchronised else "no")


def _failed_units(facts: Facts) -> str | None:
    return None if facts.failed_units is None else join_names([clean(one) for one in facts.failed_units], 8) or "none"


_SHOWN: tuple[tuple[str, Callable[[Facts], str | Mapping[str, str] | None]], ...] = (
    ("Running for", _running_for),
    ("System", lambda facts: clean(facts.distribution) if facts.distribution else None),
    ("Kernel", lambda facts: clean(facts.kernel) if facts.kernel else None),
    ("Restart", _restart),
    ("Load", _load),
    ("Pressure, 5 min", _pressure),
    ("Memory", _memory),
    ("Swap", _swap),
    ("Killed for lack of memory", _oom_kills),
    ("Disk", _disks),
    ("Inodes", _disk_inodes),
    ("Read-only", _read_only),
    ("File system errors", _filesystem_errors),
    ("eMMC", _emmc),
    ("Temperature", _temperature),
    ("Power", _power),
    ("Clock", _clock),
    ("Clock synchronised", _synchronised),
    ("Failed units", _failed_units),
)
"""Each label with the function that writes its text: None when it is not known, several texts by what they are of."""
