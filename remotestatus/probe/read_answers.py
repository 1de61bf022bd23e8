"""
Reads what the playbook leaves in the round's directory: its description of the inventory, and the answers.

It returns the types of the playbook. An answer that cannot be read (of another version, or forged) is an ERROR answer
of that remote, and not of the round.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError
from remotestatus_playbook.private_directory import answer_file, read_alike
from remotestatus_playbook.protocol import HostAnswer, InventoryDescription, Outcome

from remotestatus.model.errors import RoundError

Kind = TypeVar("Kind", bound=HostAnswer)


def read_description(text: str) -> InventoryDescription:
    """Read what the playbook says of the inventory. Raises RoundError when it is of another version."""
    try:
        return TypeAdapter(InventoryDescription).validate_python(json.loads(text))
    except ValidationError as error:
        raise RoundError(f"what Ansible says of the inventory cannot be read: {_first(error)}") from error


class AnswerFiles(Mapping[str, Kind], Generic[Kind]):
    """
    The answers of one kind in an attempt's folder, each read lazily.

    An answer that many share is read once.
    """

    def __init__(self, workdir: Path, folder: str, kind: type[Kind]) -> None:
        self.workdir = workdir
        self.folder = folder
        self.kind = kind
        self.adapter = TypeAdapter(kind)

    @cached_property
    def _alike(self) -> Mapping[str, Kind]:
        found: dict[str, Kind] = {}
        for names, answer in read_alike(self.workdir / self.folder):
            found |= dict.fromkeys(names, self.read(json.dumps(answer).encode()))
        return found

    def __getitem__(self, name: str) -> Kind:
        if name in self._alike:
            return self._alike[name]
        try:
            text = answer_file(self.workdir, self.folder, name).read_bytes()
        except OSError:
            raise KeyError(name) from None
        return self.read(text)

    def read(self, text: bytes) -> Kind:
        """Read one answer; one that cannot be read is an ERROR that says why."""
        try:
            return self.adapter.validate_json(text)
        except ValidationError as error:
            return self.kind(Outcome.ERROR, stderr=f"its answer cannot be read: {_first(error)}")

    def __iter__(self) -> Iterator[str]:
        yield from self._alike
        yield from (unquote(path.name.removesuffix(".json")) for path in (self.workdir / self.folder).glob("*.json"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']}"
