"""
The protocol between the package and the playbook's plugins: names and types.

The package starts the playbook with the environment variables below and gives it an Order. The playbook leaves an
InventoryDescription, and an answer for each proxy and remote. All of it is JSON in files of the round's directory. It
uses only the standard library, and does no input or output. Validate data of other versions or workers with pydantic,
which supports these types.

Pure: the same inputs always give the same values.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from pathlib import PurePath
from typing import ClassVar

from remotestatus_playbook.machine_facts import Facts
from remotestatus_playbook.probe_frame import Number, Whole

# -- names ------------------------------------------------------------------------------------------------------------

WORKDIR = "REMOTESTATUS_WORKDIR"
"""Environment variable: the round's private directory, when the package started the playbook."""

ORDER = "REMOTESTATUS_ORDER"
"""Environment variable: the file that the Order is written to."""

ROUND = "REMOTESTATUS_ROUND"
"""Environment variable: set for a round, which has no use for the arguments of ssh to each host."""

ROOT = "REMOTESTATUS_ROOT"
"""Environment variable: the pid of the process that gives the order, the ancestor of the playbook's processes."""

TMPDIR = "REMOTESTATUS_TMPDIR"
"""Environment variable: TMPDIR as it was before the package gave Ansible one of the round's own."""

PASSWORDS = "REMOTESTATUS_PASSWORDS"
"""Environment variable: the path of the passwords typed for this run, which are in no file on a disk."""

BASE = "REMOTESTATUS_BASE"
"""Environment variable: where relative paths of the inventory's variables start, when the package says so."""

OPENING = "REMOTESTATUS_OPENING"
"""Environment variable that is set while a shared connection is being opened."""

ARTIFACTS = "AWX_ISOLATED_DATA_DIR"
"""Environment variable of ansible-runner's: the folder whose content a worker sends back."""

SENT_PASSWORDS = "REMOTESTATUS_PASSWORDS_"
"""Prefix of the environment variables with passwords for a worker, as JSON by host name."""

PREFIX = "remotestatus_"
"""Prefix of our inventory variables."""

PROXIES = "proxies"
"""The inventory's group of proxies."""

SSH_CONFIG, INVENTORY = "ssh_config", "inventory.json"
PROXY_ANSWERS, REMOTE_ANSWERS = "proxies", "remotes"
"""Files of the round's directory, and the folders of the answers there, a file for each proxy and remote."""

ALIKE = ".alike"
"""Suffix of a file with an answer that several remotes share, and their names."""

COUNTED, REACHED, NOT_REACHED = "counted", "+", "-"
"""The progress file of an attempt: a letter for each probed remote."""

DONE = "done"
"""The file that marks the answers as complete, so that nothing waits for Ansible's end."""

SENT_ORDER = "order.json"
"""The file beside the playbook with the Order on a worker."""

HANDED_OVER, WORKER_DESCRIPTION = "remotestatus", "worker.json"
"""The folder among a worker's artifacts with the folders of answers, and the file there with its WorkerDescription."""

PROXY_LOST = "remotestatus: the shared connection to the proxy is gone"
"""What ssh prints if there is no open connection to a remote's proxy."""

SOCKET_NAME, SOCKET_PATH = 16, 103 - 17
"""Most bytes of a socket's name and path: systems allow 103, and ssh adds 17 while it creates one."""


def folder_of_inventory(path: PurePath) -> PurePath:
    """
    The folder that holds an inventory: beside a folder `inventory/`, also when one file of it is named.

    New files must not be among the files that Ansible reads as inventory.
    """
    return path.parent.parent if path.parent.name == "inventory" else path.parent


TRUE_WORDS = frozenset({"y", "yes", "on", "1", "true", "t"})
"""Ansible's true values, in lower case."""

# -- durations --------------------------------------------------------------------------------------------------------

REMOTE_SECONDS, CHECK_SECONDS = 45, 10
"""Default time limits, in seconds, of a remote in a round, and of a check."""

UNITS: Mapping[str, int] = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+[wdhms])+", re.ASCII)


def seconds_in(text: str) -> int:
    """How many seconds a duration such as `10m` or `1h30m` has. Raises ValueError for anything else."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f'"{text}" is not a duration; write for example 10m or 1h30m')
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([wdhms])", text))


# -- systemd ----------------------------------------------------------------------------------------------------------

UNIT_TYPES = ("automount", "device", "mount", "path", "scope", "service", "slice", "socket", "swap", "target", "timer")


def whole_unit(name: str) -> str:
    """Complete the name of a unit as systemctl does: `capture` is `capture.service`."""
    return name if name.rpartition(".")[2] in UNIT_TYPES else f"{name}.service"


# -- the order --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """
    The order for one run of the playbook.

    `names` are hosts of the inventory; None: those of the play. With `proxies_only`, only their proxies are connected
    to. `at_once` is how many are probed at the same time; None: Ansible's forks. `attempt` is the number of this
    attempt in the round, of at most `attempts`. `fresh`: do not use kept connections. `keep_seconds` is how long
    connections are kept after use (0: until the end of the round), with their sockets in the folder `control`. Remotes
    in `hourly` are also asked for the hourly facts, those in `log_files` for the log files of their processes. Those in
    `units` and `last_lines` are asked only for these systemd units and the last lines of these files. Proxies in
    `look_at` are probed like remotes, through their open shared connection. With `passwords_to`, a named pipe, the
    passwords of these hosts are written there as JSON by name, and nothing is connected to. `gives_way`: run with a
    lower CPU priority than the caller. `proxy_names` has the name and the alias of proxies of the inventory by the way
    to them, with a space between the hops: a worker knows only some of the ways to tell apart.
    """

    names: tuple[str, ...] | None = None
    proxies_only: bool = False
    at_once: int | None = None
    attempt: int = 1
    attempts: int = 1
    fresh: bool = False
    keep_seconds: int = 0
    control: str | None = None
    hourly: frozenset[str] = frozenset()
    log_files: frozenset[str] = frozenset()
    units: Mapping[str, Sequence[str]] = field(default_factory=dict)
    last_lines: Mapping[str, Sequence[str]] = field(default_factory=dict)
    passwords_to: str | None = None
    look_at: tuple[str, ...] = ()
    gives_way: bool = False
    proxy_names: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> "Order":
        """Read what `to_json` wrote."""
        values = json.loads(text)
        names = None if values["names"] is None else tuple(values["names"])
        sets = {name: frozenset(values[name]) for name in ("hourly", "log_files")}
        return cls(**{**values, **sets, "names": names, "look_at": tuple(values["look_at"])})

    def asks_again(self, name: str) -> bool:
        """Whether a host has answered already, and is asked only how something has ended."""
        return name in self.units or name in self.last_lines

    def seconds_of(self, whole: int) -> int:
        """
        This attempt's part of a remote's whole time, in seconds.

        The first gets two thirds and the later ones the rest, so that what fails costs its own timeout once and not
        twice.
        """
        if self.attempts <= 1:
            return whole
        return max(5, whole * 2 // 3 if self.attempt == 1 else whole // (3 * (self.attempts - 1)))


# -- the inventory ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proxy:
    """
    An SSH jump host. `path` holds the proxies passed before it; `alias` is its name for `ssh`.

    `program` is the name of the program that leads to it (its ProxyCommand), if it is no `ssh`.
    """

    name: str
    alias: str
    address: str
    port: int | None
    user: str | None
    path: tuple[str, ...] = ()
    in_inventory: bool = True
    program: str = ""


@dataclass(frozen=True, slots=True)
class SshAccess:
    """
    How plain `ssh` reaches each host, as written by the playbook.

    `blocks` of ssh_config(5) by the name of a host or proxy, and the `end` that follows them with `ssh -F`. By a
    proxy's name, `jumps` is its text in the inventory, and `key_names` the name of its host key, if the inventory sets
    it. For commands only: `hosts` (by name) and `proxies` (by alias) are ssh arguments that use the round's
    configuration, `mapped` those for a host's forwarded port.
    """

    blocks: Mapping[str, str] = field(default_factory=dict)
    end: str = ""
    hosts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    proxies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mapped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    jumps: Mapping[str, str] = field(default_factory=dict)
    key_names: Mapping[str, str] = field(default_factory=dict)

    def destination(self, proxy: str) -> str:
        """The argument of ssh for a proxy of `jumps`; ssh understands a jump's `user@host:port` only as a URL here."""
        jump = self.jumps[proxy]
        return f"ssh://{jump}" if re.search(r"[@:]", jump) and not jump.startswith("ssh://") else jump


@dataclass(frozen=True, slots=True)
class HostDescription:
    """
    One host of the inventory, with our variables as Ansible evaluated them.

    `problems` are (variable, sentence) pairs, which prevent its check; `password` tells whether it has one; `path`
    holds the proxies on the way, checker's side first. `become_method` is empty unless the user is changed after the
    log-in. `program` is the name of the program that leads to it (its ProxyCommand), if that is no `ssh`.
    """

    groups: tuple[str, ...] = ()
    variables: Mapping[str, object] = field(default_factory=dict)
    problems: tuple[tuple[str, str], ...] = ()
    connection: str = "ssh"
    address: str = ""
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    password: bool = False
    ssh_options: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    become_method: str = ""
    become_user: str = ""
    ignored: tuple[str, ...] = ()
    """Ansible's variables that have no effect here."""
    program: str = ""


@dataclass(frozen=True, slots=True)
class InventoryDescription:
    """The whole inventory. `base` is the folder of relative paths, `source` the name for messages."""

    hosts: Mapping[str, HostDescription]
    proxies: tuple[Proxy, ...] = ()
    ssh: SshAccess = field(default_factory=SshAccess)
    limited_to: tuple[str, ...] = ()
    base: str = ""
    source: str = ""


# -- the data of a remote ---------------------------------------------------------------------------------------------

MAX_PROCESSES = 20_000
"""Most processes that are read of a remote."""

MAX_ARGV_BYTES = 32_768
"""A process's command line is cut here, by the probe and again by the parser."""

MAX_ALL_ARGUMENTS = 200_000
"""Most arguments of all command lines of a remote: ten times those of a machine with thousands of processes."""


@dataclass(frozen=True, slots=True)
class Process:
    """
    One process of a remote.

    `state` is the letter that ps shows (Z is a zombie), `started` is in epoch seconds, `exact` says whether the
    boundaries between arguments are known, `own` whether the checker itself caused it. `unit` is the systemd service
    that it belongs to, if any.
    """

    pid: Whole
    ppid: Whole
    user: str
    state: str
    started: Whole | None
    rss_kb: Whole | None
    argv: tuple[str, ...]
    exact: bool
    kernel: bool
    own: bool
    unit: str = ""

    @property
    def zombie(self) -> bool:
        """Whether it has ended, but its parent has not waited for it."""
        return self.state.startswith("Z")


@dataclass(frozen=True, slots=True)
class CheckOutput:
    """The output of a custom check, and its exit code: None after a timeout."""

    name: str
    exit: Whole | None
    output: str = ""
    seconds: Number | None = None


@dataclass(frozen=True, slots=True)
class FileOutput:
    """
    The matches of a file pattern: their number, and the newest one's age in seconds and size in bytes.

    `hidden`: permission denied, so nothing is known.
    """

    name: str
    count: Whole
    age_seconds: Number | None = None
    size: Whole | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class UnitOutput:
    """
    One unit, with the properties of `systemctl show`.

    `since_seconds` is how long ago its state changed. `triggered` tells whether something else (a timer) starts it.
    `log` has its last log lines, if asked for and readable.
    """

    unit: str
    load: str = ""
    active: str = ""
    sub: str = ""
    result: str = ""
    restarts: Whole | None = None
    exit_code: Whole | None = None
    exit_status: Whole | None = None
    triggered: bool = False
    since_seconds: Number | None = None
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file that a process writes to: where its standard output goes, or else its standard error."""

    pid: Whole
    path: str


LOG_FILE = re.compile(r"/[^\0-\x1f\x7f\\\ud800-\udfff]{1,500}")
"""A log file path that is safe to send again: no characters that some shell's `echo` changes."""


@dataclass(frozen=True, slots=True)
class LastLines:
    """The last lines of a file."""

    path: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceOutput:
    """
    The result of a device behind a remote.

    `connected` is None if it was not probed. `connect_ms` is the time to a TCP connection through the remote;
    `certificate_until` is when its TLS certificate ends, in epoch seconds.
    """

    name: str
    connected: bool | None = None
    connect_ms: Whole | None = None
    error: str = ""
    certificate_until: Number | None = None


MAX_LISTENERS = 5000
"""Most TCP ports that are read of a proxy."""


@dataclass(frozen=True, slots=True)
class Listener:
    """
    One address and TCP port that something listens on.

    `user` is whose socket it is. `pids` are the processes that hold it, if visible to the account; `peers` are
    addresses with unacknowledged, retransmitted data.
    """

    port: Whole
    address: str
    user: str = ""
    pids: tuple[Whole, ...] = ()
    peers: tuple[str, ...] = ()


# -- answers ----------------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """The outcome of a proxy's connection or a remote's probe."""

    ANSWERED = "answered"
    PROXY_DOWN = "proxy-down"
    SSH_FAILED = "ssh-failed"
    TIMED_OUT = "timed-out"
    TOO_MUCH = "too-much"
    NO_PROBE_OUTPUT = "no-probe-output"
    ERROR = "error"
    UNSUPPORTED = "unsupported"
    """The other end of its connection has no POSIX shell."""
    MISCONFIGURED = "misconfigured"
    """A variable of the host is wrong, or cannot be evaluated."""
    BECOME_FAILED = "become-failed"
    """Logged in, and the change of user was refused."""
    CONNECTION_FAILED = "connection-failed"
    """A connection plugin of Ansible, other than ssh, could not connect."""


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """
    The outcome of an attempt, and the evidence of a failure.

    `proxy` is the one that does not answer (PROXY_DOWN). `banner` is the server's first line, read by a second
    connection. `stderr` are ssh's own messages, `printed` the output of the other end (a banner, errors of programs),
    `noise` the text instead of the probe's output. `logged_in` and `frame` tell whether it reached the log-in, and the
    start of the probe's output. `answered_by` are the hosts whose trusted key was offered in place of the expected one.
    `proxy_lost`: the shared connection to the proxy has ended. `connect_ms` is the time to a finished log-in in
    milliseconds.
    """

    __pydantic_config__: ClassVar[Mapping[str, bool]] = {"strict": True, "allow_inf_nan": False}

    outcome: Outcome
    attempts: Whole = 1
    connect_ms: Whole | None = None
    proxy: str = ""
    stderr: str = ""
    banner: str = ""
    printed: str = ""
    noise: str = ""
    logged_in: bool = False
    frame: bool = False
    answered_by: tuple[str, ...] = ()
    proxy_lost: bool = False


@dataclass(frozen=True, slots=True)
class ProxyAnswer(HostAnswer):
    """
    The answer of a proxy. `kept`: its connection was open already.

    `took_ms` is how long opening it took, also if it was open already.
    """

    kept: bool = False
    took_ms: Whole | None = None


@dataclass(frozen=True, slots=True)
class RemoteAnswer(HostAnswer):
    """
    The answer of a remote; `facts` is None unless it answered.

    `processes` is None when they could not be listed; unless `processes_complete`, some may be missing from the list.
    `units` is None when systemd was not asked, or did not answer; `listeners` is None unless a proxy was
    asked, and says which TCP ports something listens on there. `log_files` is None unless it was asked which files
    processes write to; `last_lines` has those of the files that were asked for.
    """

    facts: Facts | None = None
    processes: tuple[Process, ...] | None = None
    processes_complete: bool = True
    checks: tuple[CheckOutput, ...] = ()
    files: tuple[FileOutput, ...] = ()
    units: tuple[UnitOutput, ...] | None = None
    devices: tuple[DeviceOutput, ...] = ()
    listeners: tuple[Listener, ...] | None = None
    log_files: tuple[LogFile, ...] | None = None
    last_lines: tuple[LastLines, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerDescription:
    """The versions on a worker, and its clock (POSIX seconds) when it returns its answers."""

    __pydantic_config__: ClassVar[Mapping[str, bool]] = {"strict": True, "allow_inf_nan": False}

    ansible: str
    runner: str
    python: str
    clock: Number


# -- JSON -------------------------------------------------------------------------------------------------------------


def to_json(value: object) -> str:
    """Write one of these types as JSON, its fields by their names; a set is a list."""
    return json.dumps(value, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")
    return {name: getattr(value, name) for name in _names_of(type(value))}


@cache
def _names_of(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))
