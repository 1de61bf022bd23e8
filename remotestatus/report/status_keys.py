"""
Provides the types that declare `status.json`: each key once, with its type, meaning and value.

A declaration gives both the writer and the type for the JSON Schema.

Pure: the same inputs always give the same values.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, make_dataclass
from datetime import datetime
from operator import attrgetter
from types import GenericAlias
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field

from remotestatus.model.times import write_time

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Key(Generic[Item]):
    """
    A key: its type, its meaning, and its value: a function or the path of a field (default: its name).

    `inside` is the part that is nested there, once or as a list.
    """

    name: str
    kind: Any
    about: str
    value: Callable[[Item], object] | str = ""
    inside: "Part[Any] | None" = None

    def reader(self) -> Callable[[Item], Any]:
        """Return the function that reads the value."""
        return attrgetter(self.value or self.name) if isinstance(self.value, str) else self.value


class Part(Generic[Item]):
    """A part of the document. Unknown values are null; in a `sparse` part they are absent."""

    def __init__(self, name: str, about: str, *keys: Key[Item], sparse: bool = False) -> None:
        self.keys, self.sparse = keys, sparse
        default = (None,) if sparse else ()
        # Python reserves some names, such as `from`.
        fields: list[Any] = [
            (f"{key.name}_", Annotated[key.kind, Field(alias=key.name, description=key.about)], *default)
            for key in keys
        ]
        self.kind = make_dataclass(name, fields, kw_only=True, eq=False, repr=False, namespace={"__doc__": about})
        """The type that pydantic makes the JSON Schema from."""
        self._readers = [(key.name, key.reader()) for key in keys]

    def write(self, item: Item) -> Mapping[str, object]:
        """Write the JSON values of an item; times as text."""
        found = ((name, read(item)) for name, read in self._readers)
        known = ((name, value) for name, value in found if value is not None or not self.sparse)
        return {name: write_time(value) if isinstance(value, datetime) else value for name, value in known}

    def each(self, name: str, about: str, value: Callable[[Any], Iterable[Item] | None] | str = "") -> Key[Any]:
        """Make a key with a list of this part, for several items."""
        read: Callable[[Any], Any] = Key(name, None, about, value).reader()

        def write(whole: object) -> tuple[Mapping[str, object], ...] | None:
            return None if (items := read(whole)) is None else tuple(map(self.write, items))

        return Key(name, GenericAlias(tuple, (self.kind, ...)), about, write, self)
