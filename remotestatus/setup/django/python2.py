"""
Reads a file of Python 2 statement by statement, so that a `print` costs nothing but itself.
"""

import ast
import importlib.util
import keyword
import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""'{3}.*?'{3} | "{3}.*?"{3} | '(?:\\.|[^'\\\n])*' | "(?:\\.|[^"\\\n])*" | \#[^\n]*
    | (?P<open>[\[({]) | (?P<close>[\])}]) | \n(?P<start>(?=[^\s\#]))""",
    re.DOTALL | re.VERBOSE,
)


def read_statements(source: bytes) -> Iterator[ast.stmt]:
    """
    The statements at the top of a file in their order.

    One that is no Python 3 has a stand-in: it gives its name an unknown value, or only mentions names.
    """
    line = 1
    for part in _split(_decode(source)):
        try:
            tree = ast.parse(part)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            words = [word for word in re.findall(r"[A-Za-z_]\w*", part, re.ASCII) if not keyword.iskeyword(word)]
            assigned = re.match(r"([A-Za-z_]\w*)\s*(\+?=)(?!=)", part, re.ASCII)
            if assigned and assigned[1] in words:
                tree = ast.parse(f"{assigned[1]} {assigned[2]} Python2")
            else:
                tree = ast.parse(f"Python2({', '.join(words)})")
        yield from ast.increment_lineno(tree, line - 1).body
        line += part.count("\n")


def _split(text: str) -> Iterator[str]:
    """A new statement begins with a line that is not indented and stands outside of brackets and texts."""
    depth, begun = 0, 0
    for token in _TOKEN.finditer(text):
        depth = max(0, depth + (token["open"] is not None) - (token["close"] is not None))
        if token["start"] is not None and depth == 0:
            yield text[begun : token.end()]
            begun = token.end()
    yield text[begun:]


def _decode(source: bytes) -> str:
    """What names no encoding and is no UTF-8 is read as Latin-1, as Python 2 often did."""
    try:
        return importlib.util.decode_source(source)
    except (SyntaxError, UnicodeDecodeError):
        return source.decode("latin-1").replace("\r\n", "\n")
