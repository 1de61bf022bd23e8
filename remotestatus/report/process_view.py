"""
Makes the ProcessViews of a remote: how many processes run, which ones, and near misses.

`restarted` compares the check results of this round and of the one before.
"""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime

from remotestatus.model.check_result import CheckResult
from remotestatus.model.processes import Process, ProcessResult, is_same
from remotestatus.report.clean_text import clean

_SHOWN = 20
"""Most processes that are listed of one rule."""


@dataclass(frozen=True, slots=True)
class SeenProcess:
    """One process that matched, or nearly did. `reason` says why it does not count."""

    pid: int
    user: str
    command: str
    started_at: datetime | None
    rss_kb: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ProcessView:
    """One process that has to run, and its matches. `restarted` is None if unknown."""

    name: str
    running: bool | None
    count: int | None
    min: int
    max: int | None
    restarted: bool
    matched: tuple[SeenProcess, ...] = ()
    near: tuple[SeenProcess, ...] = ()
    more: int = 0

    @property
    def wanted(self) -> str:
        """How many are wanted, in words."""
        if self.max is None:
            return f"at least {self.min}"
        return f"exactly {self.min}" if self.max == self.min else f"{self.min} to {self.max}"

    @property
    def ok(self) -> bool | None:
        """Whether as many run as are wanted; None if unknown."""
        if self.running is None or self.count is None:
            return None
        return self.count >= self.min and (self.max is None or self.count <= self.max)


def view_processes(result: CheckResult, before: CheckResult | None) -> tuple[ProcessView, ...]:
    """View the processes of one check result; `before` is the check result of the round before."""
    earlier = {process.name: process for process in before.processes} if before else {}
    return tuple(_view_process(process, earlier.get(process.name)) for process in result.processes)


def _view_process(result: ProcessResult, earlier: ProcessResult | None) -> ProcessView:
    return ProcessView(
        name=clean(result.name),
        running=result.running,
        count=result.count,
        min=result.min,
        max=result.max,
        restarted=_restarted(result, earlier),
        matched=tuple(_seen(process) for process in result.matched[:_SHOWN]),
        near=tuple(_seen(miss.process, miss.reason) for miss in result.near[:_SHOWN]) if not result.running else (),
        more=max(0, (result.count or 0) - _SHOWN),
    )


def _restarted(result: ProcessResult, earlier: ProcessResult | None) -> bool:
    """Whether it runs, ran in the round before, and none of its processes is the same."""
    if earlier is None or not result.matched or not earlier.matched:
        return False
    return not any(is_same(process, before) for process in result.matched for before in earlier.matched)


def _seen(process: Process, reason: str = "") -> SeenProcess:
    return SeenProcess(
        pid=process.pid,
        user=clean(process.user),
        command=clean(shlex.join(process.argv) if process.exact else " ".join(process.argv)),
        started_at=_time_of(process.started),
        rss_kb=process.rss_kb,
        reason=clean(reason),
    )


def _time_of(seconds: int | None) -> datetime | None:
    if seconds is None or not 0 < seconds < 32503680000:
        return None
    return datetime.fromtimestamp(seconds, UTC)
