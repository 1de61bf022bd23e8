"""
Compares a remote's resources with its limits, and reads the results of its custom checks.

Each limit and check gives one Finding, good ones too, because the page shows both. A value that was not measured gives
none; a check that did not answer has failed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import gt, lt

from remotestatus_playbook.protocol import CheckOutput

from remotestatus.model.check_result import Finding
from remotestatus.model.durations import say_duration, write_duration
from remotestatus.model.facts import Disk, Facts
from remotestatus.model.inventory_variables import Bounds, CheckSpec, Limits
from remotestatus.model.status_words import NagiosState, Severity

AnyBounds = Bounds[float] | Bounds[timedelta]


@dataclass(frozen=True, slots=True)
class _Limit:
    """
    How a limit's value is read from the facts (None: not known), and how value and bound are written.

    `none_there` says of facts without a value that there is nothing to be measured, as swap on a remote that has none.
    """

    read: Callable[[Facts], float | None]
    value: str = "{:.0f} %"
    bound: str = "{:g} %"
    none_there: Callable[[Facts], bool] = lambda _: False

    def compare(self, name: str, value: float, bounds: AnyBounds) -> Finding:
        """Make the finding for one value; its sign is ignored."""
        severity = _severity(abs(value), gt, bounds)
        wanted = self._write_bounds(_number(bounds.warning), _number(bounds.critical))
        return _finding(name, round(value, 3), bounds, severity, self.value.format(value), wanted)

    def _write_bounds(self, warning: float | None, critical: float | None) -> str:
        if warning is None or critical is None:
            return f"limit {self.bound.format(warning if critical is None else critical)}"
        return f"warning {self.bound.format(warning)}, critical {self.bound.format(critical)}"


def _number(bound: float | timedelta | None) -> float | None:
    return bound.total_seconds() if isinstance(bound, timedelta) else bound


def _severity(value: float, is_past: Callable[[float, float], bool], bounds: AnyBounds) -> Severity | None:
    warning, critical = _number(bounds.warning), _number(bounds.critical)
    if critical is not None and is_past(value, critical):
        return Severity.CRITICAL
    return Severity.WARNING if warning is not None and is_past(value, warning) else None


def _finding(
    name: str, number: float, bounds: AnyBounds, severity: Severity | None, value: str, wanted: str, subject: str = ""
) -> Finding:
    return Finding(
        "limit",
        name,
        ok=severity is None,
        value=value,
        wanted=wanted,
        severity=severity or Severity.WARNING,
        number=number,
        warning=_number(bounds.warning),
        critical=_number(bounds.critical),
        subject=subject,
    )


LIMITS: Mapping[str, _Limit] = {
    "memory": _Limit(lambda facts: facts.memory_percent),
    "swap": _Limit(lambda facts: facts.swap_percent, none_there=lambda facts: facts.swap_total_kb is not None),
    "load": _Limit(
        lambda facts: facts.load[1] / (facts.cpus or 1) if facts.load and len(facts.load) > 1 else None,
        value="{:.2f} per CPU",
        bound="{:g}",
    ),
    "clock": _Limit(lambda facts: facts.clock_offset_seconds, value="{:+.0f} s", bound="{:g} s"),
    "temperature": _Limit(lambda facts: facts.temperature_celsius, value="{:.0f} °C", bound="{:g} °C"),
}
"""Every limit of the settings that has one value, by its name there."""

MOUNT_LIMITS: Mapping[str, Callable[[Disk], float | None]] = {
    "disk": lambda disk: disk.percent,
    "inodes": lambda disk: disk.inodes_percent,
}
"""The limits that have a value for each mount point."""

_SHARE = _Limit(lambda _: None)


def examine_limits(limits: Limits, facts: Facts) -> tuple[Finding, ...]:
    """Compare every limit with what the remote reported."""
    return (
        *_examine_mounts("disk", limits.disk, facts),
        *_examine_mounts("inodes", limits.inodes, facts),
        *_examine_values(limits, facts),
    )


def _examine_values(limits: Limits, facts: Facts) -> Iterator[Finding]:
    for name, limit in LIMITS.items():
        bounds: AnyBounds | None = getattr(limits, name)
        value = limit.read(facts)
        if bounds is not None and value is not None:
            yield limit.compare(name, value, bounds)


def _examine_mounts(name: str, bounds: Mapping[str, Bounds[float]], facts: Facts) -> Iterator[Finding]:
    if facts.disks is None:
        if bounds:
            yield Finding("limit", name, ok=False, value="could not be read", wanted="df gave no answer")
        return
    for disk in facts.disks:
        bound, value = bounds.get(disk.mount, bounds.get("*")), MOUNT_LIMITS[name](disk)
        if bound is not None and value is not None:
            yield _SHARE.compare(f"{name} {disk.mount}", value, bound)
    mounted = {disk.mount for disk in facts.disks}
    for mount in bounds:
        if mount != "*" and mount not in mounted:
            yield Finding("limit", f"{name} {mount}", ok=False, value="not mounted", wanted="limit set")


def examine_trends(limits: Limits, days_left: Mapping[str, float]) -> Iterator[Finding]:
    """Compare the time until each disk is full with its limit; a disk without a trend is skipped."""
    bounds = limits.disk_full_within
    if bounds is None:
        return
    known = {word: bound for word in Severity if (bound := getattr(bounds, word))}
    wanted = " and ".join(f"{word} within {write_duration(bound)}" for word, bound in known.items())
    for mount, days in days_left.items():
        seconds = days * 86400
        value = f"is full in about {say_duration(timedelta(days=days))} at this rate"
        name, severity = f"disk_full_within {mount}", _severity(seconds, lt, bounds)
        yield _finding(name, round(seconds), bounds, severity, value, wanted, subject=f"disk {mount}")


def examine_checks(specs: Sequence[CheckSpec], outputs: Sequence[CheckOutput]) -> tuple[Finding, ...]:
    """
    Read each custom check's exit code and text.

    Follows the Nagios plugin convention: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; text up to `|`, perfdata behind it. A
    check that does not end in time is critical as in Nagios; any other exit code is a warning, as UNKNOWN is.
    """
    by_name = {output.name: output for output in outputs}
    return tuple(_examine_check(spec, by_name.get(spec.name)) for spec in specs)


_NAGIOS_WORDS = {state.value: state.name for state in NagiosState}


def _examine_check(spec: CheckSpec, output: CheckOutput | None) -> Finding:
    if output is None:
        return Finding("check", spec.name, ok=False, value="gave no answer")
    if output.exit is None:
        value = f"did not end within {spec.timeout.total_seconds():g} s"
        return Finding("check", spec.name, ok=False, value=value, severity=Severity.CRITICAL)
    lines = output.output.strip().splitlines() or [""]
    text, _, perfdata = lines[0].partition("|")
    word = _NAGIOS_WORDS.get(output.exit, f"exit code {output.exit}")
    value = text.strip() or word
    if output.exit != 0 and not value.upper().startswith(word):
        value = f"{word}: {value}" if text.strip() else word
    return Finding(
        "check",
        spec.name,
        ok=output.exit == 0,
        value=value[:500],
        perfdata=perfdata.strip()[:1000],
        exit=output.exit,
        severity=Severity.CRITICAL if output.exit == NagiosState.CRITICAL else Severity.WARNING,
    )
