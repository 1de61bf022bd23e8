"""What is kept of one remote between rounds, so that changes can be noticed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Start:
    """One boot of a remote: its boot id, and its time."""

    boot_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class WrittenTo:
    """A process and the path of its log file; empty without a readable one."""

    pid: int
    started: int | None
    path: str


@dataclass(frozen=True, slots=True)
class Memory:
    """
    What earlier rounds found on one remote. It is kept while the remote cannot be reached.

    `starts` are its last starts, oldest first. `writable` are mounts, as device and mount point, that were seen to be
    writable. `filesystem_errors` are the errors that each device had counted when it was first seen. `oom_kills` is how
    many processes had been killed for lack of memory since the last start, in the last round, and `new_oom_kills` how
    many of them since the round before. `endings` says, by its name, how a process that is missing has ended, and
    `last_lines` what it or its service logged last. `log_files` are the files that the processes of each rule write to;
    where none runs any more, those of the last ones. `hourly_at` is the time of the last hourly facts, which follow it.
    """

    starts: tuple[Start, ...] = ()
    writable: tuple[tuple[str, str], ...] = ()
    filesystem_errors: Mapping[str, int] = field(default_factory=dict)
    oom_kills: int | None = None
    new_oom_kills: int | None = None
    endings: Mapping[str, str] = field(default_factory=dict)
    last_lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    log_files: Mapping[str, tuple[WrittenTo, ...]] = field(default_factory=dict)
    hourly_at: datetime | None = None
    clock_synchronised: bool | None = None
    failed_units: tuple[str, ...] | None = None
