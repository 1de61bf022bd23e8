"""
How pages write sizes and shares.

Pure: the same inputs always give the same values.
"""

from remotestatus.model.text import say_bytes


def say_size(kib: int) -> str:
    """Write a size for people: `812 MiB`, `31 GiB`."""
    return say_bytes(1024 * kib)


def say_percent(percent: float) -> str:
    """Write a share at most with two decimals, and never 100 for what is less."""
    if percent >= 100:
        return "100 %"
    return f"{min(percent, 99.99):.2f} %" if percent > 99 else f"{percent:.1f} %"


def say_observed(percent: float) -> str:
    """Write how much of a span was observed, in steps: it grows with every round, and pages are to stay the same."""
    if percent >= 100:
        return "100 %"
    step = int(percent / 5) * 5
    return f"over {step} %" if step else "under 5 %"
