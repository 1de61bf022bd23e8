"""
The check result of one remote or proxy: what one round learned about it, and what is wrong with it.
"""

from dataclasses import dataclass, field
from datetime import datetime

from remotestatus.model.causes import Cause
from remotestatus.model.facts import Facts
from remotestatus.model.processes import ProcessResult
from remotestatus.model.statuses import Status


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    One thing that is wrong: its cause, a sentence for people, what to try, and one raw line of evidence.

    `proxy` is the proxy that did not answer, where that is the cause. Histories keep troubles as JSON: a new field
    needs a default.
    """

    cause: Cause
    message: str
    hint: str = ""
    detail: str = ""
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one limit or custom check found. `perfdata` is what a plugin wrote behind its `|`, as it stands."""

    kind: str
    name: str
    ok: bool
    value: str
    wanted: str = ""
    perfdata: str = ""

    @property
    def sentence(self) -> str:
        """The finding in a few words: `disk / 97 % (limit 90 %)`."""
        return f"{self.name} {self.value} ({self.wanted})" if self.wanted else f"{self.name}: {self.value}"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """
    What one round learned about one remote.

    `troubles` holds everything that is wrong, the most telling first; empty means up. `connect_ms` is the time from
    start to a finished log-in in milliseconds, None when there was none.
    """

    name: str
    at: datetime
    troubles: tuple[Trouble, ...] = ()
    connect_ms: int | None = None
    processes: tuple[ProcessResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    facts: Facts = field(default_factory=Facts)
    attempts: int = 1

    @property
    def trouble(self) -> Trouble | None:
        """The most telling thing that is wrong, or None."""
        return self.troubles[0] if self.troubles else None

    @property
    def status(self) -> Status:
        """The status that follows from the first trouble."""
        return self.troubles[0].cause.status if self.troubles else Status.UP
