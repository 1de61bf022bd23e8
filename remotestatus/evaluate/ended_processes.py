"""
Says what ended a process that is missing for the first time: the service that ran it, what systemd says of that, and
what it logged last.

It compares the last check result with this one, and decides what to ask. The answers are the evidence of the trouble
until the process runs again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from remotestatus_playbook.protocol import RemoteAnswer, UnitOutput

from remotestatus.evaluate.files_units_devices import describe_unit
from remotestatus.evaluate.log_files import file_of_missing
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.memory import Memory
from remotestatus.model.processes import ProcessResult
from remotestatus.model.times import say_date
from remotestatus.model.untrusted_text import one_line

LOG_LINE_CHARACTERS = 200
"""Characters that are kept of a log line."""

LOG_LINES = 3
"""Log lines that are kept."""

SIGKILL = 9
"""The number of the signal by which the kernel ends what it kills for lack of memory."""

MOST = 5
"""Processes of one remote that are asked about in one round."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process that has ended left: the service that ran it, and the file that it wrote to; empty if unknown."""

    unit: str = ""
    log_file: str = ""


def find_ended(last: CheckResult | None, result: CheckResult) -> dict[str, Ended]:
    """Find what to ask about each process that is newly missing, by its name."""
    if last is None:
        return {}
    before = {one.name: one for one in last.processes}
    found: dict[str, Ended] = {}
    for process in result.processes:
        ran = before.get(process.name)
        if not process.missing or ran is None or ran.missing:
            continue
        unit = next((one.unit for one in ran.matched if one.unit), "")
        ended = Ended(unit, file_of_missing(process, last.memory.log_files))
        if ended != Ended() and len(found) < MOST:
            found[process.name] = ended
    return found


def add_endings(result: CheckResult, ended: Mapping[str, Ended], answer: RemoteAnswer) -> CheckResult:
    """Add to a check result what systemd says of the services of its missing processes, and their log lines."""
    by_unit = {output.unit: output for output in answer.units or ()}
    by_file = {one.path: one.lines for one in answer.last_lines}
    endings = {
        process: _say_ending(by_unit[one.unit], result, result.memory.endings.get(process))
        for process, one in ended.items()
        if one.unit in by_unit
    }
    logs = {
        process: (by_unit[one.unit].log if one.unit in by_unit else ()) or by_file.get(one.log_file, ())
        for process, one in ended.items()
    }
    lines = {
        process: tuple(one_line(line, LOG_LINE_CHARACTERS) for line in log[-LOG_LINES:])
        for process, log in logs.items()
        if log
    }
    known = result.memory
    memory = replace(known, endings={**known.endings, **endings}, last_lines={**known.last_lines, **lines})
    troubles = tuple(with_ending(trouble, memory) for trouble in result.troubles)
    return replace(result, troubles=troubles, memory=memory)


def _say_ending(output: UnitOutput, result: CheckResult, kills: str | None) -> str:
    """Say what systemd says, and after a SIGKILL the kernel's OOM count, which systemd lacks before cgroups v2."""
    said = one_line(f"{output.unit}: {describe_unit(output, result.at)}")
    return f"{said}; {kills}" if kills and output.result == "signal" and output.exit_status == SIGKILL else said


def keep_endings(memory: Memory, last: CheckResult | None, results: Sequence[ProcessResult], at: datetime) -> Memory:
    """
    Make a new Memory with how the processes that are still missing have ended.

    For newly missing ones it also says whether processes were killed for lack of memory.
    """
    known = last.memory if last else Memory()
    missing = {one.name for one in results if one.missing}
    endings = {name: said for name, said in known.endings.items() if name in missing}
    if memory.new_oom_kills:
        killed = "1 process was" if memory.new_oom_kills == 1 else f"{memory.new_oom_kills} processes were"
        missed = {one.name for one in last.processes if one.missing} if last else set()
        endings |= dict.fromkeys(missing - missed, f"{killed} killed for lack of memory before {say_date(at)}")
    lines = {name: said for name, said in known.last_lines.items() if name in missing}
    return replace(memory, endings=endings, last_lines=lines)


def with_ending(trouble: Trouble, memory: Memory) -> Trouble:
    """Add to a trouble how its missing process has ended."""
    if trouble.cause is not Cause.PROCESS_MISSING:
        return trouble
    return replace(trouble, detail=memory.endings.get(trouble.what, ""), log=memory.last_lines.get(trouble.what, ()))
