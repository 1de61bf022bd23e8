"""
Turns what a playbook learned about one remote into one Reading.

Takes the remote and the playbook's answer for it (a dictionary, or nothing at all) and returns a Reading, whatever the
answer is: silence is a reading too. What a reading says about processes is None wherever the remote could not be
looked at, never "not running". No clock and no files.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from remotestatus.diagnosis import Trouble, diagnose, explain
from remotestatus.facts import Facts, read_facts
from remotestatus.limits import Finding, examine_checks, examine_limits
from remotestatus.processes import Process, ProcessResult, ProcessRule, match, words_of
from remotestatus.remote import Proxy, Remote
from remotestatus.settings import ProcessSpec
from remotestatus.status import Cause, Status
from remotestatus.text import one_line


@dataclass(frozen=True, slots=True)
class Reading:
    """
    What one round learned about one remote.

    `troubles` holds everything that is wrong, the most telling first; empty means up. `connect_ms` is the time from
    start to a finished log-in in milliseconds, None when there was none.
    """

    name: str
    at: datetime
    troubles: tuple[Trouble, ...] = ()
    connect_ms: int | None = None
    processes: tuple[ProcessResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    facts: Facts = field(default_factory=Facts)
    attempts: int = 1

    @property
    def trouble(self) -> Trouble | None:
        """The most telling thing that is wrong, or None."""
        return self.troubles[0] if self.troubles else None

    @property
    def status(self) -> Status:
        """The status that follows from the first trouble."""
        return self.troubles[0].cause.status if self.troubles else Status.UP

    @property
    def running_all(self) -> bool | None:
        """Whether all its processes run; None when that is unknown or none are asked for."""
        if not self.processes or any(result.running is None for result in self.processes):
            return None
        return not any(result.missing or result.excess for result in self.processes)


def rule_of(spec: ProcessSpec) -> ProcessRule:
    """The matcher's rule for a process as the inventory writes it."""
    return ProcessRule(
        name=spec.title,
        words=words_of(spec.words) if spec.words else None,
        command=spec.command,
        regex=spec.regex,
        contains=spec.contains,
        user=spec.user,
        min=spec.min,
        max=spec.max,
    )


def read_remote(remote: Remote, answer: Mapping[str, Any] | None, at: datetime) -> Reading:
    """Make the Reading of one remote from the playbook's answer; `answer` is None when none came."""
    rules = tuple(rule_of(spec) for spec in remote.settings.processes)
    blank = Reading(name=remote.name, at=at, processes=match(rules, None))
    if answer is None:
        return replace(blank, troubles=(explain(Cause.NOT_CHECKED, remote=remote),))
    attempts = _whole(answer.get("attempts")) or 1
    outcome = answer.get("outcome")
    if outcome != "answered":
        trouble = diagnose(remote, answer)
        return replace(blank, troubles=(trouble,), attempts=attempts)
    facts = answer.get("facts")
    if not isinstance(facts, Mapping):
        return replace(blank, troubles=(diagnose(remote, answer),), attempts=attempts)
    try:
        return _read_facts(remote, rules, answer, facts, at, attempts)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A worker with another version of the playbook may answer in another shape. That is our fault, and one
        # remote's answer must not cost the others their round.
        detail = one_line(f"its answer could not be read: {error}")
        return replace(blank, troubles=(explain(Cause.CHECKER_ERROR, remote=remote, detail=detail),), attempts=attempts)


def read_proxy(proxy: Proxy, answer: Mapping[str, Any] | None, at: datetime) -> Reading:
    """Make the Reading of one proxy from the playbook's answer; `answer` is None when none came."""
    blank = Reading(name=proxy.name, at=at)
    if answer is None:
        return replace(blank, troubles=(explain(Cause.NOT_CHECKED, proxy=proxy),))
    attempts = _whole(answer.get("attempts")) or 1
    if answer.get("outcome") == "answered":
        return replace(blank, connect_ms=_whole(answer.get("connect_ms")), attempts=attempts)
    return replace(blank, troubles=(diagnose(proxy, answer),), attempts=attempts)


def _read_facts(
    remote: Remote,
    rules: Sequence[ProcessRule],
    answer: Mapping[str, Any],
    raw: Mapping[str, Any],
    at: datetime,
    attempts: int,
) -> Reading:
    # Thousands of remotes have hundreds of processes each: they are looked through one remote at a time, and not kept.
    results = match(rules, processes_of(raw) if rules else None, complete=bool(raw.get("processes_complete", True)))
    facts = read_facts(raw, answer.get("asked_at"), answer.get("answered_at"))
    findings = (
        *examine_limits(remote.settings.limits, facts),
        *examine_checks(remote.settings.checks, raw.get("checks")),
    )
    troubles: list[Trouble] = []
    missing = [result for result in results if result.missing]
    excess = [result for result in results if result.excess]
    if any(result.running is None for result in results):
        note = "; ".join(facts.notes) or "it has neither /proc nor a working ps"
        names = ["its processes could not all be listed"]
        troubles.append(explain(Cause.CHECK_FAILED, remote=remote, names=names, detail=one_line(note)))
    if missing:
        troubles.append(explain(Cause.PROCESS_MISSING, remote=remote, names=[_wanted(result) for result in missing]))
    if excess:
        troubles.append(explain(Cause.PROCESS_EXCESS, remote=remote, names=[_wanted(result) for result in excess]))
    for cause, kind in ((Cause.LIMIT_EXCEEDED, "limit"), (Cause.CHECK_FAILED, "check")):
        failed = [finding for finding in findings if finding.kind == kind and not finding.ok]
        if failed:
            troubles.append(explain(cause, remote=remote, names=[finding.sentence for finding in failed]))
    return Reading(
        name=remote.name,
        at=at,
        troubles=tuple(troubles),
        connect_ms=_whole(answer.get("connect_ms")),
        processes=results,
        findings=findings,
        facts=facts,
        attempts=attempts,
    )


def _wanted(result: ProcessResult) -> str:
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
