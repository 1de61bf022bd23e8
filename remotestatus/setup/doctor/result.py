"""
What a check of the doctor returns: how one thing is, what was found, and the remedy.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """How it is. Only what is `wrong` needs mending; a warning may be meant so."""

    FINE = "fine"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was examined: what was found, and what to do about it."""

    mark: Mark
    finding: str
    remedy: str = ""


def fine(finding: str) -> Result:
    """A tick."""
    return Result(Mark.FINE, finding)


def warning(finding: str, remedy: str = "") -> Result:
    """Something that may be meant so."""
    return Result(Mark.WARNING, finding, remedy)


def wrong(finding: str, remedy: str = "") -> Result:
    """Something that needs mending."""
    return Result(Mark.WRONG, finding, remedy)


def skipped(finding: str) -> Result:
    """Something that could not be examined, and why."""
    return Result(Mark.SKIPPED, finding)


Check = Callable[[], Iterable[Result]]
