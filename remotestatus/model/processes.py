"""The processes of a remote, and the results for those that have to run."""

from dataclasses import dataclass

from remotestatus_playbook.protocol import Process

from remotestatus.model.memory import WrittenTo
from remotestatus.model.status_words import Severity

__all__ = ["NearMiss", "Process", "ProcessResult", "is_same"]

SAME_START = 2
"""Seconds that the start of one process may differ between two rounds: it is counted from that of the machine."""


def is_same(process: Process, earlier: Process | WrittenTo) -> bool:
    """Whether it is a process of an earlier round."""
    return process.pid == earlier.pid and abs((process.started or 0) - (earlier.started or 0)) <= SAME_START


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A process that does not count, and why: one short phrase for people."""

    process: Process
    reason: str


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """
    The result of one rule. `running` says whether `min` (at least one) run, None if unknown; `count` is None when the
    processes could not be listed.
    """

    name: str
    running: bool | None
    count: int | None
    min: int
    max: int | None
    matched: tuple[Process, ...] = ()
    near: tuple[NearMiss, ...] = ()
    complete: bool = True
    """Whether all processes could be seen; if not, `count` is a lower bound."""
    severity: Severity = Severity.CRITICAL
    """How bad it is that it is missing, or that too many run."""
    too_slow: bool = False
    """Whether the regular expression took too long to search in all of them."""

    @property
    def missing(self) -> bool:
        """Whether fewer than `min` certainly run."""
        return self.complete and self.count is not None and self.count < self.min

    @property
    def excess(self) -> bool:
        """Whether more than `max` certainly run."""
        return self.max is not None and self.count is not None and self.count > self.max

    @property
    def phrase(self) -> str:
        """Its name in a sentence about it, with the number that runs if that says more."""
        if self.excess:
            return f"{self.name} ({self.count} run, at most {self.max} wanted)"
        return f"{self.name} ({self.count} of {self.min})" if self.min > 1 else self.name
