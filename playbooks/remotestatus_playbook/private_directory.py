"""
The round's private directory, for package and playbook: its location and its files.

It has mode 0700, and its path is short enough for control sockets. Files are written atomically.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from remotestatus_playbook.protocol import ALIKE, SOCKET_NAME, SOCKET_PATH, to_json

_LONGEST_NAME = 200
"""Bytes of a file's name, without its ending: file systems take 255."""


MARKER = ".remotestatus-round"
"""The marker file with the owner process, so that a dead process's directory can be removed."""

_NAME = re.compile(r"rs-\w{8}", re.ASCII)


def make_private_directory(owner: int) -> Path:
    """Make a new one for the process `owner`. Raises OSError with the reason in `strerror`."""
    failures = []
    for parent in short_parents(len("rs-12345678")):
        made = None
        try:
            made = Path(tempfile.mkdtemp(prefix="rs-", dir=parent))
            (made / MARKER).write_text(json.dumps([owner, *_identity(owner)]))
        except OSError as error:
            failures.append(f"{parent}: {error.strerror or error}")
            if made is not None:
                # Without a marker it would never be removed.
                shutil.rmtree(made, ignore_errors=True)
        else:
            return made
    failure = "; ".join(failures) or f"{tempfile.gettempdir()}: {os.strerror(errno.ENAMETOOLONG)}"
    raise OSError(errno.EIO, f"no private directory could be made in {failure}")


def dead_directories() -> Iterator[Path]:
    """Our private directories of dead processes: only ours, with mode 0700, and a marker."""
    for parent in {*short_parents(len("rs-12345678")), f"/run/user/{os.getuid()}"}:
        with suppress(OSError):
            for folder in Path(parent).iterdir():
                if _NAME.fullmatch(folder.name) and _is_dead(folder):
                    yield folder


def _is_dead(folder: Path) -> bool:
    try:
        found, marker = folder.lstat(), (folder / MARKER).lstat()
        private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == stat.S_IRWXU
        if not private or {found.st_uid, marker.st_uid} != {os.getuid()} or not stat.S_ISREG(marker.st_mode):
            return False
        with (folder / MARKER).open() as file:
            owner, boot, namespace, started = json.loads(file.read(1000))
    except (OSError, ValueError, TypeError, RecursionError):
        return False
    ours = _identity(os.getpid())
    if (boot, namespace) != ours[:2]:
        # A process from before the last boot is dead; one of another container is unknown.
        return bool(boot) and boot != ours[0]
    now = _identity(int(owner))[2]
    return bool(ours[2]) and (not now or now != started)


def _identity(pid: int) -> tuple[str, str, str]:
    """Identify a process even if its pid is reused: by boot, container, and start time."""
    boot = namespace = started = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    with suppress(OSError, IndexError):
        # Fields of proc(5) behind the program's name, which may hold anything: the start time is number 22.
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return boot, namespace, started


def short_parents(name_bytes: int) -> list[str]:
    """The folders in which sockets fit below a directory with a name of this length, the best first."""
    candidates = (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp")  # noqa: S108
    longest = SOCKET_PATH - SOCKET_NAME - len("//") - name_bytes
    return list(dict.fromkeys(parent for parent in candidates if parent and len(os.fsencode(parent)) <= longest))


def answer_file(workdir: Path, folder: str, name: str) -> Path:
    """Where the answer of a proxy or remote is written, in one of the folders of answers."""
    return workdir / folder / f"{file_name(name)}.json"


def read_alike(folder: Path) -> Iterator[tuple[Sequence[str], dict[str, object]]]:
    """Shared answers in a folder: the names of the remotes, and the answer as plain values."""
    for path in folder.glob(f"*{ALIKE}"):
        found = json.loads(path.read_text())
        yield found["names"], found["answer"]


def file_name(name: str) -> str:
    """A host's name as a file's: quoted, and where that is longer than a file system takes, cut and made unique."""
    quoted = quote(name, safe="")
    if len(quoted) <= _LONGEST_NAME:
        return quoted
    return f"{quoted[: _LONGEST_NAME - 33]}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def write_pipe(path: Path, value: object) -> None:
    """Write a value as one line of JSON into a named pipe, if the pipe exists."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_WRONLY)
        with open(descriptor, "wb") as pipe:  # noqa: PTH123 - it is open already
            pipe.write(f"{to_json(value)}\n".encode())


def write_whole(path: Path, value: object) -> None:
    """Write a value as JSON, whole or not at all."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(to_json(value))
    unfinished.rename(path)
