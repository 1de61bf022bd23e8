"""
Numbers that a remote told, none of them larger than what can be calculated with.

Takes what is written in the probe's output; returns a number, or None. `Whole` and `Number` are the types of such
numbers, and tell pydantic that bound.

Pure: the same inputs always give the same values.
"""

import re
from collections.abc import Callable
from typing import Annotated

LARGEST = 8 * 10**13
"""No number of a remote's is larger: so many seconds a `timedelta` holds, and so many KiB no file system has."""


class _Bounded:
    """Tells pydantic to take no larger number; there is no way in the standard library to say so."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: Callable[[object], dict[str, object]]
    ) -> dict[str, object]:
        return {**handler(source), "ge": -LARGEST, "le": LARGEST}


Whole = Annotated[int, _Bounded()]
Number = Annotated[float, _Bounded()]


def whole(token: bytes) -> int | None:
    """The number that is written there, unless it is none or too large to be true."""
    return int(token) if token.isdigit() and len(token) <= 18 and int(token) <= LARGEST else None


def number(token: bytes) -> float | None:
    """The number that is written there, which may have decimals; one that is too large is the largest."""
    return min(float(token), float(LARGEST)) if re.fullmatch(rb"\d{1,15}(\.\d{1,9})?", token) else None
