"""
Finds weak points of a working tunnel in the ssh command line on the remote.

The processes of a remote give its Tunnels; the check results of the fleet give sentences of advice for one remote.
Advice changes no status. Settings of an ssh_config file are not seen.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.processes import Process
from remotestatus.model.tunnels import Tunnel

MAX_TUNNELS = 20

_WITH_VALUE = frozenset("BbcDEeFIiJLlmOoPpQRSWw")
"""Options of ssh(1) that take a value."""


def find_tunnels(processes: Iterable[Process] | None) -> tuple[Tunnel, ...]:
    """Find the reverse forwardings of every ssh that runs there and is not the checker's own."""
    found: list[Tunnel] = []
    for process in processes or ():
        if process.own or process.zombie or not process.argv or process.argv[0].rpartition("/")[2] != "ssh":
            continue
        found += _tunnels_of(process.argv[1:])
        if len(found) >= MAX_TUNNELS:
            break
    return tuple(dict.fromkeys(found[:MAX_TUNNELS]))


def _tunnels_of(arguments: Sequence[str]) -> Iterator[Tunnel]:
    forwardings, settings = _read_options(arguments)
    interval = settings.get("serveraliveinterval", "")
    exits = settings.get("exitonforwardfailure")
    for forwarding in forwardings:
        bind, port = _bound(forwarding)
        if port is not None:
            yield Tunnel(
                port=port,
                bind=bind,
                exit_on_failure=None if exits is None else exits.lower() in ("yes", "true"),
                alive_interval=int(interval)
                if interval.isascii() and interval.isdigit() and len(interval) < 9
                else None,
            )


def _read_options(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Read the values of -R, and those of -o by their names in lower case; the first one counts, as for ssh."""
    forwardings: list[str] = []
    settings: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            continue
        for at, letter in enumerate(word[1:], start=1):
            if letter not in _WITH_VALUE:
                continue
            value = word[at + 1 :] or (rest.pop(0) if rest else "")
            if letter == "R":
                forwardings.append(value)
            elif letter == "o":
                name, _, setting = value.strip().replace("=", " ", 1).partition(" ")
                settings.setdefault(name.lower(), setting.strip())
                if name.lower() == "remoteforward":
                    forwardings.append(setting.strip().replace(" ", ":", 1))
            break
    return forwardings, settings


def _bound(forwarding: str) -> tuple[str | None, int | None]:
    """Read address and port on the proxy from `[bind_address:]port[:host:hostport]`; no port for a socket."""
    bind: str | None = None
    rest = forwarding
    if rest.startswith("["):
        bind, _, rest = rest[1:].partition("]:")
    # An address in brackets has colons of its own.
    parts = re.sub(r"\[[^\]]{0,100}\]", "host", rest).split(":")
    if bind is None and len(parts) in (2, 4) and not parts[0].isdigit():
        bind, parts = parts[0], parts[1:]
    port = parts[0] if parts else ""
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65535):
        return bind, None
    return bind, int(port)


def advise(remote: Remote, fleet: Fleet, results: Mapping[str, CheckResult]) -> tuple[str, ...]:
    """Write sentences about the tunnel of a remote; `results` are the last ones of the whole fleet, by name."""
    result = results.get(remote.name)
    # Its tunnel may be kept by another program, and the ssh seen there have another purpose.
    if result is None or remote.proxy is None or remote.port not in {tunnel.port for tunnel in result.tunnels}:
        return ()
    return tuple(dict.fromkeys([*_about_ports(remote, fleet, results), *_about_options(remote, result.tunnels)]))


def _about_ports(remote: Remote, fleet: Fleet, results: Mapping[str, CheckResult]) -> Iterator[str]:
    seen = results[remote.name]
    for port in {tunnel.port for tunnel in seen.tunnels}:
        for other in fleet.remotes_by_port.get((remote.proxy, port), ()):
            if other.name != remote.name and not _are_one_machine(seen, results.get(other.name)):
                yield (
                    f"An ssh on it asks for port {port} of {remote.proxy}, which is that of {other.name}: whoever "
                    "starts first has it"
                )


def _are_one_machine(one: CheckResult, other: CheckResult | None) -> bool:
    """Whether two remotes are names of the same machine, so that each sees the other's tunnel."""
    return other is not None and one.facts.boot_id is not None and one.facts.boot_id == other.facts.boot_id


def _about_options(remote: Remote, seen: Sequence[Tunnel]) -> Iterator[str]:
    for tunnel in seen:
        if remote.port is not None and tunnel.port != remote.port:
            continue
        if not tunnel.exit_on_failure:
            yield (
                "The ssh of its tunnel is started without -o ExitOnForwardFailure=yes: when the port is still held on "
                "the proxy, it goes on without a tunnel"
            )
        if not tunnel.alive_interval:
            yield (
                "The ssh of its tunnel is started without -o ServerAliveInterval=30: when the line breaks, it may wait "
                "for hours before it connects again"
            )
        if tunnel.bind in ("", "*", "0.0.0.0", "::"):  # noqa: S104 - what somebody else asks for
            yield (
                f"Its tunnel asks to listen on all addresses of {remote.proxy}: unless GatewayPorts forbids it there, "
                f"anybody who reaches the proxy reaches port {tunnel.port}"
            )
