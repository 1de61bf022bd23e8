"""
A reverse tunnel: a real `ssh -N -R` client that binds ports of a proxy to servers elsewhere.

One client may carry many forwards (as for a fleet in bulk), each of which can be cut and put back by itself through
the client's control socket. Whoever cuts gets control back only when the port has been let go.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.lab.command import run_command
from tests.lab.keeper import Keeper
from tests.lab.keys import Key
from tests.lab.ports import LOOPBACK, Port
from tests.lab.requirements import program

_BOUND = re.compile(r"remote forward success for:")


class Tunnel:
    """The client of one or more remotes, logged in to the proxy that listens on `proxy_port` of `proxy_address`."""

    def __init__(
        self,
        keeper: Keeper,
        control: Path,
        log: Path,
        *,
        key: Key,
        user: str,
        proxy_port: int,
        proxy_address: str = LOOPBACK,
    ) -> None:
        self._keeper = keeper
        self._control = control
        self._log = log
        log.touch()
        # The tunnels trust any proxy: a proxy with a new host key is a fault for the checker, not for them.
        # The key exchange is the cheap one: this machine plays all the remotes.
        self._ssh = [
            *(program("ssh"), "-F", "none", "-N", "-v", "-i", str(key.path), "-p", str(proxy_port), "-l", user),
            *("-S", str(control), "-o", "ControlMaster=yes", "-o", "ExitOnForwardFailure=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"),
            *("-o", "IdentitiesOnly=yes", "-o", "KexAlgorithms=curve25519-sha256"),
        ]
        self._proxy_address = proxy_address
        self._forwards: dict[Port, int] = {}
        self._misled = False
        self._pid: int | None = None

    @property
    def running(self) -> bool:
        return self._pid is not None and self._keeper.alive(self._pid)

    def start(self, forwards: Mapping[Port, int]) -> None:
        """Log in anew and bind each port of the proxy to the local port it maps to."""
        self._forwards = dict(forwards)
        self._log_in(self._forwards)

    def mislead(self, port: Port, target: int) -> None:
        """Bind the tunnel's only port to another local port, until restored."""
        assert list(self._forwards) == [port], "only a tunnel with one port can be misled"
        self._log_in({port: target})
        self._misled = True

    def restore(self) -> None:
        """Bind every port again as it was."""
        bound = [port for port in self._forwards if port.listened_to()]
        if self._misled or not self.running or not bound:
            self._log_in(self._forwards)
            return
        self._keeper.signal(self._pid or 0, signal.SIGCONT)
        for port in self._forwards.keys() - bound:
            self._control_command("forward", port, self._forwards[port])

    def cut(self, port: Port) -> None:
        """Let go of one port."""
        if len(self._forwards) == 1:
            self.stop()
        else:
            self._control_command("cancel", port, self._forwards[port])
            self._await(lambda: not port.listened_to())

    def freeze(self) -> None:
        """Answer nothing any more, while the proxy goes on to listen: a far end that lost its power."""
        assert self._pid is not None
        self._keeper.signal(self._pid, signal.SIGSTOP)

    def stop(self) -> None:
        if self._pid is not None:
            self._keeper.end(self._pid)
            self._pid = None
            self._await(lambda: not any(port.listened_to() for port in self._forwards))
        self._control.unlink(missing_ok=True)

    def _log_in(self, forwards: Mapping[Port, int]) -> None:
        self.stop()
        self._misled = False
        requests = [word for port, target in forwards.items() for word in ("-R", _forward(port, target))]
        before = self._bound()
        self._pid = self._keeper.start(
            [*self._ssh, *requests, self._proxy_address],
            log=self._log,
            environment={"PATH": os.environ.get("PATH", os.defpath)},
        )
        self._await(lambda: self._bound() >= before + len(forwards))

    def _control_command(self, command: str, port: Port, target: int) -> None:
        done = run_command(
            [program("ssh"), "-F", "none", "-S", str(self._control), "-O", command, "-R", _forward(port, target), "x"],
            environment={},
            timeout=20,
        )
        assert done.returncode == 0, done.stderr

    def _bound(self) -> int:
        return len(_BOUND.findall(self._log.read_text(errors="replace")))

    def _await(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not done():
            gone = self._pid is not None and not self.running
            if gone or time.monotonic() > deadline:
                raise RuntimeError(f"the tunnel failed; its log says:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.005)


def _forward(port: Port, target: int) -> str:
    return f"{LOOPBACK}:{port.number}:{LOOPBACK}:{target}"
