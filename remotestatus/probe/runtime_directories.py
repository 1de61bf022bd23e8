"""
Makes the private directory of a round, removes those of killed rounds, and makes the one for SSH connections that are
kept from round to round (`remotestatus_keep_connections`).

All have mode 0700, and paths short enough for sockets.
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
"""Check intervals after which an unused connection ends: one round may be late or fail."""


def make_round_directory() -> Path:
    """
    Make the private directory of this round, and remove those of rounds that were killed.

    Raises RoundError when it cannot be made.
    """
    remove_dead_directories()
    try:
        return make_private_directory(os.getpid())
    except OSError as error:
        raise RoundError(f"{error.strerror}; is TMPDIR writable?") from error


def remove_dead_directories() -> list[Path]:
    """Remove what killed rounds left: open connections, and directories."""
    dead = list(dead_directories())
    for folder in dead:
        with suppress(OSError):
            end_connections(folder)
            # Ansible may still run: after the rename it cannot write there any more.
            moved = folder.rename(folder.with_name(f"rs-{secrets.token_hex(4)}"))
            shutil.rmtree(moved, ignore_errors=True)
    return dead


def seconds_kept(every: timedelta) -> int:
    """Seconds for which a connection is kept after its last use, at this check interval."""
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
    """End the kept connections of earlier rounds."""
    for folder in kept_folders(database):
        with suppress(OSError):
            if _is_private(folder):
                end_connections(folder)
                shutil.rmtree(folder, ignore_errors=True)  # each removes its socket a moment after its end


def kept_folders(database: Path) -> list[Path]:
    """The possible folders for sockets of kept connections: the first usable one is taken."""
    name = "remotestatus-" + hashlib.sha256(str(database).encode()).hexdigest()[:8]
    return [Path(parent) / name for parent in short_parents(len(name)) if os.access(parent, os.W_OK)]


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
