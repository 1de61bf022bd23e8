"""
The round's private directory as the package and the playbook both use it: where it can lie, and its files.

Only we can enter it, and its path is short enough for the sockets of connections. A file is written whole or not at
all: whoever finds one can read it.
"""

import errno
import hashlib
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

from remotestatus_playbook.protocol import SOCKET_NAME, SOCKET_PATH, to_json

_LONGEST_NAME = 200
"""Bytes of a file's name, without its ending: file systems take 255."""


def make_private_directory() -> Path:
    """Make a new one. Raises OSError, whose `strerror` says why there is none."""
    failure = os.strerror(errno.ENAMETOOLONG)
    for parent in short_parents(len("rs-12345678")):
        try:
            return Path(tempfile.mkdtemp(prefix="rs-", dir=parent))
        except OSError as error:
            failure = error.strerror or str(error)
    raise OSError(errno.EIO, f"no private directory could be made: {failure}")


def short_parents(name_bytes: int) -> list[str]:
    """The folders in which a directory with so long a name has room for sockets, the best first."""
    candidates = (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp")  # noqa: S108
    longest = SOCKET_PATH - SOCKET_NAME - len("//") - name_bytes
    return [parent for parent in candidates if parent and len(os.fsencode(parent)) <= longest]


def answer_file(workdir: Path, folder: str, name: str) -> Path:
    """Where the answer of a proxy or remote is written, in one of the folders of answers."""
    return workdir / folder / f"{file_name(name)}.json"


def file_name(name: str) -> str:
    """A host's name as a file's: quoted, and where that is longer than a file system takes, cut and made unique."""
    quoted = quote(name, safe="")
    if len(quoted) <= _LONGEST_NAME:
        return quoted
    return f"{quoted[: _LONGEST_NAME - 33]}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def write_whole(path: Path, value: object) -> None:
    """Write a value as JSON, whole or not at all."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(to_json(value))
    unfinished.rename(path)
