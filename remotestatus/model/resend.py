"""
When a destination that did not take its message is tried again.
"""

from datetime import timedelta

FIRST_PAUSE = timedelta(minutes=1)
GROWTH = 1.5
"""Each pause is so many times the one before."""

LONGEST_PAUSE = timedelta(hours=1)


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many failed attempts in a row."""
    return min(FIRST_PAUSE * GROWTH ** min(attempts - 1, 20), LONGEST_PAUSE)
