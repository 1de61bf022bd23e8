"""
What a check of the doctor returns: how one thing is, what was found, and the remedy.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from remotestatus.model.check_result import Trouble


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


fine = partial(Result, Mark.FINE)
warning = partial(Result, Mark.WARNING)
wrong = partial(Result, Mark.WRONG)
skipped = partial(Result, Mark.SKIPPED)


def say_trouble(trouble: Trouble) -> str:
    """What happened, with what was seen of it."""
    return f"{trouble.message} ({trouble.detail})" if trouble.detail else trouble.message
