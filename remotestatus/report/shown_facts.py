"""
The facts that a remote's page lists: each with its label, how it is written, and whether strangers may see it.

Facts come in; pairs of a label and its text go out, without what the remote did not tell. A fact that the probe
reads is shown by one line in _SHOWN, and is kept from strangers unless its field stands in _PUBLIC too.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from remotestatus.model.durations import say_duration
from remotestatus.model.facts import Facts
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
    size = float(kib)
    for unit in ("KiB", "MiB", "GiB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.0f} TiB" if size >= 10 else f"{size:.1f} TiB"


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


_SHOWN: tuple[tuple[str, Callable[[Facts], str | Mapping[str, str] | None]], ...] = (
    ("Running for", _running_for),
    ("Load", _load),
    ("Memory", _memory),
    ("Swap", _swap),
    ("Disk", _disks),
    ("Clock", _clock),
)
"""Each label with the function that writes its text: None when it is not known, several texts by what they are of."""
