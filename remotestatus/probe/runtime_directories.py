"""
The private directories of rounds: one that goes with its round, and one that keeps connections from round to round.

Takes nothing, or the history that the connections belong to; returns folders that only we can enter, with paths short
enough for sockets.
"""

import hashlib
import os
import secrets
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from remotestatus_playbook.private_directory import dead_directories, make_private_directory, short_parents

from remotestatus.model.errors import RoundError


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
            _end_connections(folder)
            # Ansible may not have noticed yet: under another name it finds nothing to write to any more.
            moved = folder.rename(folder.with_name(f"rs-{secrets.token_hex(4)}"))
            shutil.rmtree(moved, ignore_errors=True)
    return dead


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
                _end_connections(folder)
                shutil.rmtree(folder)


def _end_connections(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_socket():
            command = ["ssh", "-F", "none", "-S", str(path), "-O", "exit", "any"]
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)


def kept_folders(database: Path) -> list[Path]:
    """Where the sockets of connections that outlive a round may lie: the first that can be made is taken."""
    name = "remotestatus-" + hashlib.sha256(str(database).encode()).hexdigest()[:8]
    return [Path(parent) / name for parent in short_parents(len(name)) if os.access(parent, os.W_OK)]


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
