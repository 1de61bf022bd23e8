"""
How a worker fails a batch.
"""

from enum import StrEnum


class Fault(StrEnum):
    """What was seen of a worker that did not bring its answers."""

    SILENT = "silent"
    ENDED = "ended"
    GARBAGE = "garbage"
    FAILED = "failed"
    LIES = "lies"
    """It brought answers, and some that nobody asked for."""
    TOO_SLOW = "too slow"
    GIVEN_UP = "given up"
    """Nobody wanted the answers any more: no fault of the worker's."""
