"""
The results for the files, systemd units and devices that the inventory lists for one remote.

`ok` is None if unknown. `sentence` says in a few words what is wrong, or its state.
"""

from dataclasses import dataclass

from remotestatus.model.status_words import Severity


@dataclass(frozen=True, slots=True)
class FileResult:
    """The newest file that a pattern finds: its age in seconds and its size in bytes, and how many files there are."""

    name: str
    path: str
    ok: bool | None
    sentence: str
    severity: Severity = Severity.CRITICAL
    count: int | None = None
    age_seconds: float | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class UnitResult:
    """
    One systemd unit, in systemd's own words (`active`, `sub`, `result`).

    `restarts` is how often systemd has started it again, `since_seconds` how long ago its state changed.
    """

    unit: str
    ok: bool | None
    sentence: str
    severity: Severity = Severity.CRITICAL
    active: str = ""
    sub: str = ""
    result: str = ""
    restarts: int | None = None
    since_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceResult:
    """
    One device behind a remote: the milliseconds to a TCP connection, and when its TLS certificate ends (epoch seconds).
    """

    name: str
    host: str
    port: int
    ok: bool | None
    sentence: str
    severity: Severity = Severity.CRITICAL
    connect_ms: int | None = None
    certificate_until: float | None = None
