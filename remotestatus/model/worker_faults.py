"""
How a worker fails a batch.
"""

from enum import StrEnum

NOT_STARTED = "ansible-runner could not be started"
"""What is said on a worker, on standard error, when its program cannot be run."""


class FaultKind(StrEnum):
    """What was seen of a worker that did not bring its answers."""

    SILENT = "silent"
    ENDED = "ended"
    LOST = "lost"
    """Its SSH connection ended, and nobody said why: ssh says nothing when a line that was cut never answers."""
    GARBAGE = "garbage"
    FAILED = "failed"
    LIES = "lies"
    """It brought answers, and some that nobody asked for."""
    TOO_SLOW = "too slow"
    GIVEN_UP = "given up"
    """Nobody wanted the answers any more: no fault of the worker's."""
