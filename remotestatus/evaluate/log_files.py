"""
Remembers to which files the processes of a remote write, so that their last lines can be read when they have ended.

The files are visible only while the process runs, and finding them takes an extra probe. So a remote is asked once when
a process is new, and never while the same processes run as before.
"""

from collections.abc import Mapping, Sequence

from remotestatus_playbook.protocol import LOG_FILE, LogFile

from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Remote
from remotestatus.model.memory import WrittenTo
from remotestatus.model.processes import Process, ProcessResult, is_same

LogFiles = Mapping[str, tuple[WrittenTo, ...]]


def asks_for_log_files(remote: Remote, last: CheckResult | None) -> bool:
    """Whether a process may run there whose log file is not known yet."""
    if not remote.settings.processes:
        return False
    if last is None or any(one.running is None or one.missing for one in last.processes):
        return True
    known = last.memory.log_files
    return any(_find(one, known.get(result.name, ())) is None for result in last.processes for one in result.matched)


def remember_log_files(
    known: LogFiles, results: Sequence[ProcessResult], answered: Sequence[LogFile] | None
) -> dict[str, tuple[WrittenTo, ...]]:
    """Make the known log files after a round; `answered` is None if the remote was not asked."""
    paths = None if answered is None else {one.pid: one.path for one in answered if LOG_FILE.fullmatch(one.path)}
    found = {}
    for result in results:
        before = known.get(result.name, ())
        if paths is None:
            now = tuple(one for process in result.matched if (one := _find(process, before)))
        else:
            now = tuple(WrittenTo(one.pid, one.started, paths.get(one.pid, "")) for one in result.matched)
        # A restarted process is assumed to write to the same file until the remote is asked.
        if now or before:
            found[result.name] = now or before
    return found


def file_of_missing(result: ProcessResult, known: LogFiles) -> str:
    """Return the file of a process that has ended, of those `known` from the round before; empty without one."""
    running = {one for process in result.matched if (one := _find(process, known.get(result.name, ())))}
    return next((one.path for one in known.get(result.name, ()) if one.path and one not in running), "")


def _find(process: Process, known: Sequence[WrittenTo]) -> WrittenTo | None:
    return next((one for one in known if is_same(process, one)), None)
