"""
Compares a remote's resources with its limits, and reads what its custom checks said.

Facts, Limits and the checks' plain results come in; one Finding per limit and check goes out, good ones too, because
the page shows both. What could not be measured is no Finding against a limit, but a check that did not answer failed.
"""

from collections.abc import Iterator, Sequence

from remotestatus_playbook.protocol import CheckOutput

from remotestatus.model.check_result import Finding
from remotestatus.model.facts import Facts
from remotestatus.model.settings import CheckSpec, Limits

_WORDS = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}


def examine_limits(limits: Limits, facts: Facts) -> tuple[Finding, ...]:
    """Compare every limit with what the remote said."""
    return tuple(_limits(limits, facts))


def _limits(limits: Limits, facts: Facts) -> Iterator[Finding]:
    for disk in facts.disks or ():
        bound = limits.disk.get(disk.mount, limits.disk.get("*"))
        if bound is not None:
            yield _share(f"disk {disk.mount}", disk.percent, bound)
    seen = {disk.mount for disk in facts.disks or ()}
    if facts.disks is not None:
        for mount in limits.disk:
            if mount != "*" and mount not in seen:
                yield Finding("limit", f"disk {mount}", ok=False, value="not mounted", wanted="limit set")
    elif limits.disk:
        yield Finding("limit", "disk", ok=False, value="could not be read", wanted="df gave no answer")
    if limits.memory is not None and facts.memory_total_kb and facts.memory_available_kb is not None:
        used = 100 * (1 - facts.memory_available_kb / facts.memory_total_kb)
        yield _share("memory", used, limits.memory)
    if limits.swap is not None and facts.swap_total_kb and facts.swap_free_kb is not None:
        yield _share("swap", 100 * (1 - facts.swap_free_kb / facts.swap_total_kb), limits.swap)
    if limits.load is not None and facts.load and len(facts.load) > 1:
        load = facts.load[1] / (facts.cpus or 1)
        yield Finding("limit", "load", load <= limits.load, f"{load:.2f} per CPU", f"limit {limits.load:g}")
    if limits.clock is not None and facts.clock_offset_seconds is not None:
        off = facts.clock_offset_seconds
        bound_seconds = limits.clock.total_seconds()
        yield Finding("limit", "clock", abs(off) <= bound_seconds, f"{off:+.0f} s", f"limit {bound_seconds:g} s")


def _share(name: str, used: float, bound: float) -> Finding:
    return Finding("limit", name, used <= bound, f"{used:.0f} %", f"limit {bound:g} %")


def examine_checks(specs: Sequence[CheckSpec], outputs: Sequence[CheckOutput]) -> tuple[Finding, ...]:
    """
    Read each custom check's exit code and text.

    Follows the Nagios plugin convention: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; text up to `|`, perfdata behind it.
    """
    by_name = {output.name: output for output in outputs}
    return tuple(_check(spec, by_name.get(spec.name)) for spec in specs)


def _check(spec: CheckSpec, output: CheckOutput | None) -> Finding:
    if output is None:
        return Finding("check", spec.name, ok=False, value="gave no answer")
    if output.exit is None:
        return Finding("check", spec.name, ok=False, value=f"did not end within {spec.timeout.total_seconds():g} s")
    lines = output.output.strip().splitlines() or [""]
    text, _, perfdata = lines[0].partition("|")
    word = _WORDS.get(output.exit, f"exit code {output.exit}")
    value = text.strip() or word
    if output.exit != 0 and not value.upper().startswith(word):
        value = f"{word}: {value}" if text.strip() else word
    return Finding("check", spec.name, ok=output.exit == 0, value=value[:500], perfdata=perfdata.strip()[:1000])
