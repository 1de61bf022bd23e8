"""Replaces characters that the output's encoding lacks, so that printing never fails."""

import codecs
import io
import sys

_STAND_INS = {
    **{"●": "+", "▲": "!", "✖": "x", "◌": "-", "✔": "ok", "→": "->", "·": "-", "•": "-", "—": "-", "–": "-", "−": "-"},
    **{"“": '"', "”": '"', "’": "'", "\u202f": " ", "\xa0": " "},
    "…": "~",  # one cell wide too, so that a cell that was cut keeps its width
}


def allow_stand_ins() -> None:
    """From now on, replace each character that the output's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="remotestatus")


def _write_stand_ins(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_STAND_INS.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("remotestatus", _write_stand_ins)
