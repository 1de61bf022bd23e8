"""
Reads the table that df prints: how full each local file system is, and how many of its inodes are used.

Without disks the facts get a note that says why.
"""

import re
from dataclasses import replace
from itertools import islice

from remotestatus_playbook.machine_facts import OF_A_CONTAINER, Disk, Facts
from remotestatus_playbook.probe_frame import Frame, text_of, whole

MAX_DISKS = 500
MAX_DISK_BYTES = 256 * 1024
MAX_DISK_TABLES = 4
"""The probe asks df twice at most."""

FULLEST = 1000
"""The highest accepted percentage: a file system may exceed 100 when root's reserve is used."""

NOTE_DISKS_HUNG = "disks are unknown: df did not answer in time"
NOTE_DISKS_FAILED = "disks are unknown: df gave nothing that could be read"

_WORD = re.compile(rb"\S+")
_PSEUDO = re.compile(
    "auto_home|autofs|cgroup|dev|devfs|devpts|devtmpfs|efivarfs|fdescfs|fusectl|linprocfs|linsysfs|map|mqueue|none|"
    "proc|procfs|ramfs|rootfs|run|shm|squashfs|swap|sysfs|tmpfs|tracefs|udev|/dev/loop.*"
)


def read_disks(frame: Frame, facts: Facts) -> Facts:
    """Read the first table that has any disk, and the one of its inodes behind it."""
    hung = False
    for section in islice(frame.sections("disks"), MAX_DISK_TABLES):
        text = frame.content(section, MAX_DISK_BYTES)
        code = re.search(frame.marker + rb":exit (\d{1,3})\n", text)
        hung = hung or not section.finished or bool(code and code[1] == b"124")
        table, _, inodes = text.partition(frame.marker + b":inodes\n")
        disks = [disk for line in table.split(b"\n")[: 10 * MAX_DISKS] if (disk := _disk(line))]
        if section.finished and disks:
            shares = _inode_shares(inodes)
            return replace(
                facts, disks=tuple(replace(disk, inodes_percent=shares.get(disk.mount)) for disk in disks[:MAX_DISKS])
            )
    return replace(facts, notes=(*facts.notes, NOTE_DISKS_HUNG if hung else NOTE_DISKS_FAILED))


def _inode_shares(table: bytes) -> dict[str, float]:
    """Read what `df -Pi` prints, by mount point. A file system without a fixed number of inodes has no share."""
    found = (_disk(line) for line in table.split(b"\n")[: 10 * MAX_DISKS])
    return {disk.mount: disk.percent for disk in found if disk and disk.percent <= 100}


def _disk(line: bytes) -> Disk | None:
    """
    Read one line of `df -Pk` or `df -Pi`, if it is a filesystem that can fill up: not memory, not a snap's image.
    """
    line = line[:4096].strip()
    # The filesystem and the mount point may hold spaces; between them are three numbers and a share.
    words = list(_WORD.finditer(line))
    texts = [word[0] for word in words]
    for at in range(1, len(texts) - 4):
        if not (texts[at + 3].endswith(b"%") and texts[at + 4].startswith(b"/")):
            continue
        size, used, percent = whole(texts[at]), _signed(texts[at + 1]), whole(texts[at + 3].removesuffix(b"%"))
        if size is not None and used is not None and percent is not None and _signed(texts[at + 2]) is not None:
            filesystem, mount = text_of(line[: words[at - 1].end()]), text_of(line[words[at + 4].start() :])
            return _countable(filesystem, Disk(mount, size, used, percent=min(percent, FULLEST)))
    return None


def _countable(filesystem: str, disk: Disk) -> Disk | None:
    """The disk, if it can fill up."""
    pseudo = _PSEUDO.fullmatch(filesystem.partition(" ")[0])
    container = filesystem == "overlay" or disk.mount in OF_A_CONTAINER
    return None if not disk.size_kb or (disk.mount != "/" and (pseudo or container)) else disk


def _signed(token: bytes) -> int | None:
    """A number that may be negative: what is free, where root's reserve is used."""
    found = whole(token.removeprefix(b"-"))
    return -found if found is not None and token.startswith(b"-") else found
