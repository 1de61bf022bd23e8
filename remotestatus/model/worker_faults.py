"""The kinds of worker faults."""

from enum import StrEnum

NOT_STARTED = "ansible-runner could not be started"
"""Printed to a worker's standard error when its program cannot be run."""


NO_ROOM = "No space left on device"
"""What the system says on a worker whose disk is full."""


class FaultKind(StrEnum):
    """How a worker without answers failed."""

    SILENT = "silent"
    ENDED = "ended"
    LOST = "lost"
    """Its SSH connection ended without an error: ssh prints none when the network is cut."""
    GARBAGE = "garbage"
    FAILED = "failed"
    LIES = "lies"
    """It sent answers that nobody asked for."""
    TOO_SLOW = "too slow"
    GIVEN_UP = "given up"
    """Nobody wanted the answers any more: no fault of the worker's."""
