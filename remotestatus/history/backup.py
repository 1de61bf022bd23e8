"""
Makes a daily backup of the history.

A backup is a file beside the history with the date in its name. SQLite's backup API makes it consistent, and a rename
makes it appear whole or not at all.
"""

import os
import re
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from remotestatus.history.database import History
from remotestatus.model.errors import RoundError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def back_up(history: History, now: datetime, kept: int) -> None:
    """
    Make today's backup unless it exists, and keep only the newest `kept`.

    Backups dated in the future, from a wrong clock, count as the oldest. Raises RoundError when it cannot be written.
    """
    copies = backups(history.path)
    today = _path_of(history.path, f"{now:%Y-%m-%d}")
    try:
        if kept and today not in copies:
            _copy(history, today)
            copies.append(today)
        copies.sort(key=lambda path: (path.name <= today.name, path.name), reverse=True)
        for path in copies[kept:]:
            path.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise RoundError(
            f"the day's copy of the history was not made: {today}: {why}; the next round tries again"
        ) from error


def backups(database: Path) -> list[Path]:
    """The backups of a history, oldest first."""
    real = Path(os.path.realpath(database))
    found = real.parent.glob(f"{real.name}.backup-*")
    return sorted(path for path in found if _DAY.fullmatch(path.name.removeprefix(f"{real.name}.backup-")))


def newest_backup(database: Path) -> Path | None:
    """The newest backup of a history, or None."""
    return next(reversed(backups(database)), None)


def _path_of(database: Path, day: str) -> Path:
    real = Path(os.path.realpath(database))
    return real.with_name(f"{real.name}.backup-{day}")


def _copy(history: History, target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(unfinished)) as copy:
            history.connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
