"""
Reads the answers in the archive that a worker sends.

Nothing is unpacked to disk: the expected files of the zip are read into memory, with a limit on each answer and one on
all. Answers about hosts that were not asked for are refused and reported.
"""

import io
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import TypeVar
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError
from remotestatus_playbook.private_directory import file_name
from remotestatus_playbook.protocol import (
    HANDED_OVER,
    MAX_ALL_ARGUMENTS,
    MAX_ARGV_BYTES,
    MAX_PROCESSES,
    PROXY_ANSWERS,
    REMOTE_ANSWERS,
    WORKER_DESCRIPTION,
    HostAnswer,
    Outcome,
    ProxyAnswer,
    RemoteAnswer,
    WorkerDescription,
)

from remotestatus.model.worker_faults import FaultKind
from remotestatus.probe.workers.worker_stream import WorkerFault

ANSWER_BYTES = 8 * 1024 * 1024
"""Most bytes of one answer: a hundred times a real one."""

_UNPACKED_BASE = 16 * 1024 * 1024
_UNPACKED_PER_REMOTE = 256 * 1024
"""Most bytes of all answers, several times the real size even if a few remotes flood."""

_ENTRY = b"PK\x01\x02"
"""Signature of an entry of a zip directory (APPNOTE.TXT of PKWARE, 4.3.12)."""

_FEWEST_ENTRIES = 1000
"""Directory entries that are always allowed, for ansible-runner's own files."""

_ARCHIVE_BASE = 16 * 1024 * 1024
_ARCHIVE_PER_REMOTE = 1024 * 1024
_BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)

Kind = TypeVar("Kind", bound=HostAnswer)


@dataclass(frozen=True, slots=True)
class WorkerAnswers:
    """
    A worker's answers, by the aliases of proxies and the names of remotes, and its description.

    `refused` are the names of hosts that it answered for without having been asked.
    """

    description: WorkerDescription
    proxies: Mapping[str, ProxyAnswer] = field(default_factory=dict)
    remotes: Mapping[str, RemoteAnswer] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


def archive_bytes(remotes: int) -> int:
    """Most bytes of an archive about this number of remotes."""
    return min(_ARCHIVE_BASE + remotes * _ARCHIVE_PER_REMOTE, 192 * 1024 * 1024)


def read_archive(archive: bytes, names: Collection[str], aliases: Collection[str]) -> WorkerAnswers:
    """Read the answers about these remotes and proxies. Raises WorkerFault when there is no such archive."""
    if archive.count(_ENTRY) > _FEWEST_ENTRIES + 4 * (len(names) + len(aliases)):
        raise WorkerFault(FaultKind.GARBAGE, "its archive has too many files")
    room = _UNPACKED_BASE + _UNPACKED_PER_REMOTE * len(names)
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return _Archive(opened, room).answers(names, aliases)
    except _BROKEN as error:
        raise WorkerFault(FaultKind.GARBAGE, "its archive cannot be read") from error


@dataclass(slots=True)
class _Archive:
    opened: zipfile.ZipFile
    room: int
    """How many bytes more may be unpacked."""

    def answers(self, names: Collection[str], aliases: Collection[str]) -> WorkerAnswers:
        described = self._read(f"{HANDED_OVER}/{WORKER_DESCRIPTION}")
        if described is None:
            raise WorkerFault(FaultKind.FAILED, "it ended without answers")
        try:
            description = TypeAdapter(WorkerDescription).validate_json(described)
        except ValidationError as error:
            raise WorkerFault(FaultKind.GARBAGE, "what it says of itself cannot be read") from error
        remotes, strange = self._of(REMOTE_ANSWERS, RemoteAnswer, names)
        proxies, strange_proxies = self._of(PROXY_ANSWERS, ProxyAnswer, aliases)
        return WorkerAnswers(description, proxies, remotes, (*strange, *strange_proxies))

    def _of(self, folder: str, kind: type[Kind], asked: Collection[str]) -> tuple[dict[str, Kind], tuple[str, ...]]:
        adapter, prefix = TypeAdapter(kind), f"{HANDED_OVER}/{folder}/"
        expected = {f"{prefix}{file_name(name)}.json": name for name in asked}
        found = {}
        # The largest last: these may exceed the limit.
        for member in sorted(expected.keys() & set(self.opened.namelist()), key=self._size):
            try:
                answer = adapter.validate_json(self._read(member) or b"")
            except ValidationError:
                answer = None
            if answer is None or _is_too_long(answer):
                answer = kind(Outcome.ERROR, stderr="its answer cannot be read")
            found[expected[member]] = answer
        strange = tuple(
            unquote(member.removeprefix(prefix).removesuffix(".json"))
            for member in self.opened.namelist()
            if member.startswith(prefix) and member not in expected and not member.endswith("/")
        )
        return found, strange

    def _size(self, member: str) -> int:
        return self.opened.getinfo(member).file_size

    def _read(self, member: str) -> bytes | None:
        """One file of the archive; empty when it is too large."""
        try:
            info = self.opened.getinfo(member)
        except KeyError:
            return None
        # At most this size is unpacked.
        if info.file_size > min(ANSWER_BYTES, self.room):
            return b""
        self.room -= info.file_size
        with self.opened.open(info) as file:
            return file.read(ANSWER_BYTES)


def _is_too_long(answer: HostAnswer) -> bool:
    """Whether a list in an answer is longer than the parser allows."""
    facts = answer.facts if isinstance(answer, RemoteAnswer) else None
    parts = [part for part in (answer, facts) if part is not None]
    values = [getattr(part, one.name) for part in parts for one in fields(part)]
    if any(len(value) > MAX_PROCESSES for value in values if isinstance(value, tuple | dict)):
        return True
    processes = (answer.processes or ()) if isinstance(answer, RemoteAnswer) else ()
    return sum(len(process.argv) for process in processes) > MAX_ALL_ARGUMENTS + MAX_ARGV_BYTES
