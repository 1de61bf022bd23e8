"""
The private directories of rounds: that of this one, what rounds that were killed have left, and the one for SSH
connections that are kept from round to round (`remotestatus_keep_connections`).

The history that kept connections belong to comes in; folders that only we can enter go out, with paths short enough for
sockets.
"""

import hashlib
import os
import secrets
import shutil
import stat
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from remotestatus_playbook.control_socket import end_connections
from remotestatus_playbook.private_directory import dead_directories, make_private_directory, short_parents

from remotestatus.model.errors import RoundError

KEPT_INTERVALS = 2.5
"""A connection that is not used ends by itself after so many check intervals: one round may be late or fail."""


def make_round_directory() -> Path:
    """
    Make the private directory of this round, and remove those of rounds that were killed.

    Raises RoundError when there is no place for it.
    """
    remove_dead_directories()
    try:
        return make_private_directory(os.getpid())
    except OSError as error:
        raise RoundError(f"{error.strerror}; is TMPDIR writable?") from error


def remove_dead_directories() -> list[Path]:
    """Remove what rounds left that were killed: connections that still stand there, and the directories."""
    dead = list(dead_directories())
    for folder in dead:
        with suppress(OSError):
            end_connections(folder)
            # Ansible may not have noticed yet: under another name it finds nothing to write to any more.
            moved = folder.rename(folder.with_name(f"rs-{secrets.token_hex(4)}"))
            shutil.rmtree(moved, ignore_errors=True)
    return dead


def seconds_kept(every: timedelta) -> int:
    """How long a connection is kept after its last use, when a round is due in each such interval."""
    return round(every.total_seconds() * KEPT_INTERVALS)


def make_kept_folder(database: Path) -> Path:
    """Make the folder for connections that outlive a round. Raises RoundError when there is no place for it."""
    for folder in kept_folders(database):
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            if _is_private(folder):
                return folder
    raise RoundError("no private directory for kept connections could be made; unset remotestatus_keep_connections")


def end_kept_connections(database: Path) -> None:
    """End what earlier rounds kept, now that connections are no longer to be kept."""
    for folder in kept_folders(database):
        with suppress(OSError):
            if _is_private(folder):
                end_connections(folder)
                shutil.rmtree(folder, ignore_errors=True)  # each removes its socket a moment after its end


def kept_folders(database: Path) -> list[Path]:
    """Where the sockets of connections that outlive a round may lie: the first that can be made is taken."""
    name = "remotestatus-" + hashlib.sha256(str(database).encode()).hexdigest()[:8]
    return [Path(parent) / name for parent in short_parents(len(name)) if os.access(parent, os.W_OK)]


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
