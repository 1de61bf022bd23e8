"""
The private directory of a round, and what rounds that were killed have left.

Nothing comes in; a folder that only we can enter goes out, with a path short enough for sockets.
"""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from remotestatus_playbook.control_socket import end_connections
from remotestatus_playbook.private_directory import dead_directories, make_private_directory

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
            end_connections(folder)
            # Ansible may not have noticed yet: under another name it finds nothing to write to any more.
            moved = folder.rename(folder.with_name(f"rs-{secrets.token_hex(4)}"))
            shutil.rmtree(moved, ignore_errors=True)
    return dead
