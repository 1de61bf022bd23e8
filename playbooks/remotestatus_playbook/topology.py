"""
Finds the path to each host: the proxies before it, and the paths to these.

It uses Ansible's variables and ssh's configuration files, and returns a Hop for each proxy, and the last Hop of each
host's path.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from getpass import getuser
from itertools import chain, count
from pathlib import Path

from remotestatus_playbook.client_config import ClientConfig, Found, Question
from remotestatus_playbook.jump_steps import JumpStep, read_proxy_command, read_proxy_jump
from remotestatus_playbook.protocol import SOCKET_NAME
from remotestatus_playbook.split_ssh_arguments import Options, PathError, nearest


@dataclass(frozen=True)  # with slots it is pickled ten times as slowly
class Host:
    """
    One host's connection, as Ansible evaluated it.

    `password` tells whether there is one; `program` is the `ssh` to run, `connect_seconds` its timeout, if set.
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

    @property
    def key_name(self) -> str:
        """The name that its host key is known by, and that ssh asks for its password with."""
        return self.options.value_of("HostKeyAlias") or self.name

    @property
    def config(self) -> str | None:
        """The file that ssh reads instead of the user's configuration."""
        return self.options.config

    @property
    def question(self) -> Question:
        """The `ssh -G` query about it."""
        options = self.options.rest
        # Many remotes share an address, and differ in port, which Host blocks cannot distinguish.
        return Question(self.address, self.user, None, self.options.config, options, self.program)


@dataclass(frozen=True, slots=True)
class Hop:
    """
    A proxy on a path.

    `target` is what ssh is told to connect to, `spec` the same with user and port for ProxyJump, `written` what the
    inventory says. `host` is the inventory's host for it; None for one that only `ssh` knows (`user@host:port`, or an
    alias of the user's own). It is reached through its `parent`, by a `command` (ProxyCommand) of its own, or directly.
    `options` are those of an `ssh` of its own (a ProxyCommand), `config` is the file that ssh reads for it in the place
    of the user's. `renamed` tells that this file knows it by another name, and `settings` are its lines there. `place`
    is the address and port that ssh connects to, where that is known.
    """

    name: str
    target: str
    spec: str
    written: str
    host: Host | None
    user: str | None
    port: int | None
    parent: "Hop | None" = None
    command: str | None = None
    options: Options = field(default_factory=Options)
    settings: tuple[str, ...] = ()
    config: str | None = None
    program: str = "ssh"
    renamed: bool = False
    place: tuple[str, int | None] = ("", None)

    @property
    def path(self) -> tuple["Hop", ...]:
        """The proxies before this one, checker's side first."""
        return (*self.parent.path, self.parent) if self.parent else ()

    @property
    def address(self) -> str:
        """Where it is, as the inventory or what is written says it: an address, or a name that ssh knows."""
        if self.host is not None:
            return self.host.address
        return read_proxy_jump(self.written)[0].target

    @property
    def socket(self) -> str:
        """
        The name of its shared connection's socket, unique for its path.

        OpenSSH's own %C is the same for one address behind two different proxies (before OpenSSH 9.6).
        """
        way = [(hop.spec, hop.user, hop.port, hop.host, hop.command, hop.options) for hop in (*self.path, self)]
        return socket_name(way)


def socket_name(way: object) -> str:
    """The socket name of a connection by this path: equal for equal paths, and unique."""
    return hashlib.sha256(repr(way).encode()).hexdigest()[:SOCKET_NAME]


@dataclass(frozen=True, slots=True)
class Way:
    """The last step of a path: a proxy, or a `command` that is no ssh; neither if direct."""

    hop: Hop | None = None
    command: str | None = None


@dataclass
class Topology:
    """
    Every proxy, and the last hop on the way to each host (None: direct).

    `commands` has the ProxyCommands that are no ssh, by host; `found` the results of `ssh -G`, by host.
    """

    hops: dict[tuple[object, ...], Hop] = field(default_factory=dict)
    last_hop: dict[str, Hop | None] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    found: dict[str, Found] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    configs: tuple[str, ...] = ()
    """The configuration files (`-F`) that hosts and proxies name."""

    def in_order(self) -> list[Hop]:
        """The proxies, each after the one it is reached through."""
        return sorted(self.hops.values(), key=lambda hop: (len(hop.path), hop.name))


def place_of(host: Host, topology: Topology) -> tuple[str, int | None]:
    """The address and port of a host, after ssh's configuration."""
    found = topology.found.get(host.name)
    if found is None:
        return host.address, host.port
    return found.value_of("hostname") or host.address, host.port or found.port


def trace(
    hosts: Mapping[str, Host],
    proxies: Iterable[str] = (),
    client: ClientConfig | None = None,
    base: Path | None = None,
    named: Mapping[str, tuple[str, str]] | None = None,
) -> Topology:
    """
    Find the path to every host. Hosts in `proxies` become hops even without remotes.

    Without a `client`, ssh's configuration is not used. Relative paths start at `base`. `named` are the `proxy_names`
    of an order.
    """
    proxies = [name for name in proxies if name in hosts]
    tracer = _Tracer(hosts, proxies, client, base, {host.address for host in hosts.values()}, named or {})
    topology = tracer.topology
    tracer.ask_ahead()
    for name, host in hosts.items():
        try:
            way = tracer.way_to(host, ())
        except PathError as error:
            topology.problems[name] = str(error)
            way = Way()
        topology.last_hop[name] = way.hop
        if way.command is not None:
            topology.commands[name] = way.command
    for name in proxies:
        # A proxy of remotes keeps their path to it: there may be no other.
        passed = any(hop.host is not None and hop.host.name == name for hop in topology.hops.values())
        if name not in topology.problems and not passed:
            tracer.hop(JumpStep(name, written=name), Way(topology.last_hop[name], topology.commands.get(name)))
    used = {host.options.config for host in hosts.values()} | {hop.config for hop in topology.hops.values()}
    topology.configs = tuple(sorted(config for config in used if config))
    return topology


@dataclass
class _Tracer:
    hosts: Mapping[str, Host]
    proxies: Collection[str]
    client: ClientConfig | None
    base: Path | None
    addresses: Collection[str]
    named: Mapping[str, tuple[str, str]]
    topology: Topology = field(default_factory=Topology)
    _meant: dict[JumpStep, Host | None] = field(default_factory=dict)
    _known: set[JumpStep] = field(default_factory=set)

    def ask_ahead(self) -> None:
        """Run `ssh -G` in parallel for the hosts without a path of their own."""
        if self.client is not None:
            silent = (host for host in self.hosts.values() if not (host.options.jump or host.options.command))
            self.client.look_up_all(host.question for host in silent)

    def way_to(self, host: Host, seen: tuple[str, ...]) -> Way:
        """The path to a host of the inventory; `seen` are the hosts that need it."""
        if host.name in seen:
            raise PathError(f"its ProxyJump goes round in a circle: {' -> '.join((*seen, host.name))}")
        options = host.options
        if options.jump is None and options.command is None:
            found = self.client.look_up(host.question) if self.client else None
            if found is None:
                return Way()
            self.topology.found[host.name] = found
            return self._told(found, host, (*seen, host.name))
        return self._follow(options, host, (*seen, host.name))

    def _told(self, found: Found, end: Host | JumpStep, seen: tuple[str, ...]) -> Way:
        options = Options(found.value_of("proxyjump"), None, (), found.value_of("proxycommand"))
        try:
            return self._follow(options, end, seen, told=True)
        except PathError:
            return Way()

    def _follow(self, options: Options, end: Host | JumpStep, seen: tuple[str, ...], *, told: bool = False) -> Way:
        """The path of a ProxyJump or ProxyCommand to this end."""
        if options.jump is not None:
            steps = read_proxy_jump(options.jump, end.config, end.program)
        elif options.command is None:
            return Way()
        else:
            step = read_proxy_command(options.command, end.user, self.base)
            if step is None:
                return Way(command=options.command)
            steps = (step,)
        way = Way()
        for number, step in enumerate(steps):
            if not told:
                self._must_be_known(step)
            before = self._before(step, seen) if number == 0 else way
            way = Way(self.hop(step, before))
        return way

    def _before(self, step: JumpStep, seen: tuple[str, ...]) -> Way:
        """The path to a jump host: from its own ssh options, the inventory, or ssh's configuration."""
        options = step.options
        if options.jump is not None or options.command is not None:
            return self._follow(options, step, (*seen, step.written))
        host = self._listed(step)
        if host is not None:
            return self.way_to(host, seen)
        found = self.client.look_up(_question(step)) if self.client else None
        if found is None or step.written in seen:
            return Way()
        return self._told(found, step, (*seen, step.written))

    def _must_be_known(self, step: JumpStep) -> None:
        """Raise PathError for a misspelt proxy name, but not for one that ssh knows."""
        if self.client is None or step in self._known or re.search(r"[.:]", step.target) or step.target in self.hosts:
            return
        self._known.add(step)
        meant = nearest(step.target, sorted(self.hosts))
        if meant is not None and not self.client.knows(_question(step)):
            self._known.discard(step)
            raise PathError(f"{step.target}: no such host; did you mean {meant}?")

    def _listed(self, step: JumpStep) -> Host | None:
        """The inventory host of a step: by name, or a proxy by address, port and user."""
        if step not in self._meant:
            self._meant[step] = self.hosts.get(step.written) or self.hosts.get(step.target) or self._find_proxy(step)
        return self._meant[step]

    def _find_proxy(self, step: JumpStep) -> Host | None:
        if not self.proxies:
            return None
        found = self.client.settings_of(_question(step)) if self.client else None
        address = (found.value_of("hostname") if found else None) or step.target
        port = step.port or (found.port if found else 22)
        user = step.user or (found.value_of("user") if found else None) or getuser()
        for name in self.proxies:
            host = self.hosts[name]
            # Without a user, the inventory's user applies, not ssh's default.
            same_user = user in (host.user or user, getuser()) if step.user is None else user == host.user
            if same_user and (host.address.lower(), host.port or 22) == (address.lower(), port):
                return host
        return None

    # -- hops ---------------------------------------------------------------------------------------------------------

    def hop(self, step: JumpStep, before: Way) -> Hop:
        """The Hop of this step, created on first use."""
        host = self._listed(step)
        if host is not None:
            step = _as_listed(step, host)
        parent = before.hop
        way = (*(hop.spec for hop in (*parent.path, parent)),) if parent else (before.command,)
        key = (*way, step.written) if host else (*way, step.written, step.config, tuple(step.options.as_lines()))
        hops = self.topology.hops
        if key not in hops:
            hops[key] = self._make_hop(step, host, before)
        return hops[key]

    def _make_hop(self, step: JumpStep, host: Host | None, before: Way) -> Hop:
        parent = before.hop
        way = " ".join(hop.written for hop in (*parent.path, parent)) + " " if parent else ""
        name, target = (host and self.named.get(f"{way}{step.written}")) or (
            self._free_name(step.written, parent),
            self._free_target(step, parent, host),
        )
        renamed = target != step.target
        client = self.client if host is None else None
        found = client.settings_of(_question(step)) if client else None
        return Hop(
            name=name,
            target=target,
            spec=target if renamed or host is not None else step.written,
            written=step.written,
            host=host,
            user=step.user or (host.user if host else None),
            port=step.port or (host.port if host else None),
            parent=parent,
            command=before.command,
            options=step.options,
            settings=tuple(client.lines_for(_question(step))) if client and renamed else (),
            config=host.options.config if host else step.config,
            program=host.program if host else step.program,
            renamed=renamed,
            place=(found.value_of("hostname") or "", found.port) if found else ("", None),
        )

    def _free_target(self, step: JumpStep, parent: Hop | None, host: Host | None) -> str:
        """A name for this hop in ssh's configuration that no other host has."""
        taken = {other.target for other in self.topology.hops.values()}
        taken.update(() if host else self.addresses)
        longer = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{step.written}-via-{parent.target if parent else 'checker'}")
        return _first_free(taken, step.target, longer, (f"{longer}-{number}" for number in count(2)))

    def _free_name(self, name: str, parent: Hop | None) -> str:
        taken = {hop.name for hop in self.topology.hops.values()}
        longer = f"{name} (through {parent.name})" if parent else f"{name} (directly)"
        return _first_free(taken, name, longer, (f"{longer[:-1]}, {number})" for number in count(2)))


def _first_free(taken: Collection[str], name: str, longer: str, more: Iterable[str]) -> str:
    return next(one for one in chain([name, longer], more) if one not in taken)


def _as_listed(step: JumpStep, host: Host) -> JumpStep:
    """The step by the host's inventory name, unless user or port differ."""
    user, port = step.user or host.user, step.port or host.port
    same = (user, port or 22) == (host.user, host.port or 22)
    written = host.name if same or step.target != host.name else step.written
    return replace(step, target=host.name, user=user, port=port, written=written)


def _question(step: JumpStep) -> Question:
    return Question(step.target, step.user, step.port, step.config, step.options.rest, step.program)
