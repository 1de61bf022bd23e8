"""
The terminal that is written to: how wide it is, which characters it can show, and text laid out for it.

Parts of text come in, lines come out; nothing is measured in characters but in cells, since some are two wide. A
terminal that is not UTF-8 gets ASCII. Colours follow the conventions that rich knows (NO_COLOR, TERM=dumb, no
terminal); no meaning hangs on them alone. What does not go to a terminal is never wrapped, so that it can be searched.
"""

import io
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.text import Text

from remotestatus.model.statuses import APPEARANCES

Part = str | tuple[str, str]
"""Some text, or some text with its style."""

_PLAIN = str.maketrans(
    {
        "…": "...",
        "·": "-",
        "—": "-",
        "–": "-",
        "→": "->",
        "✔": "ok",
        "✖": "x",
        "▲": "!",
        "•": "-",
        "−": "-",
        "“": '"',
        "”": '"',
        "’": "'",
        "\u202f": " ",
        "\xa0": " ",
    }
)
_UNBOUNDED = 10_000
GAP = 2
"""Blank cells between two columns."""


@dataclass(frozen=True, slots=True)
class Screen:
    """What is written to: `width` in cells, or None where lines may be as long as they like."""

    width: int | None = None
    unicode: bool = True

    def sign(self, word: str) -> str:
        """The sign of a status, or of `maintenance`."""
        return APPEARANCES[word].sign if self.unicode else APPEARANCES[word].plain_sign

    def status(self, word: str) -> tuple[str, str]:
        """A status as sign and word, so that it never hangs on colour alone."""
        return f"{self.sign(word)} {APPEARANCES[word].label}", APPEARANCES[word].style

    def text(self, *parts: Part) -> Text:
        """One line of text, in characters that the screen can show."""
        pairs = ((part, "") if isinstance(part, str) else part for part in parts)
        return Text.assemble(*((self.plain(text), style) for text, style in pairs), no_wrap=True)

    def plain(self, text: str) -> str:
        """The same text in characters that the screen can show."""
        return text if self.unicode else text.translate(_PLAIN)

    def shorten(self, text: str, width: int) -> str:
        """The text cut to so many cells, with an ellipsis when something was cut."""
        text = self.plain(text)
        if cell_len(text) <= width:
            return text
        ellipsis = self.plain("…")
        return chop_cells(text, max(1, width - cell_len(ellipsis)))[0].rstrip() + ellipsis

    def paragraph(self, *parts: Part, indent: int = 0, hang: int | None = None) -> list[Text]:
        """Text broken into lines: the first `indent` cells in, the others `hang` (the same unless given)."""
        hang = indent if hang is None else hang
        text = self.text(*parts)
        if self.width is None:
            return [Text(" " * indent).append_text(text)]
        room = max(20, self.width - max(indent, hang))
        lines = text.wrap(Console(width=room, file=io.StringIO()), room, overflow="fold", no_wrap=False)
        found = []
        for number, line in enumerate(lines):
            line.rstrip()
            found.append(Text(" " * (hang if number else indent), no_wrap=True).append_text(line))
        return found

    def table(self, columns: Sequence["Column"], rows: Sequence[Sequence[Part]]) -> list[Text]:
        """
        A table that fits: columns that are empty in every row are left out, then those with the highest `rank` are
        dropped until the rest fits, and what still is too wide is cut where `shrinks` says.
        """
        cells = [[self.text(cell) for cell in row] for row in rows]
        filled = [number for number, _ in enumerate(columns) if any(row[number].plain for row in cells)]
        widths = {
            number: max(
                *(cell_len(line) for line in columns[number].heading.split("\n")),
                *(min(row[number].cell_len, columns[number].widest) for row in cells),
            )
            for number in filled
        }
        if self.width is not None:
            for number in sorted(filled, key=lambda number: -columns[number].rank):
                if _whole(widths) <= self.width or columns[number].rank == 0:
                    break
                del widths[number]
            over = _whole(widths) - self.width
            for number in widths:
                if over > 0 and columns[number].shrinks:
                    cut = min(over, max(0, widths[number] - 8))
                    widths[number] -= cut
                    over -= cut
        deepest = max(columns[number].heading.count("\n") for number in widths) + 1 if widths else 0
        headings = [[Text("", style="bold") for _ in columns] for _ in range(deepest)]
        for number in widths:
            lines = columns[number].heading.split("\n")
            for depth, line in enumerate(lines, start=deepest - len(lines)):
                headings[depth][number] = Text(line, style="bold")
        return [self._row(columns, widths, row) for row in (*headings, *cells)]

    def _row(self, columns: Sequence["Column"], widths: dict[int, int], row: Sequence[Text]) -> Text:
        line = Text(no_wrap=True)
        for number, width in widths.items():
            shown = self.shorten(row[number].plain, width)
            padded = set_cell_size(shown, width)
            if columns[number].right:
                padded = " " * (width - cell_len(shown)) + shown
            style = str(row[number].style or (row[number].spans[0].style if row[number].spans else ""))
            line.append(" " * GAP if line.plain else "").append(padded, style=style)
        line.rstrip()
        return line


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: `rank` 0 is never dropped, the highest first; `widest` is the most that it may take."""

    heading: str
    rank: int = 0
    right: bool = False
    widest: int = 40
    shrinks: bool = False


def _whole(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def make_console(*, stderr: bool = False) -> Console:
    """A console that never fails for a character that its encoding lacks, and that breaks lines only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper) and not _is_utf8(stream.encoding):
        stream.reconfigure(errors="replace")
    bounded = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, highlight=False, width=None if bounded else _UNBOUNDED)


def screen_of(console: Console) -> Screen:
    """What a console writes to."""
    return Screen(None if console.width >= _UNBOUNDED else console.width, _is_utf8(console.encoding))


def print_lines(console: Console, lines: Iterable[Text]) -> None:
    """Print lines as they are."""
    for line in lines:
        console.print(line, soft_wrap=True)


def _is_utf8(encoding: str | None) -> bool:
    return (encoding or "").lower().replace("-", "").startswith("utf8")
