"""
Finds the sections of the probe's output, and reads numbers and texts in them.

The output may be any bytes, perhaps a memory map of a file. Nothing here raises: what cannot be read is None. `Whole`
and `Number` are types for numbers from a remote, with an upper bound.
"""

import re
from collections.abc import Callable, Iterator
from mmap import mmap
from typing import Annotated, NamedTuple

SECTION_BYTES = 4 * 1024 * 1024
"""Most bytes that are read of a section."""

MAX_LINES = 100_000
"""Lines that are read of a section; the longest list of users has some thousands."""


class Section(NamedTuple):
    words: list[str]
    start: int
    end: int
    finished: bool


class Frame:
    """The output after our begin marker. Sections are found by marker, and not all in memory at once."""

    def __init__(self, raw: bytes | mmap, marker: bytes, begin: int) -> None:
        self.raw = raw
        self.marker = marker
        self.begin = begin

    def sections(self, name: str) -> Iterator[Section]:
        """Yield each section of that name, the last perhaps unfinished."""
        opening = b"[" + self.marker + b":" + name.encode()
        closing = self.marker + b":" + name.encode() + b"]"
        at = self.begin
        while (at := self.raw.find(opening, at)) >= 0:
            head = at + len(opening)
            # Our own header lines are short.
            newline = self.raw.find(b"\n", head, head + 8192)
            if newline < 0:
                return
            end = self.raw.find(closing, newline)
            finished = end >= 0
            if not finished:
                end = len(self.raw)
            words = self.raw[head:newline].decode("utf-8", "replace").split()
            yield Section(words, newline + 1, end, finished)
            at = end

    def finished(self, name: str) -> Section | None:
        return next((section for section in self.sections(name) if section.finished), None)

    def content(self, section: Section, limit: int = SECTION_BYTES) -> bytes:
        return self.raw[section.start : min(section.end, section.start + limit)]

    def text(self, name: str, limit: int = SECTION_BYTES) -> bytes:
        """Return what the first finished section of that name holds, or nothing."""
        section = self.finished(name)
        return self.content(section, limit) if section else b""

    def lines(self, section: Section, most: int = MAX_LINES) -> list[bytes]:
        return self.content(section).split(b"\n", most)[:most]

    def lines_of(self, name: str) -> list[bytes]:
        """Return the first lines of the first finished section of that name."""
        return self.text(name).split(b"\n", MAX_LINES)[:MAX_LINES]


def text_of(token: bytes, most: int = 1024) -> str:
    """The text of some bytes: a user's name, a mount point, an argument."""
    return token.decode("utf-8", "backslashreplace")[:most]


LARGEST = 8 * 10**13
"""Upper bound of a remote's numbers: the most seconds of a `timedelta`, and more KiB than any file system."""


class _Bounded:
    """Sets the bound for pydantic; the standard library has no type for that."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: Callable[[object], dict[str, object]]
    ) -> dict[str, object]:
        return {**handler(source), "ge": -LARGEST, "le": LARGEST}


Whole = Annotated[int, _Bounded()]
Number = Annotated[float, _Bounded()]


def whole(token: bytes) -> int | None:
    """The number, or None if it is none or implausibly large."""
    return int(token) if token.isdigit() and len(token) <= 18 and int(token) <= LARGEST else None


def number(token: bytes) -> float | None:
    """The number, perhaps with decimals, capped at the largest."""
    return min(float(token), float(LARGEST)) if re.fullmatch(rb"\d{1,15}(\.\d{1,9})?", token) else None
