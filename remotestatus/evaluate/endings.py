"""
Says what ended a process that is missing for the first time: the service that ran it, and what systemd says of that.

The check results of the round before and of this one come in; the services to ask about go out, and what they answer
becomes the evidence of the trouble, which stays with it until the process runs again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from remotestatus_playbook.protocol import UnitOutput

from remotestatus.evaluate.watching import describe_unit
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.memory import Memory
from remotestatus.model.text import one_line

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
        process: one_line(f"{unit}: {describe_unit(by_unit[unit])}")
        for process, unit in units.items()
        if unit in by_unit
    }
    memory = replace(result.memory, endings={**result.memory.endings, **endings})
    troubles = tuple(_with_ending(trouble, endings) for trouble in result.troubles)
    return replace(result, troubles=troubles, memory=memory)


def _with_ending(trouble: Trouble, endings: Mapping[str, str]) -> Trouble:
    if trouble.cause is Cause.PROCESS_MISSING and trouble.what in endings:
        return replace(trouble, detail=endings[trouble.what])
    return trouble


def say_ending(process: str, memory: Memory) -> str:
    """What is known of how a missing process ended."""
    if process in memory.endings:
        return memory.endings[process]
    if memory.new_oom_kills:
        killed = "1 process was" if memory.new_oom_kills == 1 else f"{memory.new_oom_kills} processes were"
        return f"{killed} killed for lack of memory since the last round"
    return ""
