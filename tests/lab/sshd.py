"""
One real OpenSSH server on loopback, with what can go wrong at a server.

Takes a folder, keys and options of sshd_config(5); keeps the server's log and counts in it. A change of its
configuration or host key is read with SIGHUP, as an administrator would do: connections that stand, keep standing.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from tests.lab.keeper import Keeper
from tests.lab.keys import Key, make_key
from tests.lab.ports import LOOPBACK, Impostor, Manner, Port
from tests.lab.requirements import program, server_version

_CONNECTION = re.compile(r"^Connection from \S+ port (\d+) on ", re.MULTILINE)
_LOGIN = re.compile(r"^Accepted (\S+) for (\S+) from \S+ port (\d+) ssh2(?:: \S+ (\S+))?", re.MULTILINE)
_LISTENING = re.compile(r"^Server listening on ", re.MULTILINE)
_TURNED_AWAY = re.compile(r"^drop connection #\d+ from ", re.MULTILINE)


class Sshd:
    """A server, started by `start`. All its files lie in `folder`, which its logins must be able to read."""

    def __init__(
        self,
        keeper: Keeper,
        folder: Path,
        log: Path,
        port: Port,
        *,
        authorized: Mapping[str, Key],
        options: Mapping[str, str],
        isolated: bool = False,
        also_on: str | None = None,
    ) -> None:
        folder.mkdir(mode=0o755, exist_ok=True)
        self.folder = folder
        self.log = log
        log.touch()
        self.options = dict(options)
        self._port = port
        self._keeper = keeper
        self._authorized = dict(authorized)
        self._isolated = isolated
        self._addresses = [LOOPBACK, *([also_on] if also_on else [])]
        self._changes: dict[str, str] = {}
        self._pid: int | None = None
        self._impostor: Impostor | None = None
        self._first_key = make_key(folder / "host_key", "lab host")
        self._other_key: Key | None = None
        self.authorize(*authorized)

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def host_key(self) -> Key:
        """The key that clients are told to expect."""
        return self._first_key

    @property
    def running(self) -> bool:
        return self._pid is not None and self._keeper.alive(self._pid)

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, in the place of whatever stood there; returns when connections are accepted."""
        self._dismiss_impostor()
        if self.running:
            return
        self._write_config()
        if os.geteuid() == 0:
            # Compiled into sshd; a system whose ssh service never ran has no such folder.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        before = self._listening()
        self._pid = self._keeper.start([*self._namespaces(), program("sshd"), *self._arguments()], log=self.log)
        self._await(lambda: self._listening() > before)

    def stop(self) -> None:
        """End the server and every connection it has, as when its machine is switched off."""
        if self._pid is not None:
            self._keeper.end(self._pid)
            self._pid = None

    def reload(self) -> None:
        """Have a running server read its configuration and host key anew; its connections stay."""
        self._write_config()
        if self.running:
            before = self._listening()
            os.kill(self._listener(), signal.SIGHUP)
            self._await(lambda: self._listening() > before)

    def impersonate(self, manner: Manner) -> None:
        """Put something else in the server's place."""
        self.stop()
        self._dismiss_impostor()
        self._impostor = Impostor(self.port, manner)

    def close(self) -> None:
        self.stop()
        self._dismiss_impostor()

    # -- changes ------------------------------------------------------------------------------------------------------

    def authorize(self, *names: str) -> None:
        """Let exactly these keys in, by their names in `authorized`."""
        path = self.folder / "authorized_keys"
        path.write_text("".join(f"{self._authorized[name].public} {name}\n" for name in names))

    def authorize_all(self) -> None:
        self.authorize(*self._authorized)

    def change(self, **options: str | None) -> None:
        """Set options of sshd_config(5) for logins from now on; None takes a change back."""
        for name, value in options.items():
            if value is None:
                self._changes.pop(name, None)
            else:
                self._changes[name] = value
        self.reload()

    def change_host_key(self) -> None:
        self._other_key = make_key(self.folder / "other_host_key", "lab host, reinstalled")
        self.reload()

    def restore(self) -> None:
        """Undo every change and start again, with the first host key."""
        self.authorize_all()
        changed = bool(self._changes or self._other_key)
        self._changes.clear()
        self._other_key = None
        if changed:
            self.reload()
        self.start()

    def join_cgroup(self, members: Path) -> None:
        """Take the server, and whoever logs in from now on, into a control group; `members` is its cgroup.procs."""
        members.write_text(str(self._listener()))

    # -- what it saw --------------------------------------------------------------------------------------------------

    def logins(self, key: Key | None = None) -> int:
        """How many times somebody logged in, or did so with this key."""
        return sum(key is None or found[4] == key.fingerprint for found in self._accepted())

    def connections(self, without: Key | None = None) -> int:
        """How many connections came, those that logged in with the key `without` left out."""
        return len(_CONNECTION.findall(self.log.read_text(errors="replace"))) - (self.logins(without) if without else 0)

    def turned_away(self) -> int:
        """How many connections MaxStartups of sshd_config(5) dropped."""
        return len(_TURNED_AWAY.findall(self.log.read_text(errors="replace")))

    def end_connections(self, key: Key) -> int:
        """Kill the server processes of those who logged in with this key, and return how many there were."""
        ports = {int(found[3]) for found in self._accepted() if found[4] == key.fingerprint}
        ended = 0
        for session in psutil.Process(self._listener()).children():
            if any(connection.raddr and connection.raddr.port in ports for connection in session.net_connections()):
                self._keeper.end(session.pid)
                ended += 1
        return ended

    # -- inside -------------------------------------------------------------------------------------------------------

    def join(self, argv: list[str]) -> list[str]:
        """The command that runs argv among the processes that the logins of this server see."""
        if not self._isolated:
            return argv
        return [program("nsenter"), f"--target={self._listener()}", "--pid", "--mount", "--", *argv]

    def _namespaces(self) -> list[str]:
        return [program("unshare"), "--fork", "--kill-child", "--pid", "--mount-proc"] if self._isolated else []

    def _listener(self) -> int:
        assert self._pid is not None, "this sshd is not running"
        return self._keeper.children(self._pid)[0] if self._isolated else self._pid

    def _arguments(self) -> list[str]:
        return ["-D", "-e", "-f", str(self.folder / "sshd_config")]

    def _write_config(self) -> None:
        key = self._other_key or self._first_key
        options = {
            **self._changes,
            **{name: value for name, value in self.options.items() if name not in self._changes},
            "Port": str(self.port),
            "HostKey": str(key.path),
            "AuthorizedKeysFile": str(self.folder / "authorized_keys"),
            "PidFile": "none",
            "LogLevel": "VERBOSE",
        }
        defaults = {
            "UsePAM": "no",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "UseDNS": "no",
            "Subsystem": "sftp internal-sftp",
        }
        if server_version() >= (9, 8):
            # Every host of the lab has the same address: one that fails would have the others shut out.
            defaults["PerSourcePenalties"] = "no"
        lines = [f"{name} {value}\n" for name, value in {**defaults, **options}.items()]
        lines += [f"ListenAddress {address}\n" for address in self._addresses]
        (self.folder / "sshd_config").write_text("".join(lines))

    def _accepted(self) -> list[re.Match[str]]:
        return list(_LOGIN.finditer(self.log.read_text(errors="replace")))

    def _listening(self) -> int:
        return len(_LISTENING.findall(self.log.read_text(errors="replace")))

    def _dismiss_impostor(self) -> None:
        if self._impostor:
            self._impostor.close()
            self._impostor = None

    def _await(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not done():
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"sshd did not start; its log says:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.005)
