"""
What a proxy and a remote have in common: a server that the checker logs in to, and how that goes wrong.

Each fault is one method and is real: another process, key, account or socket, never a patched function. `restore`
takes all of them back.
"""

from typing import Any

from tests.lab.account import Login
from tests.lab.keys import Key
from tests.lab.ports import Manner
from tests.lab.sshd import Sshd

CHECKER, TUNNELS = "checker", "tunnels"
"""The names of the two keys that servers know: that of the checker and that of the tunnels' clients."""


class Host:
    """A server of the lab under its inventory name."""

    def __init__(self, name: str, sshd: Sshd, login: Login, keys: dict[str, Key], variables: dict[str, Any]) -> None:
        self.name = name
        self.sshd = sshd
        self.login = login
        self.variables = variables
        self._keys = keys

    # -- faults -------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Switch the server off: its connections end, and from then on the kernel refuses."""
        self.sshd.stop()

    def black_hole(self) -> None:
        """No packet is answered any more."""
        self.sshd.impersonate(Manner.DROPPING)

    def fall_silent(self) -> None:
        """Connections are accepted, and nothing is ever said."""
        self.sshd.impersonate(Manner.SILENT)

    def close_at_once(self) -> None:
        """Connections are accepted and closed before a word."""
        self.sshd.impersonate(Manner.CLOSING)

    def reject_key(self) -> None:
        """The checker's key is no longer welcome; the tunnels' still is."""
        self.sshd.authorize(TUNNELS)

    def change_host_key(self) -> None:
        """Present another host key than known_hosts has, as after a reinstallation."""
        self.sshd.change_host_key()

    def restore(self) -> None:
        """Take back every fault."""
        self.sshd.restore()

    # -- what it saw --------------------------------------------------------------------------------------------------

    def logins(self) -> int:
        """How many times the checker logged in with its key, or anybody with a password."""
        return self.sshd.logins() - self.sshd.logins(self._keys[TUNNELS])

    def connections(self) -> int:
        """How many connections came, the tunnels' left out, those that never logged in counted."""
        return self.sshd.connections(without=self._keys[TUNNELS])

    def turned_away(self) -> int:
        """How many connections the server dropped because too many came at once (MaxStartups)."""
        return self.sshd.turned_away()

    def end_connections(self) -> int:
        """Kill the server processes of the checker's standing connections; returns how many there were."""
        return self.sshd.end_connections(self._keys[CHECKER])

    def close(self) -> None:
        self.sshd.close()
