"""
Updates the site's folder file by file, and never changes files that it did not write.

A page has a version (`data-version`); a page with the current version is neither rendered nor written again. Many pages
are rendered by several processes. New files are first written to a folder inside the site, then renamed: assets,
machine formats and pages, each page before the round file with its version, `index.html` last. So a reader gets each
file whole, old or new. The folder itself is never replaced, so bind mounts, web servers and `cp -R` keep working. A
marker file lists our files; a non-empty folder without it is refused.
"""

import ctypes
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from remotestatus_playbook.shared_evaluation import by_processes

from remotestatus.model.errors import RoundError

MARKER = ".remotestatus-site"
PAGE_END = b"</html>"
"""The end of every page; a page without it was cut."""

_NOT_WRITTEN = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
"""Errors that fsync(2) may report for written files."""

_NEW = ".remotestatus-new"
_ABOUT = "Written by remotestatus. The files listed here are replaced and removed by it; others are left alone."

Turn = tuple[int, str, int]

_AT_ONCE = 5000
"""Files that are collected before they are made together."""

_WORTH_SHARING = 500
"""Fewest files that several processes make: starting one costs as much as some dozens of pages."""

_PROCESSES = 8

_EACH_BY_ITSELF = 100
"""Most files that are synced one by one."""


@dataclass(frozen=True, slots=True)
class SiteFile:
    """
    A file of the site: its path, and the function that makes it.

    A page has a `version`; a file without one is made and compared each time. `turn` is the order of the renames.
    """

    path: str
    make: Callable[[], bytes]
    version: str = ""
    turn: Turn = (1, "", 0)


def write_site(site: Path, files: Iterable[SiteFile]) -> None:
    """
    Make `site` hold these files and no others of ours.

    Raises RoundError, with the cure, when that is not possible. A full disk, a folder that cannot be written and one
    that is not ours are noticed before anything is replaced.
    """
    site = Path(os.path.realpath(site))
    try:
        _update(site, files, examine_site(site))
    except OSError as error:
        raise RoundError(_unwritable(site, error)) from error


def examine_site(site: Path) -> frozenset[str]:
    """List the files that we wrote before; changes nothing. Raises RoundError when the folder is not ours."""
    if not site.exists():
        return frozenset()
    if not site.is_dir():
        raise RoundError(f"the site {site} is a file; set remotestatus_site to a folder of its own")
    try:
        return frozenset(str(path) for path in json.loads((site / MARKER).read_text("utf-8"))["files"])
    except FileNotFoundError:
        if any(site.iterdir()):
            raise RoundError(
                f"the folder {site} holds files that remotestatus did not write; nothing was changed there: "
                "set remotestatus_site to an empty or new folder"
            ) from None
        return frozenset()
    except (ValueError, KeyError, TypeError, RecursionError):
        # A damaged marker is still a marker, but lists nothing, so nothing is removed.
        return frozenset()


def _update(site: Path, files: Iterable[SiteFile], ours: frozenset[str]) -> None:
    new = site / _NEW
    shutil.rmtree(new, ignore_errors=True)  # left by a killed round
    try:
        listed, moves = _write_changed(site, new, files)
        gone = sorted(path for path in ours - listed if _is_inside(site, path))
        # The marker is replaced first, with old and new files, so that the next round knows all our files even if this
        # one is killed.
        if listed - ours or not (site / MARKER).exists():
            _write(new / MARKER, _marker([*listed, *gone]))
            moves.insert(0, MARKER)
        _sync(new, [path for path in moves if path in ours])
        for folder in {path.rpartition("/")[0] for path in moves}:
            _make_folder(site / folder)
        for path in moves:
            (new / path).replace(site / path)
        for path in gone:
            with suppress(OSError, ValueError):
                (site / path).unlink(missing_ok=True)
        if gone:
            _write(new / MARKER, _marker(listed))
            (new / MARKER).replace(site / MARKER)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _write_changed(site: Path, new: Path, files: Iterable[SiteFile]) -> tuple[frozenset[str], list[str]]:
    """Write what has changed into the folder `new`; returns all paths, and those to be moved, in their order."""
    listed: set[str] = set()
    moves: dict[str, Turn] = {}
    waiting: list[SiteFile] = []
    for file in files:
        listed.add(file.path)
        if file.version and _has_version(site / file.path, file.version):
            continue
        waiting.append(file)
        if len(waiting) == _AT_ONCE:
            moves |= _make_by_several(site, new, waiting)
            waiting = []
    moves |= _make_by_several(site, new, waiting)
    return frozenset(listed), sorted(moves, key=lambda path: (moves[path], path))


def _make_by_several(site: Path, new: Path, files: Sequence[SiteFile]) -> dict[str, Turn]:
    """
    Make these files, and write those that are not there already into `new`; returns which, with their turns.

    Many are made by as many processes as there are processors.
    """
    _make_folder(site)
    processes = min(os.cpu_count() or 1, _PROCESSES)
    if processes == 1 or len(files) < _WORTH_SHARING:
        return {file.path: file.turn for file in files if _make_file(site, new, file)}
    written = by_processes(range(len(files)), lambda place: _make_file(site, new, files[place]), processes)
    return {files[place].path: files[place].turn for place, is_new in written.items() if is_new}


def _make_file(site: Path, new: Path, file: SiteFile) -> bool:
    content = file.make()
    if _holds(site / file.path, content):
        return False
    _write(new / file.path, content)
    return True


def _has_version(path: Path, version: str) -> bool:
    """Whether a page is there in this version, and complete."""
    try:
        with path.open("rb") as file:
            begin = file.read(1000)
            file.seek(max(0, os.fstat(file.fileno()).st_size - len(PAGE_END)))
            end = file.read()
    except IsADirectoryError:
        raise
    except OSError:
        return False
    return f' data-version="{version}"'.encode() in begin and end == PAGE_END


def _is_inside(site: Path, path: str) -> bool:
    """Whether a path of the marker, which may be edited, is inside the site."""
    try:
        return Path(os.path.realpath((site / path).parent)).is_relative_to(site)
    except ValueError:
        return False


def _marker(files: Iterable[str]) -> bytes:
    return (json.dumps({"about": _ABOUT, "files": sorted(files)}, indent=0) + "\n").encode()


def _holds(path: Path, content: bytes) -> bool:
    """Whether a file has this content. Raises IsADirectoryError if it is a folder."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size == len(content) and file.read() == content
    except IsADirectoryError:
        raise
    except OSError:
        return False


def _make_folder(folder: Path) -> None:
    """Make a folder that everyone may read; an existing one keeps its mode."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _write(path: Path, content: bytes) -> None:
    """Write a file that everyone may read, and make its folder if it is the first one there."""
    try:
        with path.open("wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content)


def _sync(new: Path, replacing: Sequence[str]) -> None:
    """
    Sync files that replace others, so that a power cut leaves none empty.

    syncfs is cheaper for many files, but waits for all other writes to that disk, perhaps a minute.
    """
    if len(replacing) > _EACH_BY_ITSELF:
        with suppress(AttributeError):  # without syncfs, the system writes them when it likes
            _sync_all(new)
        return
    for path in replacing:
        with (new / path).open("rb") as file:
            os.fsync(file.fileno())


def _sync_all(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) and (code := ctypes.get_errno()) in _NOT_WRITTEN:
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(descriptor)


def _unwritable(site: Path, error: OSError) -> str:
    where = error.filename or site
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            cure = "make room on that disk"
        case errno.EACCES | errno.EPERM:
            cure = f"let the user that runs remotestatus write to {site}, or set remotestatus_site"
        case errno.EROFS:
            cure = "it is on a read-only file system; set remotestatus_site to another folder"
        case errno.EISDIR:
            cure = "a folder is in the place of a file: move it away"
        case _:
            cure = "check the folder, or set remotestatus_site to another one"
    return f"the page was not written, the old one stays: {where}: {error.strerror}; {cure}"
