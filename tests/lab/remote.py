"""
A host that is checked: a real sshd, mostly behind a real reverse tunnel, with real processes.

Its faults follow the way a check takes: the tunnel, the server, the login, the shell, the programs, the processes.
Remotes made by `Lab.bulk` share one server, so a fault of the server is a fault of them all; their tunnels are cut
one by one.
"""

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.account import Login
from tests.lab.host import Host
from tests.lab.keeper import Keeper
from tests.lab.keys import Key
from tests.lab.ports import Port
from tests.lab.proxy import Proxy
from tests.lab.sshd import Sshd
from tests.lab.tunnel import Tunnel

STANDARD_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_COMMAND = 'if [ -n "$SSH_ORIGINAL_COMMAND" ]; then eval "$SSH_ORIGINAL_COMMAND"; else exec sh; fi'


class Processes:
    """What runs on one remote: real processes with the arguments that a test asks for, asleep."""

    def __init__(self, keeper: Keeper, folder: Path, log: Path) -> None:
        self._keeper = keeper
        self._folder = folder
        self._log = log
        self._pids: dict[str, list[int]] = {}
        (folder / "bin").mkdir(parents=True, exist_ok=True)

    def start(self, command: str, name: str | None = None, sshd: Sshd | None = None) -> None:
        """
        Start a process whose arguments are those of `command`, for instance `python manage.py capture_videos.py`.

        The program behind every name is echo, which takes any arguments, writing to a full pipe, which blocks: the
        arguments and the command name are as written, and a thousand such processes cost no CPU.
        """
        argv = shlex.split(command)
        named = self._folder / "bin" / Path(argv[0]).name
        if not named.exists():
            named.symlink_to(_gnu_echo())
        if "/" in argv[0]:
            argv[0] = str(named)
        pid = self._keeper.start(
            sshd.join(argv) if sshd else argv,
            log=self._log,
            environment={"PATH": f"{named.parent}:{STANDARD_PATH}"},
            folder=self._folder,
            blocked=True,
        )
        self._pids.setdefault(name or command, []).append(pid)

    def stop(self, name: str) -> None:
        """Kill every process that was started under this name."""
        for pid in self._pids.pop(name):
            self._keeper.end(pid)


class Remote(Host):
    """A remote with a server of its own (or the bulk's), reached through `proxy` and its tunnel, or directly."""

    def __init__(
        self,
        name: str,
        sshd: Sshd,
        login: Login,
        keys: dict[str, Key],
        variables: dict[str, Any],
        *,
        processes: Processes,
        jumps: Sequence[Proxy] = (),
        tunnel: Tunnel | None = None,
        tunnel_port: Port | None = None,
        password: str | None = None,
        group: str = "remotes",
    ) -> None:
        super().__init__(name, sshd, login, keys, variables)
        self.group = group
        self.jumps = tuple(jumps)
        self.password = password
        self._processes = processes
        self._tunnel = tunnel
        self._tunnel_port = tunnel_port

    @property
    def port(self) -> int:
        """The remote port on the proxy, or the server's own for a direct remote."""
        return self._tunnel_port.number if self._tunnel_port else self.sshd.port

    @property
    def home(self) -> Path:
        """The home directory that logins get, empty but for what a test puts there."""
        return self.login.home or self.sshd.folder / "home"

    @property
    def proxy(self) -> Proxy | None:
        """The proxy that its tunnel is bound on."""
        return self.jumps[-1] if self.jumps else None

    def inventory_variables(self, checker: Key) -> Mapping[str, Any]:
        variables: dict[str, Any] = {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": self.login.user,
        }
        if self.password is not None:
            variables["ansible_password"] = self.password
        else:
            variables["ansible_ssh_private_key_file"] = str(checker.path)
        if self.jumps:
            variables["ansible_ssh_common_args"] = f"-o ProxyJump={','.join(proxy.name for proxy in self.jumps)}"
        return {**variables, **self.variables}

    def open(self) -> None:
        """Start the server, then the tunnel to it."""
        self.sshd.start()
        if self._tunnel and self._tunnel_port:
            self._tunnel.start({self._tunnel_port: self.sshd.port})

    # -- the tunnel ---------------------------------------------------------------------------------------------------

    def cut_tunnel(self) -> None:
        """Nothing listens on the remote port any more."""
        tunnel, port = self._through()
        tunnel.cut(port)

    def freeze_tunnel(self) -> None:
        """The proxy goes on to listen on the remote port, and the far end of the tunnel is gone."""
        self._through()[0].freeze()

    def tunnel_to(self, other: "Remote") -> None:
        """Have the remote port lead to another remote's server."""
        tunnel, port = self._through()
        tunnel.mislead(port, other.sshd.port)

    # -- the login ----------------------------------------------------------------------------------------------------

    def change_password(self, password: str = "changed since") -> None:
        """The account gets another password than the inventory has."""
        self.login.set_password(password)

    def show_banner(self, text: str) -> None:
        """Send a text before the login, as `Banner` of sshd_config(5) does."""
        path = self.sshd.folder / "banner"
        path.write_text(text)
        self.sshd.change(Banner=str(path))

    # -- the shell ----------------------------------------------------------------------------------------------------

    def run_instead(self, script: str) -> None:
        """
        Have each login run this `sh` script instead of the command it came with (ForceCommand of sshd_config(5)).

        `$SSH_ORIGINAL_COMMAND` holds that command, and `run_command` runs it.
        """
        path = self.sshd.folder / "shell"
        path.write_text(f"#!/bin/sh\nrun_command() {{ {_COMMAND}; }}\n{script}\n")
        path.chmod(0o755)
        self.sshd.change(ForceCommand=str(path))

    def hang_shell(self) -> None:
        """The login succeeds, and nothing ever comes."""
        self.run_instead("exec sleep 900")

    def hang_after_output(self) -> None:
        """The command's whole output comes, and the session never ends."""
        self.run_instead("run_command\nexec sleep 900")

    def print_for_ever(self) -> None:
        """The shell prints without end and never runs the command."""
        self.run_instead("exec yes")

    def print_garbage(self, size: int = 5_000_000) -> None:
        """That many random bytes, then the command's output."""
        self.run_instead(f"head -c {size} /dev/urandom\necho\nrun_command")

    def print_noise(self, text: str) -> None:
        """A text on standard output and standard error before the command's output, as a chatty shell profile does."""
        quoted = shlex.quote(text)
        self.run_instead(f"printf '%s\\n' {quoted}\nprintf '%s\\n' {quoted} >&2\nrun_command")

    def exit_with(self, code: int) -> None:
        """The command runs, and the session's exit code is this one."""
        self.run_instead(f"run_command\nexit {code}")

    def lose_connection(self) -> None:
        """The connection breaks in the middle of the output: the server process of this login is killed."""
        self.run_instead("echo 'and in the middle of'\nkill -9 $PPID\nsleep 900")

    # -- programs and processes ---------------------------------------------------------------------------------------

    def remove_programs(self, *names: str) -> None:
        """Logins find all programs of the standard PATH but these; a command that sets its own PATH finds them too."""
        folder = self.sshd.folder / "programs"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for place in STANDARD_PATH.split(":"):
            for entry in os.scandir(place) if Path(place).is_dir() else ():
                if entry.name not in names and not (folder / entry.name).exists():
                    (folder / entry.name).unlink(missing_ok=True)
                    (folder / entry.name).symlink_to(entry.path)
        self._set_path(str(folder))

    def replace_program(self, name: str, script: str) -> None:
        """Logins find this `sh` script first under the name of a program; a command that sets its own PATH does not."""
        folder = self.sshd.folder / "replacements"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        self._set_path(f"{folder}:{STANDARD_PATH}")

    def hang_disk(self) -> None:
        """Asking for the free space never returns, as with a network file system whose server is gone."""
        self.replace_program("df", "exec sleep 900")

    def start_process(self, command: str, name: str | None = None) -> None:
        """Start one more process with these arguments."""
        self._processes.start(command, name, self.sshd)

    def stop_process(self, name: str) -> None:
        """Kill every process started under this name; its name is its command unless given."""
        self._processes.stop(name)

    def restore(self) -> None:
        """Take back every fault but a changed password and stopped processes."""
        super().restore()
        if self._tunnel:
            self._tunnel.restore()

    def _set_path(self, path: str) -> None:
        self.sshd.change(SetEnv=_environment(self.home, path))

    def _through(self) -> tuple[Tunnel, Port]:
        assert self._tunnel is not None, f"{self.name} is reached directly"
        assert self._tunnel_port is not None
        return self._tunnel, self._tunnel_port


class LocalRemote:
    """This machine itself, checked without SSH (`ansible_connection: local`)."""

    def __init__(self, name: str, variables: dict[str, Any], processes: Processes, group: str) -> None:
        self.name = name
        self.group = group
        self.variables = variables
        self._processes = processes

    def inventory_variables(self, checker: Key) -> Mapping[str, Any]:
        return {"ansible_connection": "local", **self.variables}

    def start_process(self, command: str, name: str | None = None) -> None:
        self._processes.start(command, name)

    def stop_process(self, name: str) -> None:
        self._processes.stop(name)


def login_options(home: Path) -> dict[str, str]:
    """The options of sshd_config(5) that give logins a home and a PATH of the lab's own."""
    return {"SetEnv": _environment(home, STANDARD_PATH)}


def _environment(home: Path, path: str) -> str:
    return f"HOME={home} PATH={path}"


def _gnu_echo() -> str:
    """GNU's echo; a multi-call binary would look at the name it is called by."""
    for name in ("gnuecho", "echo"):
        path = shutil.which(name, path=STANDARD_PATH)
        if path and Path(path).resolve().name == name:
            return path
    pytest.fail("the lab's processes need GNU echo: apt-get install coreutils")
