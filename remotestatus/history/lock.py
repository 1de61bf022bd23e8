"""
Allows only one round at a time on a history.

It holds `<history>.lock` while the `with` lasts. The lock is a flock(2), which the kernel releases when the process
ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from remotestatus.model.errors import RoundError, RoundRunning


@contextmanager
def only_round(database: Path) -> Iterator[None]:
    """Hold the lock; raises RoundRunning when another round has it, RoundError when it can't be made."""
    # Resolve symlinks, so that each path to it gives one lock.
    real = Path(os.path.realpath(database))
    path = real.with_name(real.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RoundError(
            f"cannot write {path}: {error.strerror}; check its folder's owner and mode, or set remotestatus_database"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 100, 0).decode("ascii", "replace").strip() or "another process"
            raise RoundRunning(
                f"another round is running (process {holder}); wait until it has finished, or end that process"
            ) from None
        with suppress(OSError):
            # The process id is for the message only: a full disk must not prevent the lock.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
