"""
The closed vocabularies: what a remote can be (Status) and why it is not up (Cause).

Nothing comes in and nothing goes out; every other module speaks these words. The one rule: a cause implies exactly
one status, so nobody has to keep the two in step.
"""

from enum import StrEnum


class Status(StrEnum):
    """What one look at a remote or proxy found."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"

    @property
    def severity(self) -> int:
        """How bad it is, for sorting: 0 up, 1 degraded, 2 unknown, 3 down."""
        return _SEVERITY[self]


_SEVERITY = {Status.UP: 0, Status.DEGRADED: 1, Status.UNKNOWN: 2, Status.DOWN: 3}


class Cause(StrEnum):
    """Why a remote or proxy is not up, along the path checker, proxy, tunnel, sshd, shell, process."""

    PROXY_UNREACHABLE = "proxy-unreachable"
    TUNNEL_DOWN = "tunnel-down"
    TUNNEL_STALE = "tunnel-stale"
    SSHD_DOWN = "sshd-down"
    NAME_UNRESOLVED = "name-unresolved"
    CONNECTION_REFUSED = "connection-refused"
    CONNECTION_TIMEOUT = "connection-timeout"
    NO_ROUTE = "no-route"
    HOST_KEY_UNKNOWN = "host-key-unknown"
    HOST_KEY_CHANGED = "host-key-changed"
    AUTHENTICATION_FAILED = "authentication-failed"
    CONNECTION_LOST = "connection-lost"
    PROBE_TIMEOUT = "probe-timeout"
    PROBE_FAILED = "probe-failed"
    PROCESS_MISSING = "process-missing"
    PROCESS_EXCESS = "process-excess"
    LIMIT_EXCEEDED = "limit-exceeded"
    CHECK_FAILED = "check-failed"
    NOT_CHECKED = "not-checked"
    CHECKER_ERROR = "checker-error"

    @property
    def status(self) -> Status:
        """The one status that this cause implies."""
        if self in _UNKNOWN:
            return Status.UNKNOWN
        if self in _DEGRADED:
            return Status.DEGRADED
        return Status.DOWN


_UNKNOWN = frozenset({Cause.PROXY_UNREACHABLE, Cause.NOT_CHECKED, Cause.CHECKER_ERROR})
_DEGRADED = frozenset({Cause.PROCESS_MISSING, Cause.PROCESS_EXCESS, Cause.LIMIT_EXCEEDED, Cause.CHECK_FAILED})
