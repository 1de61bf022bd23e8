"""
Writes `status.json`, the part of a round that others may build on.

A Report comes in, JSON text goes out. What stands in it is declared, key by key, in `status_document.py`.
"""

import json
from collections.abc import Iterator, Mapping

from remotestatus.report.build import Report
from remotestatus.report.status_document import DOCUMENT


def write_status(report: Report) -> str:
    """The text of `status.json`: a line for each key, and for each item of a list."""
    return "".join(_pieces(DOCUMENT.write(report)))


def _pieces(document: Mapping[str, object]) -> Iterator[str]:
    # Ten times as fast as with `indent`, and a fifth smaller: a large fleet's is written in every round.
    begin = "{\n"
    for key, value in document.items():
        yield f"{begin}{_dump(key)}: "
        begin = ",\n"
        if isinstance(value, tuple) and value:
            for number, item in enumerate(value):
                yield ",\n" if number else "[\n"
                yield _dump(item)
            yield "\n]"
        else:
            yield _dump(value)
    yield "\n}\n"


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


FORMAT = {"status.json": write_status}
