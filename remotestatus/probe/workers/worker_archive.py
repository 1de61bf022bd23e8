"""
Reads the answers in the archive that a worker sends.

Takes the bytes of a zip file and what was asked; returns answers. Nothing is unpacked: what is expected is looked up by
its name and read into memory up to a limit on each answer and one on all of them. An answer about something that was
not asked for is refused and told.
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
"""What one answer may hold: real ones hold a hundredth of that."""

_UNPACKED_BASE = 16 * 1024 * 1024
_UNPACKED_PER_REMOTE = 256 * 1024
"""What all answers together may hold: several times what real ones do, also where a few remotes flood."""

_ENTRY = b"PK\x01\x02"
"""With this begins each entry of an archive's directory (APPNOTE.TXT of PKWARE, 4.3.12)."""

_FEWEST_ENTRIES = 1000
"""So many entries may the directory have in any case: ansible-runner has files of its own."""

_ARCHIVE_BASE = 16 * 1024 * 1024
_ARCHIVE_PER_REMOTE = 1024 * 1024
_BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)

Kind = TypeVar("Kind", bound=HostAnswer)


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
        # The largest last: it is they that there may be no room for.
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
        """One file of the archive; empty, which no answer is, when it is too large."""
        try:
            info = self.opened.getinfo(member)
        except KeyError:
            return None
        # No more than this size is unpacked, whatever there is.
        if info.file_size > min(ANSWER_BYTES, self.room):
            return b""
        self.room -= info.file_size
        with self.opened.open(info) as file:
            return file.read(ANSWER_BYTES)


def _is_too_long(answer: HostAnswer) -> bool:
    """Whether an answer lists more than the longest list that is read of what a remote prints."""
    facts = answer.facts if isinstance(answer, RemoteAnswer) else None
    parts = [part for part in (answer, facts) if part is not None]
    values = [getattr(part, one.name) for part in parts for one in fields(part)]
    if any(len(value) > MAX_PROCESSES for value in values if isinstance(value, tuple | dict)):
        return True
    processes = (answer.processes or ()) if isinstance(answer, RemoteAnswer) else ()
    return sum(len(process.argv) for process in processes) > MAX_ALL_ARGUMENTS + MAX_ARGV_BYTES
