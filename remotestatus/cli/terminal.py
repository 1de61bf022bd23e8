"""
Text on a terminal: paragraphs and tables that fit its width, the signs of the statuses, and the console they go to.

rich lays them out when they are printed. What does not go to a terminal has no width: no line of it is wrapped or cut,
so that it can be searched. Colours follow the conventions that rich knows (NO_COLOR, TERM=dumb, no terminal); each
status is also a sign and a word.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from remotestatus.model.status_words import APPEARANCES

Part = str | tuple[str, str]
"""Some text, or some text with its style."""

Row = TypeVar("Row")

_UNBOUNDED = 10_000
_GAP = 2
"""Blank cells between two columns."""


def status_text(status: str) -> tuple[str, str]:
    """A status (or `maintenance`) as sign and word, in its colour."""
    appearance = APPEARANCES[status]
    return f"{appearance.sign} {appearance.label}", appearance.style


def status_sign(status: str) -> tuple[str, str]:
    """The sign of a status alone, in its colour."""
    return APPEARANCES[status].sign, APPEARANCES[status].style


def text_of(*parts: Part) -> Text:
    """One line of text that is never wrapped, and not read as markup."""
    return Text.assemble(*parts, no_wrap=True, overflow="ignore")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text broken into lines that fit: the first is indented by `indent` cells, the others by `hang`."""

    text: Text
    indent: int
    hang: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(20, options.max_width - max(self.indent, self.hang))
        for number, line in enumerate(self.text.wrap(console, width, overflow="fold", no_wrap=False)):
            line.rstrip()
            yield text_of(" " * (self.hang if number else self.indent)).append_text(line)


def paragraph(*parts: Part, indent: int = 0, hang: int | None = None) -> Paragraph:
    """Make a paragraph of parts; `hang` is `indent` unless given."""
    return Paragraph(Text.assemble(*parts), indent, indent if hang is None else hang)


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """
    A column of a table: its heading, how the cell of a row is made, and when it is left out.

    A column that is empty in every row is left out. Where the columns are too wide together, those of the highest
    `rank` are left out first; rank 0 always stays. What is still too wide is cut in the column that `shrinks`.
    """

    heading: str
    cell: Callable[[Row], Part]
    rank: int = 0
    right: bool = False
    widest: int = 40
    shrinks: bool = False


@dataclass(frozen=True, slots=True)
class RowTable(Generic[Row]):
    """A table of these rows that fits the width it is printed in."""

    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    indent: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cells = {
            column: [Text.assemble(column.cell(row), no_wrap=True, overflow="ellipsis") for row in self.rows]
            for column in self.columns
        }
        table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
        width = options.max_width - self.indent
        shown = self._choose(cells, width)
        if not shown:
            return
        for column in shown:
            table.add_column(
                column.heading,
                justify="right" if column.right else "left",
                overflow="ellipsis",
                no_wrap=not column.shrinks,
                max_width=column.widest,
            )
        for row in zip(*(cells[column] for column in shown), strict=True):
            table.add_row(*row)
        # rich fills each line up with blanks, as long as the longest.
        for line in console.render_lines(table, options.update(width=width)):
            text = text_of(" " * self.indent, *((segment.text, str(segment.style or "")) for segment in line))
            text.rstrip()
            yield text

    def _choose(self, cells: dict[Column[Row], list[Text]], width: int) -> list[Column[Row]]:
        shown = [column for column in self.columns if any(cells[column])]
        widths = {
            column: min(column.widest, max(map(cell_len, (*column.heading.split("\n"), *map(str, cells[column])))))
            for column in shown
        }
        for column in sorted(shown, key=lambda column: -column.rank):
            if column.rank == 0 or sum(widths[one] + _GAP for one in shown) - _GAP <= width:
                break
            shown.remove(column)
        return shown


def make_console(*, stderr: bool = False) -> Console:
    """A console that breaks lines only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    bounded = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, highlight=False, width=None if bounded else _UNBOUNDED)


def print_lines(console: Console, lines: Iterable[RenderableType]) -> None:
    """Print lines, paragraphs and tables as they are."""
    for line in lines:
        console.print(line, soft_wrap=True)
