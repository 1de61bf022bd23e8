"""
The files and ports of one fleet: one directory, and one block of a hundred ports.

A block is taken by listening on its first port, which the message receiver does as long as the fleet runs. So two
fleets on one machine never use the same port, even while a tunnel is cut and its port is free. All ports are below the
range that the kernel gives to outgoing connections, so no other program gets a free one by chance.
"""

import errno
import socket
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
_FIRST_PORTS = range(8000, 28000, 100)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one fleet; remotes are counted from 0."""

    first: int

    @property
    def receiver(self) -> int:
        """The message receiver's port, which takes the block."""
        return self.first

    @property
    def proxy(self) -> int:
        """The proxy's SSH server."""
        return self.first + 22

    @property
    def control(self) -> int:
        """The port of the control server, which takes orders to break and mend."""
        return self.first + 99

    def tunnel(self, position: int) -> int:
        """A remote's port on the proxy: `ansible_port`."""
        return self.first + 1 + position

    def sshd(self, position: int) -> int:
        """The port of a remote's own SSH server, which only its tunnel connects to."""
        return self.first + 41 + position

    def others(self, remotes: int) -> tuple[int, ...]:
        """Every port that must be free, except the receiver's."""
        positions = range(remotes)
        return (self.proxy, self.control, *map(self.tunnel, positions), *map(self.sshd, positions))


def claim_ports(remotes: int) -> tuple[Ports, socket.socket]:
    """
    Takes a block with free ports for so many remotes; returns it with the receiver's listening socket.

    Raises OSError (EADDRINUSE) if every block is taken.
    """
    for first in _FIRST_PORTS:
        ports = Ports(first)
        try:
            held = _listen(ports.receiver)
        except OSError:
            continue
        try:
            for port in ports.others(remotes):
                _listen(port).close()
        except OSError:
            held.close()
            continue
        return ports, held
    raise OSError(errno.EADDRINUSE, "no free block of ports for the demo fleet on 127.0.0.1")


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one fleet. Ansible reads all of `inventory/`, so it contains nothing else."""

    directory: Path

    @property
    def marker(self) -> Path:
        """The file that marks the directory as a demo's, which may be overwritten."""
        return self.directory / "README.txt"

    @property
    def inventory(self) -> Path:
        """The folder to give to `-i`."""
        return self.directory / "inventory"

    @property
    def known_hosts(self) -> Path:
        """A host key for each remote and the proxy, under its inventory name."""
        return self.directory / "known_hosts"

    @property
    def keys(self) -> Path:
        """The private keys that log in at the proxy (`proxy`) and at the remotes (`remotes`)."""
        return self.directory / "keys"

    @property
    def messages(self) -> Path:
        """The messages that were received, a JSON object a line."""
        return self.directory / "messages.jsonl"

    @property
    def running(self) -> Path:
        """Process id, control port and token of the running fleet; exists only while it runs."""
        return self.directory / "fleet.json"

    @property
    def log(self) -> Path:
        """Standard error of the fleet's process."""
        return self.directory / "fleet.log"

    @property
    def programs(self) -> Path:
        """The PATH of the remotes' programs, which holds a `python` only."""
        return self.directory / "bin"

    def home(self, name: str) -> Path:
        """The working directory of a remote's (or the proxy's) commands and programs."""
        return self.directory / "homes" / name
