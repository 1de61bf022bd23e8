"""
Turns what a playbook learned about one remote into one CheckResult.

Takes the remote and the playbook's answer for it (a dictionary, or nothing at all) and returns a CheckResult, whatever
the answer is: no answer gives one too. Processes of a remote that could not be checked are unknown, never "not
running".
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from remotestatus.evaluate.diagnosis import diagnose, explain
from remotestatus.evaluate.limits import examine_checks, examine_limits
from remotestatus.evaluate.process_matching import match
from remotestatus.evaluate.resources import read_facts
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Finding, Trouble
from remotestatus.model.facts import Facts
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.processes import Process, ProcessResult
from remotestatus.model.text import one_line


def read_remote(remote: Remote, answer: Mapping[str, Any] | None, at: datetime) -> CheckResult:
    """Make the CheckResult of one remote from the playbook's answer; `answer` is None when none came."""
    blank = CheckResult(name=remote.name, at=at, processes=match(remote.settings.processes, None))
    if answer is None:
        return replace(blank, troubles=(explain(Cause.NOT_CHECKED, remote),))
    attempts = _whole(answer.get("attempts")) or 1
    outcome = answer.get("outcome")
    if outcome != "answered":
        trouble = diagnose(remote, answer)
        return replace(blank, troubles=(trouble,), attempts=attempts)
    facts = answer.get("facts")
    if not isinstance(facts, Mapping):
        return replace(blank, troubles=(diagnose(remote, answer),), attempts=attempts)
    try:
        return _read_facts(remote, answer, facts, at, attempts)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A worker with another version of the playbook may answer in another shape. That is our fault, and one
        # remote's answer must not cost the others their round.
        detail = one_line(f"its answer could not be read: {error}")
        return replace(blank, troubles=(explain(Cause.CHECKER_ERROR, remote, detail=detail),), attempts=attempts)


def read_proxy(proxy: Proxy, answer: Mapping[str, Any] | None, at: datetime) -> CheckResult:
    """Make the CheckResult of one proxy from the playbook's answer; `answer` is None when none came."""
    blank = CheckResult(name=proxy.name, at=at)
    if answer is None:
        return replace(blank, troubles=(explain(Cause.NOT_CHECKED, proxy),))
    attempts = _whole(answer.get("attempts")) or 1
    if answer.get("outcome") == "answered":
        return replace(blank, connect_ms=_whole(answer.get("connect_ms")), attempts=attempts)
    return replace(blank, troubles=(diagnose(proxy, answer),), attempts=attempts)


def _read_facts(
    remote: Remote,
    answer: Mapping[str, Any],
    raw: Mapping[str, Any],
    at: datetime,
    attempts: int,
) -> CheckResult:
    # Thousands of remotes have hundreds of processes each: they are read one remote at a time, and not kept.
    specs = remote.settings.processes
    results = match(specs, processes_of(raw) if specs else None, complete=bool(raw.get("processes_complete", True)))
    facts = read_facts(raw, answer.get("asked_at"), answer.get("answered_at"))
    findings = (
        *examine_limits(remote.settings.limits, facts),
        *examine_checks(remote.settings.checks, raw.get("checks")),
    )
    return CheckResult(
        name=remote.name,
        at=at,
        troubles=tuple(_find_troubles(remote, results, findings, facts)),
        connect_ms=_whole(answer.get("connect_ms")),
        processes=results,
        findings=findings,
        facts=facts,
        attempts=attempts,
    )


def _find_troubles(
    remote: Remote, results: Sequence[ProcessResult], findings: Sequence[Finding], facts: Facts
) -> Iterator[Trouble]:
    """What is wrong on a remote that was reached, the most telling first."""
    if any(result.running is None for result in results):
        note = one_line("; ".join(facts.notes) or "it has neither /proc nor a working ps")
        yield explain(Cause.CHECK_FAILED, remote, names=["its processes could not all be listed"], detail=note)
    wrong = {
        Cause.PROCESS_MISSING: [_write_count(result) for result in results if result.missing],
        Cause.PROCESS_EXCESS: [_write_count(result) for result in results if result.excess],
        Cause.LIMIT_EXCEEDED: [finding.sentence for finding in findings if finding.kind == "limit" and not finding.ok],
        Cause.CHECK_FAILED: [finding.sentence for finding in findings if finding.kind == "check" and not finding.ok],
    }
    yield from (explain(cause, remote, names=names) for cause, names in wrong.items() if names)


def _write_count(result: ProcessResult) -> str:
    """A process's name, with its number where that says more."""
    if result.excess:
        return f"{result.name} ({result.count} run, at most {result.max} wanted)"
    if result.min > 1:
        return f"{result.name} ({result.count} of {result.min})"
    return result.name


def processes_of(facts: Mapping[str, Any]) -> tuple[Process, ...] | None:
    """Every process that a remote's answer lists, or None when it could not list them."""
    raw = facts.get("processes")
    if not isinstance(raw, list):
        return None
    return tuple(
        Process(
            pid=int(entry["pid"]),
            ppid=int(entry.get("ppid") or 0),
            user=str(entry.get("user") or ""),
            state=str(entry.get("state") or ""),
            started=_whole(entry.get("started")),
            rss_kb=_whole(entry.get("rss_kb")),
            argv=tuple(str(argument) for argument in entry.get("argv") or ()),
            exact=bool(entry.get("exact")),
            kernel=bool(entry.get("kernel")),
            own=bool(entry.get("own")),
        )
        for entry in raw
    )


def _whole(value: object) -> int | None:
    return round(value) if isinstance(value, int | float) and math.isfinite(value) else None
