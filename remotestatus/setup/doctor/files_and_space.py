"""Checks the files that a round writes: the page's folder and the history."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from remotestatus.history import History, what_is_damaged
from remotestatus.model.errors import RoundError
from remotestatus.model.text import say_bytes
from remotestatus.model.untrusted_text import one_line
from remotestatus.report import examine_site
from remotestatus.setup.doctor.examined import Examined, Result, fine, warning, wrong

_LEAST_BYTES = 50_000_000
_FEW_BYTES = 500_000_000
_LEAST_FILES = 1_000
_FORGETFUL = ("tmpfs", "ramfs")
_DISTANT = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "fuse.glusterfs")


def check_site(examined: Examined) -> Iterator[Result]:
    """Check that the page's folder can be written or made, and has no files of others."""
    inventory = examined.inventory
    yield from _check_site(inventory.site, "set remotestatus_site to another folder")
    for page in inventory.fleet.pages:
        yield from _check_site(
            inventory.resolve(page.spec.site), "set its site in remotestatus_pages to another folder"
        )


def _check_site(site: Path, variable: str) -> Iterator[Result]:
    try:
        examine_site(site.resolve())
    except RoundError as error:
        yield wrong(str(error))
        return
    problem = _unwritable(site if site.is_dir() else site.parent)
    if problem:
        yield wrong(f"the page cannot be written to {site}: {problem}", f"correct owner and mode, or {variable}")
        return
    yield from _check_space(site, "the page")
    yield fine(f"the page can be written to {site}")


def check_database(examined: Examined) -> Iterator[Result]:
    """Check that the history can be written, is intact, and is on a local disk."""
    path = examined.inventory.database
    variable = "set remotestatus_database to another file"
    problem = _unwritable(path.parent)
    if problem:
        yield wrong(f"the history cannot be written to {path}: {problem}", f"correct owner and mode, or {variable}")
    elif path.exists() and not os.access(path, os.W_OK):
        yield wrong(f"the history {path} cannot be written by this user", f"chown it to who runs rounds, or {variable}")
    kind = _file_system(path)
    if kind in _FORGETFUL:
        yield warning(f"the history {path} lies in memory ({kind}): it is lost when the machine restarts", variable)
    elif kind in _DISTANT:
        yield warning(f"the history {path} lies on another machine ({kind}), where SQLite's locks may fail", variable)
    yield from _check_space(path, "the history")
    if not path.exists():
        if not problem:
            yield fine(f"the history will be made at {path}")
        return
    try:
        if damage := what_is_damaged(path):
            yield wrong(
                f"the history {path} is damaged: {one_line(damage, 200)}",
                "remotestatus doctor --repair sets it aside and keeps what can be read, as the next round does",
            )
            return
        with History.open(path, read_only=True):
            pass
    except RoundError as error:
        yield wrong(str(error))
    else:
        if not problem:
            yield fine(f"the history {path} is whole ({say_bytes(path.stat().st_size)})")


def _unwritable(folder: Path) -> str:
    """Why a folder, or its first existing parent, is not writable; empty if it is."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        return f"{there} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return f"{there}: {(error.strerror or str(error)).lower()}"


def _check_space(path: Path, what: str) -> Iterator[Result]:
    there = next(place for place in (path, *path.parents) if place.exists())
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    if free < _LEAST_BYTES:
        yield wrong(f"{say_bytes(free)} are free for {what} in {there}", "make room on that disk")
    elif free < _FEW_BYTES:
        yield warning(f"only {say_bytes(free)} are free for {what} in {there}", "make room on that disk")
    if found.f_files and found.f_favail < _LEAST_FILES:
        yield wrong(f"{what}: the disk of {there} can take only {found.f_favail} more files", "remove files there")


def _file_system(path: Path) -> str:
    there = next(place for place in (path, *path.parents) if place.exists()).resolve()
    mounts = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    return next((mounts[place] for place in (there, *there.parents) if place in mounts), "")
