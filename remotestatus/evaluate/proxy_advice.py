"""
Finds weak points of the tunnels on a proxy: ports of no remote, open to everybody, or held by dead sessions.

The result is sentences of advice. Advice changes no status: a remote that cannot be reached is down anyway.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.text import join_names
from remotestatus.model.tunnels import TunnelPort

_NAMED = 6
_PRIVILEGED = 1024
"""Ports below this one belong to services, and no tunnel of an ordinary account can have them (bind(2), EACCES)."""
_X11 = range(6010, 6110)
"""What sshd binds for X11 forwarding (X11DisplayOffset of sshd_config(5)), which is no tunnel to a remote."""
_LOOPBACK = ("127.", "::1", "localhost")
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what somebody else listens on


def dead_tunnels(states: Mapping[Subject, State]) -> frozenset[str]:
    """Find the remotes whose port on the proxy is held by a session that does not answer."""
    return frozenset(
        name
        for (kind, name), state in states.items()
        if kind is Kind.REMOTE and any(trouble.cause is Cause.TUNNEL_STALE for trouble in state.troubles)
    )


def advise_proxy(fleet: Fleet, result: CheckResult, dead: Collection[str]) -> tuple[str, ...]:
    """Write sentences about the tunnels that end at a probed proxy; `dead` are remotes, see `dead_tunnels`."""
    proxy, ports = result.name, result.ports
    behind = [one for one in fleet.behind(proxy) if one.proxy == proxy and one.connection == "ssh"]
    wanted: dict[int, list[Remote]] = {}
    for remote in behind:
        if remote.port is not None and remote.address.startswith(_LOOPBACK):
            wanted.setdefault(remote.port, []).append(remote)
    return tuple(
        dict.fromkeys(
            (
                *_about_dead(proxy, wanted, ports, dead),
                *_about_shared(wanted),
                *_about_strays(wanted, ports),
                *_about_everywhere(proxy, wanted, ports),
            )
        )
    )


def _about_dead(
    proxy: str, wanted: Mapping[int, Sequence[Remote]], ports: Sequence[TunnelPort], dead: Collection[str]
) -> Iterator[str]:
    for port, remotes in wanted.items():
        names = [remote.name for remote in remotes if remote.name in dead]
        holders = [one for one in ports if one.port == port]
        if not names or not holders:
            continue
        pids = sorted({str(pid) for one in holders for pid in one.pids})
        who = f"a session of {join_names(sorted({one.user for one in holders}), 3)}"
        peers = sorted({peer for one in holders for peer in one.peers})
        silent = f" (pid {', '.join(pids)})" if pids else ""
        silent += f", which waits for {join_names(peers, 3)}" if peers else ""
        cure = f"end it there with `kill {' '.join(pids)}`" if pids else f"as root, `ss -tlnp sport = :{port}` names it"
        yield (
            f"Port {port} of {names[0]} is held by {who}{silent} and nobody answers behind it: {cure}, and "
            f"`ClientAliveInterval 30` in the sshd_config of {proxy} ends the next one by itself"
        )


def _about_shared(wanted: Mapping[int, Sequence[Remote]]) -> Iterator[str]:
    for port, remotes in wanted.items():
        if len(remotes) > 1:
            names = join_names([remote.name for remote in remotes], _NAMED)
            yield f"Port {port} is that of {names}: give each its own `ansible_port`"


def _about_strays(wanted: Mapping[int, Sequence[Remote]], ports: Sequence[TunnelPort]) -> Iterator[str]:
    strays: dict[int, str] = {}
    for one in ports:
        if one.port in wanted or one.port < _PRIVILEGED or one.port in _X11:
            continue
        in_range = bool(wanted) and min(wanted) <= one.port <= max(wanted)
        if one.session or in_range:
            strays.setdefault(one.port, one.user)
    if not strays:
        return
    names = join_names([f"{port} ({user})" if user else str(port) for port, user in sorted(strays.items())], _NAMED)
    single = len(strays) == 1
    yield (
        f"{'Port' if single else 'Ports'} {names} {'listens' if single else 'listen'} there as a tunnel does, and "
        f"{'belongs' if single else 'belong'} to no remote of the inventory"
    )


def _about_everywhere(proxy: str, wanted: Mapping[int, Sequence[Remote]], ports: Sequence[TunnelPort]) -> Iterator[str]:
    open_ports = sorted(
        {
            one.port
            for one in ports
            if one.address in _EVERYWHERE and one.port >= _PRIVILEGED and (one.session or one.port in wanted)
        }
    )
    if not open_ports:
        return
    said = [f"{port} ({wanted[port][0].name})" if port in wanted else str(port) for port in open_ports]
    single = len(said) == 1
    yield (
        f"{'Port' if single else 'Ports'} {join_names(said, _NAMED)} {'listens' if single else 'listen'} on all "
        f"addresses of {proxy}, so whoever reaches {proxy} reaches {'it' if single else 'them'}: `GatewayPorts no` in "
        "its sshd_config keeps tunnels to the loopback address"
    )
