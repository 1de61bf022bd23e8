"""
Reads README.md and the pages of docs/: their texts, and the blocks of code in them.

A comment above a block, which readers of the page don't see, says what a test does with it: `<!-- runs: demo -->`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
"""The text of each page by its path: the README and the guide."""

_BLOCK = re.compile(r"^( *)(?:<!-- ([^>\n]+) -->\n\1)?```([\w-]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of code without its indentation. `mark` is what the comment above it says, or empty."""

    page: str
    mark: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.strip().splitlines()[0][:50]}"


def _blocks() -> Iterator[Block]:
    for page, text in PAGES.items():
        for indent, mark, language, code in _BLOCK.findall(text):
            lines = (line.removeprefix(indent) for line in code.splitlines(keepends=True))
            yield Block(page, mark, language, "".join(lines))


BLOCKS = tuple(_blocks())


def marked(mark: str) -> list[Block]:
    """All blocks with this mark."""
    return [block for block in BLOCKS if block.mark == mark]


def fenced(*languages: str) -> list[Block]:
    """All blocks of code in these languages."""
    return [block for block in BLOCKS if block.language in languages]


def without_blocks(text: str) -> str:
    """A page's text without its blocks of code."""
    return _BLOCK.sub("", text)


def between(marker: str) -> str:
    """What stands between the two comments of a part that is generated or checked; it is on one page only."""
    found = re.findall(
        rf"^<!-- {marker} -->\n(.*?)^<!-- /{marker} -->$", "\n".join(PAGES.values()), re.MULTILINE | re.DOTALL
    )
    assert len(found) == 1, f"{marker}: {len(found)} times"
    return str(found[0])
