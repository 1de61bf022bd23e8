"""
Durations as people write them: `90s`, `10m`, `1h30m`, `2d`, `1w`.

Parses and writes them. A bare number is an error, because it could be seconds or minutes.
"""

from datetime import timedelta

from remotestatus_playbook.protocol import UNITS, seconds_in

_LONGEST = 100 * 365 * 86400


def parse_duration(text: object) -> timedelta:
    """
    Read a duration such as `10m` or `1h30m` (units w, d, h, m, s).

    Raises ValueError, whose text says how to write one, for anything else, for zero and for more than a century.
    """
    written = str(text).strip()
    seconds = seconds_in(written)
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f'"{written}" is not a usable duration; write one between 1s and 5200w')
    return timedelta(seconds=seconds)


def write_duration(span: timedelta) -> str:
    """Write a span exactly, so that `parse_duration` gives it back: `1h30m`, `45s`; whole seconds, `0s` for none."""
    left = max(0, round(span.total_seconds()))
    parts = []
    for unit, size in UNITS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def say_duration(span: timedelta) -> str:
    """Write a span for people, in the two largest units that matter: `2 d 4 h`, `12 min`, `8 s`, `under 1 s`."""
    left = max(0.0, span.total_seconds())
    if left < 1:
        return "under 1 s"
    whole = round(left)
    for (large, large_name), (small, small_name) in _SPOKEN:
        if whole >= large:
            count, rest = divmod(whole, large)
            rest //= small
            return f"{count} {large_name} {rest} {small_name}" if rest else f"{count} {large_name}"
    return f"{whole} s"


def say_seconds(seconds: float) -> str:
    """Write how long something took, for people: `2.7 s`, and from a minute on as `say_duration`."""
    return f"{seconds:.1f} s" if seconds < 60 else say_duration(timedelta(seconds=seconds))


_SPOKEN = (((86400, "d"), (3600, "h")), ((3600, "h"), (60, "min")), ((60, "min"), (1, "s")))
