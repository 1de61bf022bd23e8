"""
What the doctor says of one thing: a tick, a warning, or what is wrong with its cure.

Nothing comes in and nothing goes out; every check returns these.
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
    """One thing that was examined: what was found, and the cure when there is something to mend."""

    mark: Mark
    said: str
    cure: str = ""


def fine(said: str) -> Result:
    """A tick."""
    return Result(Mark.FINE, said)


def warning(said: str, cure: str = "") -> Result:
    """Something that may be meant so."""
    return Result(Mark.WARNING, said, cure)


def wrong(said: str, cure: str = "") -> Result:
    """Something that needs mending."""
    return Result(Mark.WRONG, said, cure)


def skipped(said: str) -> Result:
    """Something that could not be examined, and why."""
    return Result(Mark.SKIPPED, said)


Check = Callable[[], Iterable[Result]]
