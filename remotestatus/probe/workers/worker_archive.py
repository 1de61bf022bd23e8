"""
Reads the answers in the archive that a worker sends.

Takes the bytes of a zip file and what was asked; returns answers. Nothing is unpacked: what is expected is looked up by
its name and read into memory up to a limit. An answer about something that was not asked for is refused and told.
"""

import io
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError
from remotestatus_playbook.private_directory import file_name
from remotestatus_playbook.protocol import (
    HANDED_OVER,
    PROXY_ANSWERS,
    REMOTE_ANSWERS,
    WORKER_DESCRIPTION,
    Answer,
    Outcome,
    ProxyAnswer,
    RemoteAnswer,
    WorkerDescription,
)

from remotestatus.model.worker_faults import Fault
from remotestatus.probe.workers.worker_stream import WorkerFault

ANSWER_BYTES = 8 * 1024 * 1024
"""What one answer may hold: real ones hold a hundredth of that."""

_ARCHIVE_BASE = 16 * 1024 * 1024
_ARCHIVE_PER_REMOTE = 1024 * 1024
_BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)

Kind = TypeVar("Kind", bound=Answer)


@dataclass(frozen=True, slots=True)
class WorkerAnswers:
    """
    What a worker brought: answers by the aliases of proxies and the names of remotes, and what it is.

    `refused` are the names of hosts that it answered for without having been asked.
    """

    description: WorkerDescription
    proxies: Mapping[str, ProxyAnswer] = field(default_factory=dict)
    remotes: Mapping[str, RemoteAnswer] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


def archive_bytes(remotes: int) -> int:
    """How large the archive about so many remotes may be, in bytes."""
    return min(_ARCHIVE_BASE + remotes * _ARCHIVE_PER_REMOTE, 192 * 1024 * 1024)


def read_archive(archive: bytes, names: Collection[str], aliases: Collection[str]) -> WorkerAnswers:
    """Read the answers about these remotes and proxies. Raises WorkerFault when there is no such archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return _Archive(opened).answers(names, aliases)
    except _BROKEN as error:
        raise WorkerFault(Fault.GARBAGE, "its archive cannot be read") from error


@dataclass(frozen=True, slots=True)
class _Archive:
    opened: zipfile.ZipFile

    def answers(self, names: Collection[str], aliases: Collection[str]) -> WorkerAnswers:
        described = self._read(f"{HANDED_OVER}/{WORKER_DESCRIPTION}")
        if described is None:
            raise WorkerFault(Fault.FAILED, "it ended without answers")
        try:
            description = TypeAdapter(WorkerDescription).validate_json(described)
        except ValidationError as error:
            raise WorkerFault(Fault.GARBAGE, "what it says of itself cannot be read") from error
        remotes, strange = self._of(REMOTE_ANSWERS, RemoteAnswer, names)
        proxies, strange_proxies = self._of(PROXY_ANSWERS, ProxyAnswer, aliases)
        return WorkerAnswers(description, proxies, remotes, (*strange, *strange_proxies))

    def _of(self, folder: str, kind: type[Kind], asked: Collection[str]) -> tuple[dict[str, Kind], tuple[str, ...]]:
        adapter, prefix = TypeAdapter(kind), f"{HANDED_OVER}/{folder}/"
        expected = {f"{prefix}{file_name(name)}.json": name for name in asked}
        found = {}
        for member, name in expected.items():
            text = self._read(member)
            if text is None:
                continue
            try:
                found[name] = adapter.validate_json(text)
            except ValidationError:
                found[name] = kind(Outcome.ERROR, stderr="its answer cannot be read")
        strange = tuple(
            unquote(member.removeprefix(prefix).removesuffix(".json"))
            for member in self.opened.namelist()
            if member.startswith(prefix) and member not in expected and not member.endswith("/")
        )
        return found, strange

    def _read(self, member: str) -> bytes | None:
        """One file of the archive; empty, which no answer is, when it is too large."""
        try:
            info = self.opened.getinfo(member)
        except KeyError:
            return None
        with self.opened.open(info) as file:
            text = file.read(ANSWER_BYTES + 1)
        return text if len(text) <= ANSWER_BYTES else b""
