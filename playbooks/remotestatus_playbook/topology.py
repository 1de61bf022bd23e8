"""
Works out how each host is reached: the proxies on the way to it, and how they are reached themselves.

Takes the connection of each host as Ansible evaluated it; returns a Hop for each proxy, and the last one on the way to
each host.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from remotestatus_playbook.protocol import SOCKET_NAME
from remotestatus_playbook.ssh_options import Options, PathError

JUMP = re.compile(r"^(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^\]]+\]|[^:@\s]+)(?::(?P<port>\d+))?/?$")


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
        return socket_name([(hop.spec, hop.user, hop.port, hop.host) for hop in (*self.path, self)])


def socket_name(way: object) -> str:
    """The name of the socket for a connection that is reached this way: the same for the same way, and for no other."""
    return hashlib.sha256(repr(way).encode()).hexdigest()[:SOCKET_NAME]


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
        # One that remotes pass is connected to on their way there: it may be reachable on no other.
        passed = any(hop.host is not None and hop.host.name == name for hop in topology.hops.values())
        if name in hosts and name not in topology.problems and not passed:
            _hop(topology, hosts, name, topology.last_hop[name])
    return topology


def _last_hop(topology: Topology, hosts: Mapping[str, Host], host: Host, seen: tuple[str, ...]) -> Hop | None:
    if host.name in seen:
        raise PathError(f"its ProxyJump goes round in a circle: {' -> '.join((*seen, host.name))}")
    if host.options.jump is None:
        return None
    hop: Hop | None = None
    for number, spec in enumerate(part.strip() for part in host.options.jump.split(",")):
        parsed = JUMP.match(spec)
        if parsed is None:
            raise PathError(f"ProxyJump {spec!r} is not of the form name or user@host:port")
        through = hosts.get(parsed["host"])
        if number == 0 and through is not None:
            hop = _last_hop(topology, hosts, through, (*seen, host.name))
        hop = _hop(topology, hosts, spec, hop)
    return hop


def _hop(topology: Topology, hosts: Mapping[str, Host], spec: str, parent: Hop | None) -> Hop:
    parsed = JUMP.match(spec)
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
