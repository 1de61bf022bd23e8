"""
The two ends of a tunnel: what a remote's own ssh was started with to keep it (ssh(1), -R), and what listens on a proxy.
"""

from dataclasses import dataclass

from remotestatus_playbook.protocol import Listener

__all__ = ["Listener", "Tunnel", "TunnelPort"]


@dataclass(frozen=True, slots=True)
class Tunnel:
    """
    One reverse forwarding of one ssh: the port that it asks for on the proxy, and the address there, if it says one.

    `exit_on_failure` and `alive_interval` are its options, None where its command line does not say.
    """

    port: int
    bind: str | None = None
    exit_on_failure: bool | None = None
    alive_interval: int | None = None


@dataclass(frozen=True, slots=True)
class TunnelPort:
    """
    One address and port of a proxy that a tunnel may have bound, and whose it is.

    `session` tells whether an SSH session holds it; None where the account may not see that. `pids` are the processes
    that hold it, as far as that is known, and `peers` the addresses that those wait for in vain.
    """

    port: int
    address: str
    user: str = ""
    session: bool | None = None
    pids: tuple[int, ...] = ()
    peers: tuple[str, ...] = ()
