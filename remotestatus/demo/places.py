"""
Where everything of one fleet is: its files in one directory, its ports in one block of a hundred.

A block is claimed by listening on its first port, which the message sink does for as long as the fleet runs; so two
fleets on one machine never share a port, not even one that a cut tunnel has left free. All ports lie below the range
that the kernel gives to outgoing connections, so nothing else moves into a freed port by chance.
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
    def sink(self) -> int:
        """Where messages are received; the port that claims the block."""
        return self.first

    @property
    def proxy(self) -> int:
        """The proxy's SSH server."""
        return self.first + 22

    @property
    def control(self) -> int:
        """Where orders to break and mend are taken."""
        return self.first + 99

    def tunnel(self, position: int) -> int:
        """A remote's port on the proxy: `ansible_port`."""
        return self.first + 1 + position

    def sshd(self, position: int) -> int:
        """A remote's own SSH server, which only its tunnel connects to."""
        return self.first + 41 + position

    def all_but_sink(self, remotes: int) -> tuple[int, ...]:
        """Every port that must be free besides the sink's."""
        positions = range(remotes)
        return (self.proxy, self.control, *map(self.tunnel, positions), *map(self.sshd, positions))


def claim_ports(remotes: int) -> tuple[Ports, socket.socket]:
    """
    Finds a block with free ports for so many remotes; returns it with the sink's listening socket, which holds it.

    Raises OSError (EADDRINUSE) when every block is taken.
    """
    for first in _FIRST_PORTS:
        ports = Ports(first)
        try:
            held = _listen(ports.sink)
        except OSError:
            continue
        try:
            for port in ports.all_but_sink(remotes):
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
    """The files of one fleet. Only `inventory/` is read as an inventory, so nothing else may lie in it."""

    directory: Path

    @property
    def marker(self) -> Path:
        """Says that this directory belongs to a demo and may be overwritten."""
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
        """The messages that the sink received, a JSON object a line."""
        return self.directory / "messages.jsonl"

    @property
    def running(self) -> Path:
        """Process id, control port and token of the running fleet; absent when none runs."""
        return self.directory / "fleet.json"

    @property
    def log(self) -> Path:
        """What the fleet's process had to complain about."""
        return self.directory / "fleet.log"

    @property
    def programs(self) -> Path:
        """The PATH of the remotes' programs: a `python` and nothing else."""
        return self.directory / "bin"

    def home(self, name: str) -> Path:
        """Where a remote's (or the proxy's) commands and programs run."""
        return self.directory / "homes" / name
