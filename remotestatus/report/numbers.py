"""
How pages write sizes and shares.

Pure: the same inputs always give the same values.
"""

from remotestatus.model.text import say_bytes


def say_size(kib: int) -> str:
    """Write a size for people: `812 MiB`, `31 GiB`."""
    return say_bytes(1024 * kib)


def say_observed(percent: float) -> str:
    """Write how much of a span was observed, in steps: it grows with every round, and pages are to stay the same."""
    if percent >= 100:
        return "100 %"
    step = int(percent / 5) * 5
    return f"over {step} %" if step else "under 5 %"
