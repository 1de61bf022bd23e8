"""
Puts a folder of files in the place of an older one, whole, without ever touching what is not ours.

The folder and its new files come in. A marker file in it, with the list of what we wrote, says that it is ours: a
folder without it that holds anything is refused, and what others added to ours is carried along. Leftovers of runs
that were killed are removed by the next one.
"""

import ctypes
import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from remotestatus.model.errors import RoundError

MARKER = ".remotestatus-site"
_ABOUT = "Written by remotestatus. The files listed here are replaced and removed by it; others are left alone."
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_NOT_SWAPPABLE = {errno.EBUSY, errno.EXDEV}
_NOT_EXCHANGEABLE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


def swap_site(site: Path, files: Mapping[str, bytes]) -> None:
    """Make `site` hold `files`, by their relative path. Raises RoundError, with the cure; the old site then stays."""
    site = site.resolve()
    try:
        ours = examine_site(site)
        site.parent.mkdir(parents=True, exist_ok=True)
        files = {**files, MARKER: _marker(files)}
        if os.path.ismount(site) or not _swap_whole(site, files, ours):
            _replace_each(site, files, ours)
    except OSError as error:
        raise RoundError(_unwritable(site, error)) from error
    _remove_leftovers(site)


def examine_site(site: Path) -> frozenset[str]:
    """What we wrote there before; changes nothing. Raises RoundError when the folder is somebody else's."""
    if not site.exists():
        return frozenset()
    if not site.is_dir():
        raise RoundError(f"the site {site} is a file; set remotestatus_site to a folder of its own")
    try:
        written = json.loads((site / MARKER).read_text("utf-8"))
        return frozenset(str(path) for path in written["files"]) | {MARKER}
    except FileNotFoundError:
        if any(site.iterdir()):
            raise RoundError(
                f"the folder {site} holds files that remotestatus did not write; nothing was changed there: "
                "set remotestatus_site to an empty or new folder"
            ) from None
        return frozenset()
    except (ValueError, KeyError, TypeError):
        # A damaged marker is still a marker: nothing is known to be ours, so nothing is removed.
        return frozenset({MARKER})


def _marker(files: Mapping[str, bytes]) -> bytes:
    return (json.dumps({"about": _ABOUT, "files": sorted(files)}, indent=0) + "\n").encode()


def _swap_whole(site: Path, files: Mapping[str, bytes], ours: frozenset[str]) -> bool:
    """Write a new folder beside the old one and exchange them; False when that is not possible here."""
    try:
        new = Path(tempfile.mkdtemp(prefix=f".{site.name}.new-", dir=site.parent))
    except PermissionError:
        if site.is_dir():
            return False
        raise
    try:
        _write(new / MARKER, files[MARKER])
        _fill(new, site, files, ours)
        _take_mode(new, site)
        _sync(new)
        return _exchange(new, site)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _fill(new: Path, old: Path, files: Mapping[str, bytes], ours: frozenset[str]) -> None:
    for folder in {Path(path).parent for path in files}:
        (new / folder).mkdir(parents=True, exist_ok=True)
        (new / folder).chmod(0o755)
    for path, content in files.items():
        if path != MARKER and not _link_same(old / path, new / path, content):
            _write(new / path, content)
    for other in _others(old, files, ours):
        target = new / other
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(old / other, target, follow_symlinks=False)
        except OSError:
            shutil.copy2(old / other, target, follow_symlinks=False)


def _link_same(old: Path, new: Path, content: bytes) -> bool:
    """Take an old file over if it holds the same; False when it has to be written."""
    try:
        found = os.lstat(old)
        if not stat.S_ISREG(found.st_mode) or found.st_size != len(content) or not found.st_mode & stat.S_IROTH:
            return False
        if old.read_bytes() != content:
            return False
        os.link(old, new)
    except OSError:
        return False
    return True


def _others(old: Path, files: Mapping[str, bytes], ours: frozenset[str]) -> Iterable[Path]:
    """Files in our folder that somebody else put there."""
    if not old.is_dir():
        return
    for folder, _, names in os.walk(old):
        for name in names:
            path = Path(folder, name).relative_to(old)
            if str(path) not in ours and str(path) not in files:
                yield path


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), 0o644)


def _take_mode(new: Path, old: Path) -> None:
    """Give the new folder the old one's mode and group, which an administrator may have chosen; else all may read."""
    try:
        found = old.stat()
    except FileNotFoundError:
        new.chmod(0o755)
        return
    if found.st_gid != new.stat().st_gid:
        with suppress(OSError):
            os.chown(new, -1, found.st_gid)
    new.chmod(stat.S_IMODE(found.st_mode))


def _sync(folder: Path) -> None:
    """Bring everything to the disk at once: cheaper than each of thousands of files by itself."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        syncfs = getattr(_libc(), "syncfs", None)
        if syncfs is None or syncfs(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)


def _exchange(new: Path, site: Path) -> bool:
    if not site.exists():
        new.rename(site)
        _sync_folder(site.parent)
        return True
    code = _rename_exchange(new, site)
    if code in _NOT_EXCHANGEABLE:
        code = _rename_pair(new, site)
    if code in _NOT_SWAPPABLE:
        return False
    if code:
        raise OSError(code, os.strerror(code), str(site))
    _sync_folder(site.parent)
    return True


def _rename_exchange(one: Path, other: Path) -> int:
    """Exchange two folders in one step (renameat2(2)); returns an errno, 0 for success."""
    renameat2 = getattr(_libc(), "renameat2", None)
    if renameat2 is None:
        return errno.ENOSYS
    failed = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return ctypes.get_errno() if failed else 0


def _rename_pair(new: Path, site: Path) -> int:
    """Two renames: where exchanging is not known, the site is away for an instant."""
    aside = new.with_name(new.name.replace(".new-", ".old-"))
    try:
        site.rename(aside)
    except OSError as error:
        return error.errno or errno.EIO
    try:
        new.rename(site)
    except OSError as error:
        aside.rename(site)
        return error.errno or errno.EIO
    shutil.rmtree(aside, ignore_errors=True)
    return 0


def _libc() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace_each(site: Path, files: Mapping[str, bytes], ours: frozenset[str]) -> None:
    """Replace file by file: assets first, pages later, the summary last, and then what is no longer wanted goes."""
    site.mkdir(exist_ok=True)
    for folder in {Path(path).parent for path in files}:
        (site / folder).mkdir(parents=True, exist_ok=True)
    changed = [path for path, content in files.items() if not _same(site / path, content)]
    changed.sort(key=lambda path: (path == "index.html", path == MARKER, not path.startswith("assets/")))
    waiting: list[tuple[Path, Path]] = []
    try:
        # All is written before anything is replaced, so that a full disk changes nothing.
        for path in changed:
            target = site / path
            beside = target.with_name(f".{target.name[:200]}.new")
            waiting.append((beside, target))
            _write(beside, files[path])
        _sync(site)
        for beside, target in waiting:
            beside.replace(target)
    finally:
        for beside, _ in waiting:
            beside.unlink(missing_ok=True)
    for path in ours - files.keys():
        with suppress(OSError):
            (site / path).unlink(missing_ok=True)


def _same(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _remove_leftovers(site: Path) -> None:
    for kind in ("new", "old"):
        for folder in site.parent.glob(f".{site.name}.{kind}-*"):
            if (folder / MARKER).is_file() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)


def _unwritable(site: Path, error: OSError) -> str:
    where = error.filename or site
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            cure = "make room on that disk"
        case errno.EACCES | errno.EPERM:
            cure = f"let the user that runs remotestatus write to {site.parent}, or set remotestatus_site"
        case errno.EROFS:
            cure = "it is on a read-only file system; set remotestatus_site to another folder"
        case _:
            cure = "check the folder, or set remotestatus_site to another one"
    return f"the page was not written, the old one stays: {where}: {error.strerror}; {cure}"
