"""The check result of one remote or proxy: what one round found, and what is wrong with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from remotestatus.model.causes import Cause
from remotestatus.model.facts import Facts
from remotestatus.model.memory import Memory
from remotestatus.model.processes import ProcessResult
from remotestatus.model.status_words import Severity, Status
from remotestatus.model.text import join_names
from remotestatus.model.tunnels import Tunnel, TunnelPort
from remotestatus.model.watched import DeviceResult, FileResult, UnitResult

NAMED = 6
"""Most findings of a cause that a summary names; it counts the rest."""

Key = tuple[Cause, str]
"""Identifies a finding over rounds: its cause, and the process, limit, file and so on."""

MORE: Key = (Cause.CHECK_FAILED, "more")
"""The finding that more findings are not listed."""

PROCESSES = "processes"
"""The name in the finding that not all processes could be listed."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    One problem: its cause, a message, a hint, and one raw line of evidence.

    `proxy` is the proxy that did not answer, where that is the cause. `what` names the process, limit, check, file or
    unit; it is empty where a cause occurs only once. `phrase` says it in a few words, for a list of several with one
    cause: `disk / 97 % (limit 90 %)`. `log` are the last log lines of a process. Histories keep troubles as JSON: a new
    field needs a default.
    """

    cause: Cause
    message: str
    hint: str = ""
    detail: str = ""
    proxy: str = ""
    what: str = ""
    severity: Severity = Severity.CRITICAL
    phrase: str = ""
    log: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.cause, self.what


def most_severe_first(troubles: Iterable[Trouble]) -> tuple[Trouble, ...]:
    """Sort troubles by status and severity; the sort is stable."""
    return tuple(sorted(troubles, key=lambda one: (-one.cause.status.rank, -one.severity.rank)))


def summarize(troubles: Iterable[Trouble], most: int = NAMED) -> tuple[Trouble, ...]:
    """
    Make one trouble of those that have one cause and severity, for people: `Not running: encoder, web and 9 more.`

    The order stays, and so do troubles that cannot be listed, because they have no `phrase`.
    """
    alike: dict[object, list[Trouble]] = {}
    for trouble in troubles:
        kind = (trouble.cause, trouble.severity) if trouble.phrase else trouble
        alike.setdefault(kind, []).append(trouble)
    return tuple(_list_together(several, most) for several in alike.values())


def _list_together(troubles: list[Trouble], most: int) -> Trouble:
    first = troubles[0]
    if len(troubles) == 1:
        return first
    names = join_names([trouble.phrase for trouble in troubles], most)
    message = first.cause.declaration.message.replace("{names}", names)
    # Several processes may have ended with one service: quote it once.
    evidence = dict.fromkeys((trouble.detail, trouble.log) for trouble in troubles[:most])
    detail = "; ".join(detail for detail, _ in evidence if detail)
    log = tuple(line for _, lines in evidence for line in lines)
    return replace(first, message=message, detail=detail, log=log, what="", phrase=names)


@dataclass(frozen=True, slots=True)
class Finding:
    """
    The result of one limit or custom check. `perfdata` is the unparsed text after a plugin's `|`.

    `severity` is meaningful if not `ok`. `number` is a limit's value; `warning` and `critical` are its bounds. `exit`
    is a check's exit code. `subject` is what was measured, if that is not the name.
    """

    kind: Literal["limit", "check"]
    name: str
    ok: bool
    value: str
    wanted: str = ""
    perfdata: str = ""
    severity: Severity = Severity.WARNING
    number: float | None = None
    warning: float | None = None
    critical: float | None = None
    exit: int | None = None
    subject: str = ""

    @property
    def key(self) -> Key:
        """The key of its trouble, if it is not ok."""
        return Cause.LIMIT_EXCEEDED if self.kind == "limit" else Cause.CHECK_FAILED, self.name

    @property
    def sentence(self) -> str:
        """The finding in a few words: `disk / 97 % (limit 90 %)`."""
        subject = self.subject or self.name
        return f"{subject} {self.value} ({self.wanted})" if self.wanted else f"{subject}: {self.value}"


class HasTroubles:
    """What follows from `troubles`, which are sorted with the most severe first."""

    __slots__ = ()
    troubles: tuple[Trouble, ...]

    @property
    def trouble(self) -> Trouble | None:
        """The most severe trouble, or None."""
        return self.troubles[0] if self.troubles else None

    @property
    def summary(self) -> tuple[Trouble, ...]:
        """The troubles for people, with those of one cause joined."""
        return summarize(self.troubles)

    @property
    def severity(self) -> Severity | None:
        """The highest severity; None when it is up."""
        return max((trouble.severity for trouble in self.troubles), default=None)


@dataclass(frozen=True, slots=True)
class CheckResult(HasTroubles):
    """
    What one round learned about one remote.

    `troubles` holds everything that is wrong, one for each finding, most severe first; empty means up. `connect_ms` is
    the time from start to a finished log-in in milliseconds, None when there was none. `worker` is the one that probed
    it, None for the checker; `not_from` are those (CHECKER, or a worker's name) that could not reach it although it is
    up. `memory` is for later rounds. `ports` are those of a proxy that tunnels may have bound.
    """

    name: str
    at: datetime
    troubles: tuple[Trouble, ...] = ()
    connect_ms: int | None = None
    processes: tuple[ProcessResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    facts: Facts = field(default_factory=Facts)
    attempts: int = 1
    worker: str | None = None
    not_from: tuple[str, ...] = ()
    files: tuple[FileResult, ...] = ()
    units: tuple[UnitResult, ...] = ()
    devices: tuple[DeviceResult, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()
    memory: Memory = field(default_factory=Memory)
    ports: tuple[TunnelPort, ...] = ()

    @property
    def status(self) -> Status:
        """The status that follows from the first trouble."""
        return self.troubles[0].cause.status if self.troubles else Status.UP


@dataclass(frozen=True, slots=True)
class FleetResults:
    """
    The results of all attempts of a round, by name, and sentences about failures of the attempts.

    `workers` has those that were used, `looks` what the probed proxies said of themselves.
    """

    proxies: Mapping[str, CheckResult]
    remotes: Mapping[str, CheckResult]
    troubles: tuple[str, ...] = ()
    workers: Mapping[str, CheckResult] = field(default_factory=dict)
    looks: Mapping[str, CheckResult] = field(default_factory=dict)

    @property
    def probed(self) -> Mapping[str, CheckResult]:
        """The results of remotes and of probed proxies."""
        return {**self.remotes, **self.looks}
