"""
Compares the files, systemd units and devices of a remote with what the inventory wants of them.

Each gives a FileResult, UnitResult or DeviceResult, good ones too. One that could not be examined is unknown, not bad.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from remotestatus_playbook.protocol import DeviceOutput, FileOutput, UnitOutput

from remotestatus.model.durations import say_duration, write_duration
from remotestatus.model.facts import Facts
from remotestatus.model.inventory_variables import DeviceSpec, FileSpec, UnitSpec
from remotestatus.model.text import count, say_bytes
from remotestatus.model.times import say_date
from remotestatus.model.untrusted_text import one_line
from remotestatus.model.watched import DeviceResult, FileResult, UnitResult

FORGIVEN = timedelta(hours=24)
"""How far in the future a file's time may be and still count as new, because clocks differ."""


def examine_files(specs: Sequence[FileSpec], outputs: Sequence[FileOutput]) -> tuple[FileResult, ...]:
    """Compare each file with what is wanted of it."""
    by_name = {output.name: output for output in outputs}
    return tuple(_examine_file(spec, by_name.get(spec.title)) for spec in specs)


def _examine_file(spec: FileSpec, output: FileOutput | None) -> FileResult:
    name, path, severity = spec.title, spec.path, spec.severity
    if output is None:
        return FileResult(name, path, None, "could not be looked at in time", severity)
    if output.hidden:
        return FileResult(name, path, None, "the account may not look there", severity)
    if not output.count:
        return FileResult(name, path, ok=False, sentence="missing", severity=severity, count=0)
    wrong = [*_too_old(spec, output), *_too_small(spec, output)]
    unknown = (spec.newer_than is not None and output.age_seconds is None) or (
        spec.min_size is not None and output.size is None
    )
    ok = False if wrong else None if unknown else True
    sentence = ", ".join(wrong) or ("its time or size is not known" if unknown else _describe(output))
    return FileResult(name, path, ok, sentence, severity, output.count, output.age_seconds, output.size)


def _too_old(spec: FileSpec, output: FileOutput) -> Iterator[str]:
    if spec.newer_than is None or output.age_seconds is None:
        return
    wanted = f"wanted: newer than {write_duration(spec.newer_than)}"
    if output.age_seconds > spec.newer_than.total_seconds():
        yield f"{_age(output.age_seconds)} old ({wanted})"
    elif output.age_seconds < -FORGIVEN.total_seconds():
        yield f"from {_age(-output.age_seconds)} in the future ({wanted})"


def _too_small(spec: FileSpec, output: FileOutput) -> Iterator[str]:
    if spec.min_size is not None and output.size is not None and output.size < spec.min_size:
        yield f"{say_bytes(output.size)} large (wanted: at least {say_bytes(spec.min_size)})"


def _describe(output: FileOutput) -> str:
    size = "" if output.size is None else f", {say_bytes(output.size)} large"
    age = "there" if output.age_seconds is None else f"{_age(output.age_seconds)} old"
    return age + size + (f", the newest of {output.count}" if output.count > 1 else "")


def _age(seconds: float) -> str:
    return say_duration(timedelta(seconds=min(max(seconds, 0.0), 1e12)))


def examine_units(
    specs: Sequence[UnitSpec],
    outputs: Sequence[UnitOutput] | None,
    facts: Facts,
    before: Sequence[UnitResult] = (),
) -> tuple[UnitResult, ...]:
    """
    Compare each unit with what is wanted of it, and with the round `before`.

    `outputs` is None when systemd did not answer.
    """
    restarts = {one.unit: one.restarts for one in before}
    by_name = {output.unit: output for output in outputs or ()}
    # systemctl answers in the order in which it was asked, and an alias under another name.
    asked = [spec.unit for spec in specs if spec.unit]
    if outputs is not None and len(asked) == len(outputs):
        by_name |= dict(zip(asked, outputs, strict=True))
    results = [
        _examine_unit(spec, by_name.get(spec.unit), restarts.get(spec.title), known=outputs is not None)
        for spec in specs
        if spec.unit
    ]
    for spec in specs:
        if spec.failed is not None:
            results += _examine_failed(spec, facts.failed_units, asked)
    return tuple(results)


RESTARTS = 3
"""A service with this many restarts since the last round counts as not running."""


def _examine_unit(spec: UnitSpec, output: UnitOutput | None, before: int | None, *, known: bool) -> UnitResult:
    name = spec.title
    if output is None:
        said = "systemd said nothing of it" if known else "systemd was not there, or did not answer"
        return UnitResult(name, None, said, spec.severity)
    new = 0 if output.restarts is None or before is None else output.restarts - before
    again = f", {new} of them since the last round" if new >= RESTARTS else ""
    return UnitResult(
        unit=name,
        ok=_is_right(output) and not again,
        sentence=describe_unit(output, again=again),
        severity=spec.severity,
        active=one_line(output.active, 30),
        sub=one_line(output.sub, 30),
        result=one_line(output.result, 30),
        restarts=output.restarts,
        since_seconds=output.since_seconds,
    )


def _is_right(output: UnitOutput) -> bool:
    """
    Whether a unit is in order: active, or between two runs that something else starts (systemd.timer(5)).

    `activating (auto-restart)` is a service that has just ended and waits to be started again.
    """
    if output.load != "loaded":
        return False
    if output.active in ("active", "reloading", "refreshing"):
        return True
    if output.active == "activating":
        return output.sub != "auto-restart"
    return output.active == "inactive" and output.triggered and output.result in ("success", "")


_RESULTS = {
    "oom-kill": "killed by the OOM killer",
    "watchdog": "ended by its watchdog",
    "start-limit-hit": "started too often, and given up",
    "timeout": "did not start or stop in time",
}


def describe_unit(output: UnitOutput, at: datetime | None = None, *, again: str = "") -> str:
    """
    Describe a unit in a few words: `failed, killed by the OOM killer, started again 57 times, for 3 min`.

    With `at`, for text that is kept beyond its round, it gives the date: `since 2026-03-01 03:12 UTC`.
    """
    if output.load == "not-found":
        return "there is no such unit"
    if output.load not in ("loaded", ""):
        return one_line(output.load, 30)
    sub = f" ({output.sub})" if output.sub not in ("", output.active) else ""
    words = one_line(output.active + sub, 60)
    how = _RESULTS.get(output.result, "" if output.result in ("success", "") else one_line(output.result, 30))
    if output.result == "exit-code" and output.exit_status is not None:
        how = f"ended with exit code {output.exit_status}"
    elif output.result in ("signal", "core-dump") and output.exit_status is not None:
        how = f"ended by signal {output.exit_status}"
    restarts = f"started again {count(output.restarts, 'time')}{again}" if output.restarts else ""
    since = "" if output.since_seconds is None else f"for {_age(output.since_seconds)}"
    if at and since:
        since = f"since {say_date(at - timedelta(seconds=min(output.since_seconds or 0.0, 1e9)))}"
    return ", ".join(part for part in (words, how, restarts, since) if part)


def _examine_failed(spec: UnitSpec, failed: Sequence[str] | None, asked: Sequence[str]) -> Iterator[UnitResult]:
    if failed is None:
        yield UnitResult(spec.title, None, "systemd was not there, or did not answer", spec.severity)
        return
    if not failed:
        yield UnitResult(spec.title, ok=True, sentence="none", severity=spec.severity)
    for unit in failed:
        if unit not in asked:
            yield UnitResult(one_line(unit, 255), ok=False, sentence="failed", severity=spec.severity, active="failed")


def examine_devices(
    specs: Sequence[DeviceSpec], outputs: Sequence[DeviceOutput], at: datetime
) -> tuple[DeviceResult, ...]:
    """Report for each device whether it could be connected to, how fast, and how long its certificate is valid."""
    by_name = {output.name: output for output in outputs}
    return tuple(_examine_device(spec, by_name.get(spec.title), at) for spec in specs)


def _examine_device(spec: DeviceSpec, output: DeviceOutput | None, at: datetime) -> DeviceResult:
    ok: bool | None = None
    sentence = "it was not asked in this round"
    if output is not None:
        ok, sentence = _assess_device(spec, output, at)
    return DeviceResult(
        name=spec.title,
        host=spec.host,
        port=spec.port,
        ok=ok,
        sentence=sentence,
        severity=spec.severity,
        connect_ms=output.connect_ms if output else None,
        certificate_until=output.certificate_until if output else None,
    )


def _assess_device(spec: DeviceSpec, output: DeviceOutput, at: datetime) -> tuple[bool | None, str]:
    error = one_line(output.error, 200)
    if not output.connected:
        return output.connected, error or "no answer"
    answered = f"answers in {output.connect_ms} ms" if output.connect_ms is not None else "answers"
    if not spec.tls:
        return True, answered
    if output.certificate_until is None:
        return False, f"{answered}, {error or 'its certificate cannot be read'}"
    left = output.certificate_until - at.timestamp()
    if left < 0:
        return False, f"{answered}, its certificate has expired {_age(-left)} ago"
    return True, f"{answered}, its certificate is good for {_age(left)}"
