"""
Writes numbers, sizes, names and commands for people.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def name_inventory(text: str, option: str) -> str:
    """
    Add this option (`-i FOLDER`), if there is one, to the remotestatus commands in a text.

    Commands that have one are not changed.
    """
    return _COMMAND.sub(lambda found: f"{found[0]} {option}", text) if option else text


_COMMAND = re.compile(r"`remotestatus [a-z-]+(?=[ `])(?! -i )")


def write_number(number: int) -> str:
    """Write a number for people: `999`, `10\u202f000`."""
    return f"{number:,}".replace(",", "\u202f")


def count(number: int, noun: str) -> str:
    """Write a number with its noun: `1 remote`, `3 remotes`, `10\u202f000 remotes`."""
    return f"{write_number(number)} {noun}" if number == 1 else f"{write_number(number)} {noun}s"


def say_percent(percent: float) -> str:
    """Write a share, `97.5 %` or `99.96 %`; it is never rounded to 100 or 0."""
    if percent <= 0 or percent >= 100:
        return f"{min(max(percent, 0), 100):.0f} %"
    return f"{percent:.1f} %" if 1 <= percent <= 99 else f"{min(max(percent, 0.01), 99.99):.2f} %"


def say_bytes(number: float) -> str:
    """Write a size for people: `812 MiB`, `31 GiB`."""
    if number < 1000:
        return f"{number:.0f} bytes"
    size = number / 1024
    for unit in ("KiB", "MiB", "GiB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.0f} TiB" if size >= 10 else f"{size:.1f} TiB"


def join_names(names: Sequence[str], most: int) -> str:
    """Write names, at most `most` of them: `a, b, c and 4 more`."""
    # "and 1 more" is longer than most names.
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {write_number(len(names) - most)} more"


def lower_first(sentence: str) -> str:
    """Lower-case a sentence's first letter, so that it can follow a colon."""
    return sentence[:1].lower() + sentence[1:]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the nearest right word, to end a sentence about a wrong one: `; did you mean ops?`, or nothing."""
    near = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
