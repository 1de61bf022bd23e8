"""
What the package and the playbook's plugins both know: names, and what they write for each other.

The package starts the playbook with the environment variables below and gives it an Order. The playbook leaves an
InventoryDescription, and an answer for each proxy and remote. All of it is JSON in files of the round's directory.
Nothing but the standard library is needed, and nothing here reads or writes. Read what may come from elsewhere (another
version, a worker) with a validator that knows these types: pydantic takes them as they are.

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
"""Environment variable: the process that gives the order, and whose children the playbook's processes are."""

TMPDIR = "REMOTESTATUS_TMPDIR"
"""Environment variable: TMPDIR as it was before the package gave Ansible one of the round's own."""

PASSWORDS = "REMOTESTATUS_PASSWORDS"
"""Environment variable: where the passwords can be read that were typed for this run; they are in no file on a disk."""

BASE = "REMOTESTATUS_BASE"
"""Environment variable: where relative paths of the inventory's variables start, when the package says so."""

OPENING = "REMOTESTATUS_OPENING"
"""Environment variable that is set while a shared connection is being opened."""

ARTIFACTS = "AWX_ISOLATED_DATA_DIR"
"""Environment variable of ansible-runner's: the folder whose content a worker sends back."""

SENT_PASSWORDS = "REMOTESTATUS_PASSWORDS_"
"""How environment variables begin in which a worker is sent passwords, as JSON by host name."""

PREFIX = "remotestatus_"
"""How all variables of the inventory begin that are ours."""

PROXIES = "proxies"
"""The inventory's group of proxies."""

SSH_CONFIG, INVENTORY = "ssh_config", "inventory.json"
PROXY_ANSWERS, REMOTE_ANSWERS = "proxies", "remotes"
"""Files of the round's directory, and the folders of the answers there, a file for each proxy and remote."""

ALIKE = ".alike"
"""How a file ends there that holds an answer which several remotes have in common, and their names."""

COUNTED, REACHED, NOT_REACHED = "counted", "+", "-"
"""How far the attempt has come: a file with a letter for each remote that was probed."""

DONE = "done"
"""The file that says that all answers are there: nobody has to wait for Ansible itself to end."""

SENT_ORDER = "order.json"
"""The file beside the playbook that holds the Order on a worker, which nobody gives one later."""

HANDED_OVER, WORKER_DESCRIPTION = "remotestatus", "worker.json"
"""The folder among a worker's artifacts with the folders of answers, and the file there with its WorkerDescription."""

PROXY_LOST = "remotestatus: the shared connection to the proxy is gone"
"""What ssh prints on the way to a remote when there is no open connection to its proxy."""

SOCKET_NAME, SOCKET_PATH = 16, 103 - 17
"""Bytes of a socket's name, and of its whole path: every system takes 103, and ssh appends 17 while it makes one."""


def folder_of_inventory(path: PurePath) -> PurePath:
    """
    The folder that holds an inventory: beside a folder `inventory/`, also when one file of it is named.

    Whatever is made there must not lie among the files that Ansible reads as inventory.
    """
    return path.parent.parent if path.parent.name == "inventory" else path.parent


TRUE_WORDS = frozenset({"y", "yes", "on", "1", "true", "t"})
"""What Ansible takes for a yes, in lower case."""

# -- durations --------------------------------------------------------------------------------------------------------

REMOTE_SECONDS, CHECK_SECONDS = 45, 10
"""What a remote may cost one round, and what one of its checks may take, when the inventory does not say."""

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


# -- what the package asks --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """
    What one run of the playbook has to do.

    `names` are hosts of the inventory; None: those of the play. With `proxies_only` just the proxies on the way to
    them are connected to. `at_once` so many are probed at the same time; None: as many as Ansible's own forks. It is
    the round's `attempt`-th attempt of so many `attempts`. With `fresh` no kept connection is used. Connections are
    kept so many seconds after their use (`keep_seconds`; 0: no longer than the round), with their sockets in the folder
    `control`. The remotes in `hourly` are also asked what costs too much to be asked in every round, and
    those in `log_files` also to which files their processes write. Those in `units` and `last_lines` are asked about
    these systemd units, and for the last lines of these files, and nothing else. Of the proxies those in `look_at` are
    probed like remotes, each through its shared connection once that is open. With `passwords_to`, a named pipe, the
    passwords of these hosts are written there as JSON by name, and nothing is connected to. With `gives_way` whoever
    waits for the answers is given the processor first. `proxy_names` has the name and the alias of proxies of the
    inventory by the way to them, with a space between the hops: a worker knows only some of the ways to tell apart.
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
        """Whether a host has answered everything else in this round, and is asked only how something has ended."""
        return name in self.units or name in self.last_lines

    def seconds_of(self, whole: int) -> int:
        """
        How many seconds of a remote's whole time this attempt may take.

        The first gets two thirds and the later ones the rest, so that what fails costs its own timeout once and not
        twice.
        """
        if self.attempts <= 1:
            return whole
        return max(5, whole * 2 // 3 if self.attempt == 1 else whole // (3 * (self.attempts - 1)))


# -- what the playbook says of the inventory --------------------------------------------------------------------------


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
    How plain `ssh` reaches each host; made by the playbook, which alone knows how SSH paths are written.

    `blocks` of ssh_config(5) by the name of a host or proxy, and the `end` that follows them with `ssh -F`. By a
    proxy's name, `jumps` has what the inventory writes for it, and `key_names` the name of its host key, if that is the
    inventory's to choose. For commands, and not for a round: through the round's own configuration, these arguments of
    ssh lead to `hosts`, by name, and to `proxies`, by alias; those of `mapped` go with a host whose port is mapped to
    another place.
    """

    blocks: Mapping[str, str] = field(default_factory=dict)
    end: str = ""
    hosts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    proxies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mapped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    jumps: Mapping[str, str] = field(default_factory=dict)
    key_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostDescription:
    """
    One host of the inventory, with its variables that are ours as Ansible evaluated them.

    `problems` are (variable, sentence) pairs, which keep this host from being checked; `password` tells whether there
    is one, never what it is; `path` holds the proxies on the way, checker's side first. `become_method` is empty unless
    the user is changed after the log-in. `program` is the name of the program that leads to it (its ProxyCommand), if
    that is no `ssh`.
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
    """Variables that Ansible honours and that mean nothing here."""
    program: str = ""


@dataclass(frozen=True, slots=True)
class InventoryDescription:
    """All that there is to know of the inventory. `base` is where relative paths start, `source` what to call it."""

    hosts: Mapping[str, HostDescription]
    proxies: tuple[Proxy, ...] = ()
    ssh: SshAccess = field(default_factory=SshAccess)
    limited_to: tuple[str, ...] = ()
    base: str = ""
    source: str = ""


# -- what a remote says of itself -------------------------------------------------------------------------------------

MAX_PROCESSES = 20_000
"""Processes of a remote that are read at most."""

MAX_ARGV_BYTES = 32_768
"""A process's command line is cut here, by the probe and again by the parser."""

MAX_ALL_ARGUMENTS = 200_000
"""What all command lines of a remote may hold together; a machine with thousands of processes has a tenth of it."""


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
        """Whether it has ended and only waits for its parent to notice."""
        return self.state.startswith("Z")


@dataclass(frozen=True, slots=True)
class CheckOutput:
    """What a custom check printed, and its exit code: None when its time was over."""

    name: str
    exit: Whole | None
    output: str = ""
    seconds: Number | None = None


@dataclass(frozen=True, slots=True)
class FileOutput:
    """
    What the pattern of a file found: how many there are, and the newest one's age in seconds and size in bytes.

    `hidden`: the account may not look there, so nothing is known.
    """

    name: str
    count: Whole
    age_seconds: Number | None = None
    size: Whole | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class UnitOutput:
    """
    What systemd says of one unit, in the words of `systemctl show`.

    `since_seconds` is how long ago its state changed. `triggered` tells whether something else (a timer) starts it.
    `log` has the last lines that it logged, where they are asked for and may be read.
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
"""The path of a file that a remote can be asked about again: nothing that some shell's `echo` changes."""


@dataclass(frozen=True, slots=True)
class LastLines:
    """The last lines of a file."""

    path: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceOutput:
    """
    How a device behind a remote answered.

    `connected` is None when nobody could ask it. `connect_ms` is the time to a TCP connection from the remote, with the
    way to the remote; `certificate_until` is when its TLS certificate ends, in epoch seconds.
    """

    name: str
    connected: bool | None = None
    connect_ms: Whole | None = None
    error: str = ""
    certificate_until: Number | None = None


MAX_LISTENERS = 5000
"""TCP ports that are read of a proxy at most."""


@dataclass(frozen=True, slots=True)
class Listener:
    """
    One address and TCP port that something listens on.

    `user` is whose socket it is. `pids` are the processes that hold it, as far as the account may see that, and `peers`
    the addresses that those wait for: they have sent something there that is not acknowledged and was sent again.
    """

    port: Whole
    address: str
    user: str = ""
    pids: tuple[Whole, ...] = ()
    peers: tuple[str, ...] = ()


# -- answers ----------------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """How an attempt to reach a proxy or to probe a remote ended."""

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
    How an attempt ended, and what there is to tell why it failed.

    `proxy` is the one that does not answer (PROXY_DOWN). `banner` is what the server said first when it was asked once
    more. `stderr` is what ssh itself said, `printed` what the other end had it print (a banner, errors of its
    programs), `noise` what came in place of the probe's output. `logged_in` and `frame` tell how far it came: to a
    log-in, and to the beginning of the probe's output. `answered_by` are the hosts whose trusted key was offered in
    place of the expected one. `proxy_lost`: the shared connection to the proxy has ended. `connect_ms` is the time to a
    finished log-in in milliseconds.
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
    How the connection to a proxy was opened. `kept`: it was open already.

    `took_ms` says how long the way there took, also when the connection was open already.
    """

    kept: bool = False
    took_ms: Whole | None = None


@dataclass(frozen=True, slots=True)
class RemoteAnswer(HostAnswer):
    """
    What the probe of a remote brought; `facts` is None unless it answered.

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
    """What runs on a worker, and what its clock says (POSIX seconds) when it hands its answers over."""

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
