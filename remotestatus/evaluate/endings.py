"""
Says what ended a process that is missing for the first time: the service that ran it, what systemd says of that, and
what it logged last.

The check results of the round before and of this one come in; the services to ask about go out, and what they answer
becomes the evidence of the trouble, which stays with it until the process runs again.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime

from remotestatus_playbook.protocol import UnitOutput

from remotestatus.evaluate.watching import describe_unit
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.memory import Memory
from remotestatus.model.text import one_line
from remotestatus.model.times import say_date

LINE = 200
"""Characters that are kept of a log line."""

SIGKILL = 9
"""The number of the signal by which the kernel ends what it kills for lack of memory."""

MOST = 5
"""Services of one remote that are asked about in one round."""


def units_of_missing(last: CheckResult | None, result: CheckResult) -> dict[str, str]:
    """The service that ran each process which is missing now and was not in the round before, by the process's name."""
    ran = {one.name: one for one in last.processes} if last else {}
    found: dict[str, str] = {}
    for process in result.processes:
        units = [one.unit for one in ran[process.name].matched if one.unit] if process.name in ran else []
        if process.missing and units and len(found) < MOST:
            found[process.name] = units[0]
    return found


def add_endings(result: CheckResult, units: Mapping[str, str], outputs: Sequence[UnitOutput] | None) -> CheckResult:
    """The check result with what systemd says of the services that ran its missing processes."""
    by_unit = {output.unit: output for output in outputs or ()}
    endings = {
        process: _say_ending(by_unit[unit], result, result.memory.endings.get(process))
        for process, unit in units.items()
        if unit in by_unit
    }
    lines = {
        process: tuple(one_line(line, LINE) for line in by_unit[unit].log)
        for process, unit in units.items()
        if unit in by_unit and by_unit[unit].log
    }
    known = result.memory
    memory = replace(known, endings={**known.endings, **endings}, last_lines={**known.last_lines, **lines})
    troubles = tuple(with_ending(trouble, memory) for trouble in result.troubles)
    return replace(result, troubles=troubles, memory=memory)


def _say_ending(output: UnitOutput, result: CheckResult, kills: str | None) -> str:
    """What systemd says, and after a SIGKILL the kernel's count: before cgroups v2 systemd does not know of it."""
    said = one_line(f"{output.unit}: {describe_unit(output, result.at)}")
    return f"{said}; {kills}" if kills and output.result == "signal" and output.exit_status == SIGKILL else said


def keep_endings(memory: Memory, last: CheckResult | None, missing: AbstractSet[str], at: datetime) -> Memory:
    """
    A new memory with what is known of how the processes have ended that are still missing.

    Of those that are missing for the first time it says whether processes were killed for lack of memory.
    """
    known = last.memory if last else Memory()
    endings = {name: said for name, said in known.endings.items() if name in missing}
    if memory.new_oom_kills:
        killed = "1 process was" if memory.new_oom_kills == 1 else f"{memory.new_oom_kills} processes were"
        missed = {one.name for one in last.processes if one.missing} if last else set()
        endings |= dict.fromkeys(missing - missed, f"{killed} killed for lack of memory before {say_date(at)}")
    lines = {name: said for name, said in known.last_lines.items() if name in missing}
    return replace(memory, endings=endings, last_lines=lines)


def with_ending(trouble: Trouble, memory: Memory) -> Trouble:
    """The trouble with what is known of how the process has ended that it misses."""
    if trouble.cause is not Cause.PROCESS_MISSING:
        return trouble
    return replace(trouble, detail=memory.endings.get(trouble.what, ""), log=memory.last_lines.get(trouble.what, ()))
