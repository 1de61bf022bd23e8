"""
Works out how each host is reached, and writes the SSH configuration for it.

Takes what Ansible knows of every host (its evaluated connection variables); returns a Path per host, a Hop per proxy,
and the text of the configuration. The rule worth knowing: a remote's jump may only use the connection to its proxy
that was opened beforehand. Where there is none it fails at once, so a proxy never sees more than one connection, and
never the remote's password.
"""

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROXY_LOST = "remotestatus: the shared connection to the proxy is gone"
"""What a jump prints that finds no open connection. The diagnosis knows this text."""

OPENING = "REMOTESTATUS_OPENING"
"""Environment variable that is set while a shared connection is being opened."""

_FLAGS_WITH_VALUE = frozenset("BbcDEeFIiJLlmOopPQRSWw")
_LINES_WITH_VALUE = {
    "-b": "BindAddress",
    "-B": "BindInterface",
    "-c": "Ciphers",
    "-i": "IdentityFile",
    "-l": "User",
    "-m": "MACs",
    "-p": "Port",
}
_LINES = {
    "-4": "AddressFamily inet",
    "-6": "AddressFamily inet6",
    "-A": "ForwardAgent yes",
    "-a": "ForwardAgent no",
    "-C": "Compression yes",
    "-X": "ForwardX11 yes",
    "-x": "ForwardX11 no",
}
"""Flags of ssh(1) and what they are called in ssh_config(5)."""

_SHARING = frozenset({"controlmaster", "controlpath", "controlpersist"})
"""Options of shared connections, as many an ansible.cfg has them: which connections are shared is our own business."""

USER_CONFIGS = ("~/.ssh/config", "/etc/ssh/ssh_config")
"""What `ssh` reads by itself, and `ssh -F` does not."""

_JUMP = re.compile(r"^(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^\]]+\]|[^:@\s]+)(?::(?P<port>\d+))?/?$")


class PathError(ValueError):
    """A host's SSH variables cannot be understood; the text says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """SSH arguments, taken apart: the jump, the configuration file, and the rest as they were."""

    jump: str | None
    config: str | None
    rest: tuple[str, ...]

    def as_lines(self) -> list[str]:
        """The rest as lines of an SSH configuration; flags that have no line are left out."""
        lines = []
        words = iter(self.rest)
        for word in words:
            if word == "-o":
                key, _, value = next(words, "").partition("=")
                lines.append(f"{key.strip()} {value.strip()}")
            elif word in _LINES_WITH_VALUE:
                lines.append(f"{_LINES_WITH_VALUE[word]} {quote(next(words, ''))}")
            elif word in _LINES:
                lines.append(_LINES[word])
        return lines


def split_options(*texts: str | None) -> Options:
    """Take SSH arguments (as in ansible_ssh_common_args) apart. Raises PathError for unbalanced quotes."""
    jump = config = None
    rest: list[str] = []
    try:
        words = iter([word for text in texts if text for word in shlex.split(text)])
    except ValueError as error:
        raise PathError(f"SSH arguments cannot be split into words: {error}") from error
    for word in words:
        letter = word[1:2] if word.startswith("-") and not word.startswith("--") else ""
        if not letter or letter not in _FLAGS_WITH_VALUE:
            rest.append(word)
            continue
        value = word[2:] or next(words, "")
        if letter == "o":
            key, value = _key_and_value(value)
            if key.lower() == "proxyjump":
                jump = jump or value.strip('"')
                continue
            if key.lower() in _SHARING:
                continue
            value = f"{key}={value}"
        elif letter == "J":
            jump = jump or value
            continue
        elif letter == "F":
            config = config or value
            continue
        rest += [f"-{letter}", value]
    return Options(None if jump is None or jump.lower() == "none" else jump, config, tuple(rest))


def _key_and_value(option: str) -> tuple[str, str]:
    key, separator, value = option.partition("=")
    if not separator or " " in key.strip():
        key, _, value = option.strip().partition(" ")
    return key.strip(), value.strip().removeprefix("=").strip()


@dataclass(frozen=True, slots=True)
class Host:
    """
    One host's connection, as Ansible evaluated it.

    `password` tells whether there is one, never what it is; `program` is the `ssh` to run, and `connect_seconds` the
    time to connect in, if somebody chose one.
    """

    name: str
    address: str
    port: int | None
    user: str | None
    key_file: str | None
    password: bool
    options: Options
    program: str = "ssh"
    connect_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Hop:
    """
    A proxy on the way to something.

    `target` is what ssh is told to connect to, `spec` the same with user and port for ProxyJump, `written` what the
    inventory says. `host` is the inventory's host for it; None for one that only `ssh` knows (`user@host:port`, or an
    alias of the user's own).
    """

    name: str
    target: str
    spec: str
    written: str
    host: Host | None
    user: str | None
    port: int | None
    parent: "Hop | None" = None

    @property
    def path(self) -> tuple["Hop", ...]:
        """The proxies before this one, checker's side first."""
        return (*self.parent.path, self.parent) if self.parent else ()

    @property
    def socket(self) -> str:
        """
        The name of its shared connection's socket, which nothing else that is reached in another way can have.

        OpenSSH's own %C is the same for one address behind two different proxies (before OpenSSH 9.6).
        """
        ways = [(hop.spec, hop.user, hop.port, hop.host) for hop in (*self.path, self)]
        return hashlib.sha256(repr(ways).encode()).hexdigest()[:16]


@dataclass
class Topology:
    """Every proxy, and the last hop on the way to each host (None: direct)."""

    hops: dict[tuple[str, ...], Hop] = field(default_factory=dict)
    last_hop: dict[str, Hop | None] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    configs: tuple[str, ...] = ()
    """The configuration files (`-F`) that hosts of the inventory name."""

    def in_order(self) -> list[Hop]:
        """The proxies, each after the one it is reached through."""
        return sorted(self.hops.values(), key=lambda hop: (len(hop.path), hop.name))


def trace(hosts: Mapping[str, Host], proxies: Iterable[str] = ()) -> Topology:
    """Find the way to every host. Hosts named in `proxies` become hops even when no remote uses them."""
    topology = Topology(configs=tuple(sorted({host.options.config for host in hosts.values() if host.options.config})))
    for name, host in hosts.items():
        try:
            topology.last_hop[name] = _last_hop(topology, hosts, host, ())
        except PathError as error:
            topology.problems[name] = str(error)
            topology.last_hop[name] = None
    for name in proxies:
        # One that remotes pass is looked at on their way there: it may be reachable on no other.
        passed = any(hop.host is not None and hop.host.name == name for hop in topology.hops.values())
        if name in hosts and name not in topology.problems and not passed:
            _hop(topology, hosts, name, topology.last_hop[name], ())
    return topology


def _last_hop(topology: Topology, hosts: Mapping[str, Host], host: Host, seen: tuple[str, ...]) -> Hop | None:
    if host.name in seen:
        raise PathError(f"its ProxyJump goes round in a circle: {' -> '.join((*seen, host.name))}")
    if host.options.jump is None:
        return None
    hop: Hop | None = None
    for number, spec in enumerate(part.strip() for part in host.options.jump.split(",")):
        parsed = _JUMP.match(spec)
        if parsed is None:
            raise PathError(f"ProxyJump {spec!r} is not of the form name or user@host:port")
        through = hosts.get(parsed["host"])
        if number == 0 and through is not None:
            hop = _last_hop(topology, hosts, through, (*seen, host.name))
        hop = _hop(topology, hosts, spec, hop, seen)
    return hop


def _hop(topology: Topology, hosts: Mapping[str, Host], spec: str, parent: Hop | None, seen: tuple[str, ...]) -> Hop:
    parsed = _JUMP.match(spec)
    target, user, port = spec, None, None
    if spec not in hosts and parsed is not None:
        target = parsed["host"].strip("[]")
        user, port = parsed["user"], int(parsed["port"]) if parsed["port"] else None
    host = hosts.get(target)
    if host is not None:
        user, port = user or host.user, port or host.port
        if (user, port) == (host.user, host.port):
            spec = target
    key = (*(hop.spec for hop in parent.path), parent.spec, spec) if parent else (spec,)
    if key in topology.hops:
        return topology.hops[key]
    name = spec
    clash = any(
        other.target == target and (host is not None or other.parent is not parent) for other in topology.hops.values()
    )
    if clash:
        target = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{spec}-via-{parent.target if parent else 'checker'}")
    if any(other.name == name for other in topology.hops.values()):
        name = f"{name} (through {parent.name})" if parent else f"{name} (directly)"
    jump_spec = target if clash or host is not None else spec
    hop = Hop(name, target, jump_spec, spec, host, user, port, parent)
    topology.hops[key] = hop
    return hop


# -- the configuration ------------------------------------------------------------------------------------------------


def quote(value: object) -> str:
    """Quote a value for an SSH configuration line: spaces allowed, no variable parts."""
    text = str(value).replace("%", "%%")
    return f'"{text}"' if re.search(r"[\s#]", text) else text


def write_config(
    topology: Topology,
    *,
    control: Path,
    known_hosts: Path,
    user_configs: Sequence[str],
    connect_timeout: int,
) -> str:
    """The SSH configuration through which every proxy of the topology is reached, and every remote behind them."""
    trusted = [quote(known_hosts), "~/.ssh/known_hosts", "~/.ssh/known_hosts2"]
    lines = ["# Written by remotestatus for one round; the user's own configuration is included below."]
    for hop in topology.in_order():
        lines += _hop_lines(hop, control, known_hosts, connect_timeout)
    lines.append("Host *")
    lines += [f"  Include {quote(config)}" for config in user_configs]
    lines += ["Host *"]
    lines += [f"  {line}" for line in _COMMON]
    lines.append(f"  UserKnownHostsFile {' '.join(trusted)}")
    return "\n".join(lines) + "\n"


_COMMON = (
    "StrictHostKeyChecking yes",
    "UpdateHostKeys no",
    "ControlMaster no",
    "ForwardAgent no",
    "ForwardX11 no",
    "RequestTTY no",
    "EscapeChar none",
    "PermitLocalCommand no",
    "ServerAliveInterval 10",
    "ServerAliveCountMax 3",
)

_ASK_NOBODY = ("BatchMode yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no")
_ONE_PASSWORD = ("BatchMode no", "NumberOfPasswordPrompts 1")


def _hop_lines(hop: Hop, control: Path, known_hosts: Path, connect_timeout: int) -> list[str]:
    guard = f"ProxyCommand echo {shlex.quote(PROXY_LOST)} >&2; exit 1"
    body = [f"ControlPath {control / hop.socket}", "ControlMaster no"]
    lines = []
    if hop.host is None:
        # The user's own settings for this host stay in force, also a ProxyCommand or ProxyJump: so the guard only
        # stands while nobody is opening the connection.
        body += [
            "StrictHostKeyChecking yes",
            *_ASK_NOBODY,
            "ServerAliveInterval 10",
            f"ConnectTimeout {connect_timeout}",
        ]
        # Not quoted for the shell: OpenSSH knows no escaped quotes here. Without a value it is a `test` of "-z".
        lines += [f'Match originalhost {hop.target} exec "test -z ${OPENING}"', f"  {guard}"]
        if hop.target != hop.spec.rpartition("@")[2].partition(":")[0].strip("[]"):
            parsed = _JUMP.match(hop.written)
            if parsed is not None:
                body.append(f"HostName {quote(parsed['host'].strip('[]'))}")
            body += [f"User {quote(hop.user)}"] if hop.user else []
            body += [f"Port {hop.port}"] if hop.port else []
    else:
        host = hop.host
        body += [f"HostName {quote(host.address)}", f"HostKeyAlias {hop.host.name}"]
        body += [f"Port {hop.port}"] if hop.port else []
        body += [f"User {quote(hop.user)}"] if hop.user else []
        body += [f"IdentityFile {quote(host.key_file)}"] if host.key_file else []
        body += host.options.as_lines()
        body += [f"UserKnownHostsFile {quote(known_hosts)}", *(_ONE_PASSWORD if host.password else _ASK_NOBODY)]
        # Keeps OpenSSH's own order of key exchanges here, see `remote_options`.
        body += ["KexAlgorithms +curve25519-sha256", *_COMMON, f"ConnectTimeout {connect_timeout}", guard]
    return [*lines, f"Host {hop.target}", *(f"  {line}" for line in body)]


def opening_arguments(hop: Hop) -> list[str]:
    """Arguments with which `ssh` reaches this hop by itself instead of through a shared connection."""
    arguments: list[str] = []
    if hop.parent is not None:
        arguments += ["-o", f"ProxyJump={hop.parent.spec}"]
    elif hop.host is not None:
        arguments += ["-o", "ProxyCommand=none"]
    if hop.host is None:
        arguments += ["-l", hop.user] if hop.user else []
        arguments += ["-p", str(hop.port)] if hop.port else []
    return [*arguments, hop.target]


def remote_options(host: Host, topology: Topology, *, known_hosts: Path) -> list[str]:
    """
    SSH options with which a remote is reached, the inventory's own first because ssh takes the first value it meets.

    Strict host key checking under the remote's inventory name, so that forty remotes on 127.0.0.1 don't clash.
    """
    last_hop = topology.last_hop.get(host.name)
    ours = [
        f"HostKeyAlias={host.name}",
        f"UserKnownHostsFile={quote(known_hosts)}",
        # Says "Authenticated to ..." on standard error, which tells a log-in that hangs from one that never came.
        "LogLevel=VERBOSE",
        *map(_as_word, _COMMON),
        # It may share its address with a proxy, whose shared connection is not meant for it.
        "ControlPath=none",
    ]
    if last_hop is not None:
        ours.append(f"ProxyJump={last_hop.spec}")
    elif any(hop.target == host.address for hop in topology.hops.values()):
        ours.append("ProxyCommand=none")
    return [*host.options.rest, *(word for option in ours for word in ("-o", option))]


def looking_command(
    host: Host, topology: Topology, *, config: Path, known_hosts: Path, options: Sequence[str], seconds: int
) -> list[str]:
    """
    The command that runs a shell script, sent on standard input, on a remote.

    `options` come first, because ssh takes the first value it meets; `seconds` is the time to connect in, unless the
    inventory says another.
    """
    return [
        *(host.program, "-F", str(config), *options),
        *remote_options(host, topology, known_hosts=known_hosts),
        *(["-p", str(host.port)] if host.port else []),
        *(["-l", host.user] if host.user else []),
        *(["-i", host.key_file] if host.key_file else []),
        *(word for option in (_ONE_PASSWORD if host.password else _ASK_NOBODY) for word in ("-o", _as_word(option))),
        *("-o", f"ConnectTimeout={host.connect_seconds or seconds}"),
        *("--", host.address, "exec /bin/sh -s"),
    ]


def _as_word(line: str) -> str:
    return line.replace(" ", "=", 1)


# -- by hand ----------------------------------------------------------------------------------------------------------


def write_user_config(topology: Topology, hosts: Mapping[str, Host], *, known_hosts: Path) -> dict[str, str]:
    """
    Blocks of ssh_config(5) with which plain `ssh`, `scp` and `rsync` reach every host by its inventory name.

    A block by each host's name, and by the name of each proxy on the way. They stand on their own and hold nothing of
    a round, so they may be kept. No password is in them.
    """
    blocks = {name: _user_block(host, topology, known_hosts) for name, host in hosts.items()}
    for hop in topology.in_order():
        blocks[hop.name] = blocks[hop.host.name] if hop.host else _outsider_block(hop, known_hosts)
    return blocks


def user_config_end() -> str:
    """What follows the blocks where they are all that `ssh -F` reads: the user's own configuration."""
    return "\n".join(["Host *", *(f"  Include {quote(config)}" for config in USER_CONFIGS)]) + "\n"


def _user_block(host: Host, topology: Topology, known_hosts: Path) -> str:
    last_hop = topology.last_hop.get(host.name)
    # Without a HostName line, an alias of the user's own of the same name keeps the one it has.
    body = [f"HostName {quote(host.address)}"] if host.address != host.name else []
    body += [f"HostKeyAlias {host.name}"]
    body += [f"Port {host.port}"] if host.port else []
    body += [f"User {quote(host.user)}"] if host.user else []
    body += [f"IdentityFile {quote(host.key_file)}"] if host.key_file else []
    body += host.options.as_lines()
    # The whole way, each proxy as the inventory spells it: a later `-J` on the command line then means what it says.
    body += [f"ProxyJump {','.join(hop.written for hop in (*last_hop.path, last_hop))}"] if last_hop else []
    body += [f"UserKnownHostsFile {quote(known_hosts)}", "StrictHostKeyChecking yes"]
    body += [f"Include {quote(host.options.config)}"] if host.options.config else []
    return "\n".join([f"Host {host.name}", *(f"  {line}" for line in body)]) + "\n"


def _outsider_block(hop: Hop, known_hosts: Path) -> str:
    """A proxy that only the user's own configuration knows: we add where else its key may be trusted."""
    trusted = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2", quote(known_hosts)]
    return f"Host {_address_in(hop)}\n  UserKnownHostsFile {' '.join(trusted)}\n"


def _address_in(hop: Hop) -> str:
    parsed = _JUMP.match(hop.written)
    return parsed["host"].strip("[]") if parsed else hop.target


def reaching_arguments(host: Host, topology: Topology, *, known_hosts: Path) -> list[str]:
    """Arguments that lead `ssh -F <the round's configuration>` to a host, through the shared connections."""
    arguments = ["-p", str(host.port)] if host.port else []
    arguments += ["-l", host.user] if host.user else []
    return [*arguments, *remote_options(host, topology, known_hosts=known_hosts), host.address]


def mapped_arguments(host: Host, *, known_hosts: Path) -> list[str]:
    """Arguments of `ssh` that go with a host wherever its port is mapped to: who it is, and how to log in."""
    arguments = ["-i", host.key_file] if host.key_file else []
    arguments += ["-l", host.user] if host.user else []
    ours = (f"HostKeyAlias={host.name}", f"UserKnownHostsFile={quote(known_hosts)}")
    return [*arguments, *host.options.rest, *(word for option in ours for word in ("-o", option))]
