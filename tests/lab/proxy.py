"""
A jump host: a real sshd with the limits of a stock Debian, that tunnels are bound on and remotes are reached through.
"""

from collections.abc import Mapping
from typing import Any

from tests.lab.account import Login
from tests.lab.host import Host
from tests.lab.keys import Key
from tests.lab.ports import LOOPBACK
from tests.lab.sshd import Sshd
from tests.lab.tunnel import Tunnel

STOCK = {"MaxStartups": "10:30:100", "MaxSessions": "10", "AllowTcpForwarding": "yes"}
"""sshd_config(5)'s defaults that matter to a jump host, written out."""


class Proxy(Host):
    """A jump host of the fleet, in the inventory's group `proxies`."""

    def __init__(self, name: str, sshd: Sshd, login: Login, keys: dict[str, Key], variables: dict[str, Any]) -> None:
        super().__init__(name, sshd, login, keys, variables)
        self.tunnels: list[Tunnel] = []
        self.tunnels_address = LOOPBACK

    def inventory_variables(self, checker: Key) -> Mapping[str, Any]:
        return {
            "ansible_host": LOOPBACK,
            "ansible_port": self.sshd.port,
            "ansible_user": self.login.user,
            "ansible_ssh_private_key_file": str(checker.path),
            **self.variables,
        }

    def restore(self) -> None:
        """Take back every fault, and have the tunnels log in again that died with the server."""
        super().restore()
        for tunnel in self.tunnels:
            tunnel.restore()
