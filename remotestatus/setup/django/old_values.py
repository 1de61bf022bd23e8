"""
Reads the values of the old app's settings and remotes by key, in any of its old spellings.

A value that is not constant, or has a wrong type, becomes a Gap and None.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from remotestatus.setup.django.expressions import Unknown, Value


@dataclass(frozen=True, slots=True)
class OldKey:
    """An old key: its `spellings`, the kind of its value, and the new variable for it."""

    spellings: tuple[str, ...]
    kind: str
    variable: str


Taken = dict[str, Any]
"""Values by name: texts, numbers and lists as their kind says; None if unusable."""


def take(values: Mapping[str, Value], keys: Mapping[str, OldKey], note: Callable[[str, str, str], None]) -> Taken:
    """All given values, by the names of their keys."""
    taken: Taken = {}
    for name, key in keys.items():
        given = [spelling for spelling in key.spellings if spelling in values]
        for other in given[1:]:
            note(values[other].where, f"{_show(other)} is left out", f"{_show(given[0])} was taken")
        if given and values[given[0]].value not in (None, ""):
            taken[name] = _take(_show(given[0]), values[given[0]], key, note)
    return taken


def _take(shown: str, found: Value, key: OldKey, note: Callable[[str, str, str], None]) -> object:
    value, variable, secret = found.value, found.variable, key.kind == "secret"
    if isinstance(value, Unknown) or (secret and variable):
        unknown = value if isinstance(value, Unknown) else Unknown("", variable)
        said, cure = "code" if secret else unknown.text, f"write {key.variable} yourself"
        if unknown.variable:
            said = f"environment variable {unknown.variable}"
            cure += f", for example with {{{{ lookup('env', '{unknown.variable}') }}}}"
        note(found.where, f"{shown} has no fixed value ({said})", cure)
        return None
    converted = _convert(value, key.kind)
    if converted is None:
        note(found.where, f"{shown} is no {key.kind}", f"write {key.variable} yourself")
    elif variable:
        what = f"{shown} is read from the environment variable {variable}, and its default was taken"
        note(found.where, what, f"correct {key.variable} if {variable} is set where the old app runs")
    return converted


def _show(key: str) -> str:
    return key if key.isupper() else repr(key)


def _convert(value: object, kind: str) -> object:
    """Converted to its kind, or None."""
    match kind, value:
        case "True or False", bool() | 0 | 1:
            return bool(value)
        case _, bool():
            return None
        case "text", str() | int() | float():
            return str(value).strip()[:4000]
        case "secret", str() | int():
            return str(value)
        case ("number", int() | float()) | ("list", list()):
            return value
        case "list", str():
            return [Value(value, "")]
        case "port", int() | str() if re.fullmatch(r"\s*[0-9]{1,5}\s*", str(value), re.ASCII):
            return int(value) if 1 <= int(value) <= 65535 else None
    return None
