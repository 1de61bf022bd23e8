"""
Turns the playbook's answer for one remote or proxy into its CheckResult.

Takes the remote and the answer, or None when there is none: no answer is a CheckResult too. What it says of processes
is None wherever the remote could not be probed, never "not running".
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from remotestatus_playbook.protocol import Outcome, ProxyAnswer, RemoteAnswer

from remotestatus.evaluate.diagnosis import diagnose, explain
from remotestatus.evaluate.limits import examine_checks, examine_limits
from remotestatus.evaluate.process_matching import ProcessRule, match, words_of
from remotestatus.model.check_result import CheckResult, Finding, Trouble
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.processes import ProcessResult
from remotestatus.model.settings import ProcessSpec
from remotestatus.model.statuses import Cause
from remotestatus.model.text import one_line


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


def read_remote(remote: Remote, answer: RemoteAnswer | None, at: datetime) -> CheckResult:
    """Make the CheckResult of one remote from the playbook's answer; `answer` is None when none came."""
    rules = tuple(rule_of(spec) for spec in remote.settings.processes)
    blank = CheckResult(name=remote.name, at=at, processes=match(rules, None))
    if answer is None:
        return replace(blank, troubles=(explain(Cause.NOT_CHECKED, remote=remote),))
    if answer.outcome is not Outcome.ANSWERED or answer.facts is None:
        return replace(blank, troubles=(diagnose(remote, answer),), attempts=answer.attempts)
    # Thousands of remotes have hundreds of processes each: they are matched one remote at a time, and not kept.
    results = match(rules, answer.processes, complete=answer.processes_complete)
    findings = (
        *examine_limits(remote.settings.limits, answer.facts),
        *examine_checks(remote.settings.checks, answer.checks),
    )
    return CheckResult(
        name=remote.name,
        at=at,
        troubles=tuple(_troubles(remote, results, findings, answer.facts.notes)),
        connect_ms=answer.connect_ms,
        processes=results,
        findings=findings,
        facts=answer.facts,
        attempts=answer.attempts,
    )


def read_proxy(proxy: Proxy, answer: ProxyAnswer | None, at: datetime) -> CheckResult:
    """Make the CheckResult of one proxy from the playbook's answer; `answer` is None when none came."""
    blank = CheckResult(name=proxy.name, at=at)
    if answer is None:
        return replace(blank, troubles=(explain(Cause.NOT_CHECKED, proxy=proxy),))
    if answer.outcome is Outcome.ANSWERED:
        return replace(blank, connect_ms=answer.connect_ms, attempts=answer.attempts)
    return replace(blank, troubles=(diagnose(proxy, answer),), attempts=answer.attempts)


def _troubles(
    remote: Remote, results: Sequence[ProcessResult], findings: Sequence[Finding], notes: Sequence[str]
) -> Iterator[Trouble]:
    """Everything that is wrong with a remote that answered, the most telling first."""
    if any(result.running is None for result in results):
        note = "; ".join(notes) or "it has neither /proc nor a working ps"
        names = ["its processes could not all be listed"]
        yield explain(Cause.CHECK_FAILED, remote=remote, names=names, detail=one_line(note))
    missing = [_wanted(result) for result in results if result.missing]
    excess = [_wanted(result) for result in results if result.excess]
    over = [finding.sentence for finding in findings if finding.kind == "limit" and not finding.ok]
    failed = [finding.sentence for finding in findings if finding.kind == "check" and not finding.ok]
    for cause, wrong in (
        (Cause.PROCESS_MISSING, missing),
        (Cause.PROCESS_EXCESS, excess),
        (Cause.LIMIT_EXCEEDED, over),
        (Cause.CHECK_FAILED, failed),
    ):
        if wrong:
            yield explain(cause, remote=remote, names=wrong)


def _wanted(result: ProcessResult) -> str:
    if result.excess:
        return f"{result.name} ({result.count} run, at most {result.max} wanted)"
    if result.min > 1:
        return f"{result.name} ({result.count} of {result.min})"
    return result.name
