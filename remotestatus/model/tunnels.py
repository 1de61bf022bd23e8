"""The two ends of a tunnel: the options of the ssh -R on the remote, and the listening port on the proxy."""

from dataclasses import dataclass

from remotestatus_playbook.protocol import Listener

__all__ = ["Listener", "Tunnel", "TunnelPort"]


@dataclass(frozen=True, slots=True)
class Tunnel:
    """
    One remote forwarding (ssh -R): its port on the proxy, and its bind address, if any.

    `exit_on_failure` and `alive_interval` are its options, None if not on its command line.
    """

    port: int
    bind: str | None = None
    exit_on_failure: bool | None = None
    alive_interval: int | None = None


@dataclass(frozen=True, slots=True)
class TunnelPort:
    """
    One address and port of a proxy that a tunnel may have bound, and its owner.

    `session` tells whether an SSH session holds it; None where the account may not see that. `pids` are the processes
    that hold it, as far as known; `peers` are addresses that do not answer them.
    """

    port: int
    address: str
    user: str = ""
    session: bool | None = None
    pids: tuple[int, ...] = ()
    peers: tuple[str, ...] = ()
