"""
Writes what the encoding of a terminal or a file lacks: a stand-in takes its place, and nothing fails.
"""

import codecs
import io
import sys

_STAND_INS = {
    **{"●": "+", "▲": "!", "✖": "x", "◌": "-", "✔": "ok", "→": "->", "·": "-", "•": "-", "—": "-", "–": "-", "−": "-"},
    **{"“": '"', "”": '"', "’": "'", "\u202f": " ", "\xa0": " "},
    "…": "~",  # one cell wide as well, because it stands where a table's cell is cut to its width
}


def allow_stand_ins() -> None:
    """From here on, write a stand-in for each character that the encoding of our output lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="remotestatus")


def _write_stand_ins(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_STAND_INS.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("remotestatus", _write_stand_ins)
