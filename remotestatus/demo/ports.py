"""
The ports of one fleet: a block of a hundred.

A block is taken by listening on its first port, which the message receiver does as long as the fleet runs. So two
fleets on one machine never use the same port, even while a tunnel is cut and its port is free. All ports are below the
range that the kernel gives to outgoing connections, so no other program gets a free one by chance.
"""

import errno
import socket

LOOPBACK = "127.0.0.1"
_FIRST_PORTS = range(8000, 28000, 100)


class Ports:
    """The ports of one fleet; remotes are counted from 0."""

    def __init__(self, first: int) -> None:
        self.receiver = first  # takes the block
        self.first_tunnel = first + 1
        self.proxy = first + 22
        self.first_sshd = first + 41
        self.control = first + 99  # takes orders to break and mend

    def tunnel(self, position: int) -> int:
        """A remote's port on the proxy: `ansible_port`."""
        return self.first_tunnel + position

    def sshd(self, position: int) -> int:
        """The port of a remote's own SSH server, which only its tunnel connects to."""
        return self.first_sshd + position


def claim_ports(remotes: int) -> tuple[Ports, socket.socket]:
    """
    Takes a block with free ports for so many remotes; returns it with the receiver's listening socket.

    Raises OSError (EADDRINUSE) if every block is taken.
    """
    for first in _FIRST_PORTS:
        ports = Ports(first)
        try:
            held = socket.create_server((LOOPBACK, ports.receiver))
        except OSError:
            continue
        try:
            positions = range(remotes)
            for port in (ports.proxy, ports.control, *map(ports.tunnel, positions), *map(ports.sshd, positions)):
                socket.create_server((LOOPBACK, port)).close()
        except OSError:
            held.close()
            continue
        return ports, held
    raise OSError(errno.EADDRINUSE, "no free block of ports for the demo fleet on 127.0.0.1")
