"""
Lets one round at a time work on a history.

Takes the history's path; holds `<history>.lock` while the `with` lasts. The lock is the kernel's (flock), so it goes
with the process that holds it, however that ends.
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
    # Of the file itself: the path may lead to it through a link.
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
            # Only for who finds it locked: a disk that is full keeps nobody from holding the lock.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
