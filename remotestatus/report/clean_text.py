"""
Cleans untrusted text once, before it is shown on pages and in machine formats.

The text is from remotes, the inventory and ssh. The result is one line that HTML, XML and UTF-8 can hold. Templates
escape it.

Pure: the same inputs always give the same values.
"""

import re
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any, ClassVar, Protocol, TypeVar

from remotestatus.model.check_result import Trouble
from remotestatus.model.untrusted_text import EVIDENCE, one_line


class _Record(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Item = TypeVar("Item", bound=_Record)

_UNPRINTABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def clean(text: str, limit: int = EVIDENCE) -> str:
    """Fold text to one line that HTML, XML and UTF-8 can hold."""
    return _UNPRINTABLE.sub("\ufffd", one_line(text, limit))


def clean_all(item: Item, **limits: int) -> Item:
    """Clean all texts of a dataclass, but not those of nested ones; `limits` are those of single fields."""
    changed: dict[str, Any] = {}
    for name in _text_fields(type(item)):
        value, limit = getattr(item, name), limits.get(name, EVIDENCE)
        cleaned = clean(value, limit) if isinstance(value, str) else tuple(clean(text, limit) for text in value)
        if cleaned != value:
            changed[name] = cleaned
    return replace(item, **changed) if changed else item


@lru_cache(maxsize=64)
def _text_fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.type in (str, tuple[str, ...]))


def clean_trouble(trouble: Trouble) -> Trouble:
    """Clean the texts of a trouble."""
    return clean_all(trouble, message=800, hint=800, phrase=800)
