"""
The laboratory: builds a fleet of real OpenSSH servers and tunnels on loopback, and ends it.

    with Lab(directory) as lab:
        capture = lab.remote("capture-1", processes=["python manage.py capture_videos.py"])
        capture.cut_tunnel()
        lab.write_inventory()

What a test or a person may want to look at lies in `directory`: the inventory, keys, known_hosts, logs. What servers
and their logins need to read lies in a folder of its own with a short path: a socket's path has 108 bytes at most,
and accounts may not enter pytest's folders.
"""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from tests.lab.account import allow_sudo, make_account, own_login
from tests.lab.command import run_command
from tests.lab.host import CHECKER, TUNNELS
from tests.lab.inventory import write_inventory, write_known_hosts, write_ssh_config
from tests.lab.jump_ways import JumpWay
from tests.lab.keeper import LIFETIME, Keeper
from tests.lab.keys import make_key
from tests.lab.link import BadLink
from tests.lab.ports import LOOPBACK, Port
from tests.lab.proxy import STOCK, Proxy
from tests.lab.remote import LocalRemote, Processes, Remote, login_options
from tests.lab.requirements import program, require_root, require_ssh
from tests.lab.sshd import Sshd
from tests.lab.tunnel import Tunnel

_STARTED_FOLDERS: set[Path] = set()


class RemoteOptions(TypedDict, total=False):
    """What a test may ask of any remote with a server of its own."""

    processes: Sequence[str | Mapping[str, Any]]
    """Written to the inventory; those given as text, or with a `command`, are started."""
    password: str
    """Log in with this password instead of a key: a temporary account, which needs root."""
    shell: str
    """The login shell: a temporary account, which needs root."""
    isolated: bool
    """A process table of its own, which needs root; all other remotes see this machine's."""
    sshd_config: Mapping[str, str]
    variables: Mapping[str, Any]
    group: str


class Lab:
    """A fleet under construction and at work; a context manager that ends all it started."""

    def __init__(self, directory: Path, lifetime: float = LIFETIME) -> None:
        require_ssh()
        self.directory = directory
        self.inventory = directory / "inventory"
        self.known_hosts = directory / "known_hosts"
        self.logs = directory / "logs"
        self.proxies: dict[str, Proxy] = {}
        self.remotes: dict[str, Remote] = {}
        self.locals: dict[str, LocalRemote] = {}
        self.variables: dict[str, dict[str, Any]] = {
            "all": {
                "remotestatus_known_hosts": "known_hosts",
                "remotestatus_site": "site",
                "remotestatus_database": "history.sqlite3",
            }
        }
        self.way = JumpWay.INVENTORY
        """How the inventory says that remotes are reached through their proxies."""
        self._ports: list[Port] = []
        self._keeper = Keeper(lifetime)
        try:
            self.scratch = Path(tempfile.mkdtemp(prefix="rslab-", dir="/tmp"))
            self.scratch.chmod(0o755)
            _STARTED_FOLDERS.add(self.scratch)
            self._keeper.remove_at_the_end(self.scratch)
            self.logs.mkdir(parents=True, exist_ok=True)
            self.keys = {
                CHECKER: make_key(directory / "checker_key", "lab checker"),
                TUNNELS: make_key(directory / "tunnels_key", "lab tunnels"),
            }
            self._login = own_login(self._keeper, self.scratch)
        except BaseException:
            self._keeper.close()
            raise

    # -- the fleet ----------------------------------------------------------------------------------------------------

    def proxy(
        self,
        name: str = "tunnel-proxy",
        *,
        sshd_config: Mapping[str, str] | None = None,
        variables: Mapping[str, Any] | None = None,
        link: BadLink | None = None,
        tunnel_link: BadLink | None = None,
    ) -> Proxy:
        """
        A jump host with the limits of a stock Debian, unless `sshd_config` says otherwise.

        The checker reaches it through `link`, and the tunnels through `tunnel_link`, if there is one.
        """
        also_on = link or tunnel_link
        sshd = self._sshd(name, {**STOCK, **(sshd_config or {})}, also_on=also_on.near if also_on else None)
        given = {**({"ansible_host": link.address} if link else {}), **(variables or {})}
        proxy = Proxy(name, sshd, self._login, self.keys, given)
        proxy.tunnels_address = tunnel_link.address if tunnel_link else LOOPBACK
        self.proxies[name] = proxy
        sshd.start()
        self._trust()
        return proxy

    def remote(
        self, name: str, *, proxy: str | Proxy | Sequence[str | Proxy] | None = None, **options: Unpack[RemoteOptions]
    ) -> Remote:
        """
        A remote behind a reverse tunnel to `proxy`: one proxy, or the chain of them, the tunnel's being the last.

        Without it, the tunnel leads to the lab's first proxy, which is made if there is none.
        """
        return self._remote(name, self._jumps(proxy), options)

    def direct(self, name: str, **options: Unpack[RemoteOptions]) -> Remote:
        """A remote that is reached without a proxy."""
        return self._remote(name, (), options)

    def local(
        self,
        name: str,
        *,
        processes: Sequence[str | Mapping[str, Any]] = (),
        variables: Mapping[str, Any] | None = None,
        group: str = "remotes",
    ) -> LocalRemote:
        """This machine, checked without SSH."""
        running = self._processes(name, self.scratch / name)
        local = LocalRemote(name, _with_processes(processes, variables), running, group)
        for process in processes:
            _start(local, process)
        self.locals[name] = local
        return local

    def bulk(
        self,
        count: int,
        *,
        proxy: str | Proxy | None = None,
        prefix: str = "remote-",
        variables: Mapping[str, Any] | None = None,
        group: str = "remotes",
    ) -> tuple[Remote, ...]:
        """
        Many remotes cheaply: each with a remote port of its own on the proxy, all with one server and tunnel client.

        That server turns nobody away, however many come at once, as so many servers would not either.
        """
        jumps = self._jumps(proxy)
        sshd = self._sshd(f"{prefix}bulk", {**login_options(self._home(f"{prefix}bulk")), "MaxStartups": "10000"})
        sshd.start()
        ports = [self._port() for _ in range(count)]
        tunnel = self._tunnel(f"{prefix}bulk", jumps[-1])
        tunnel.start(dict.fromkeys(ports, sshd.port))
        running = self._processes(f"{prefix}bulk", sshd.folder)
        made = tuple(
            Remote(
                f"{prefix}{number:0{len(str(count))}}",
                sshd,
                self._login,
                self.keys,
                dict(variables or {}),
                processes=running,
                jumps=jumps,
                tunnel=tunnel,
                tunnel_port=port,
                group=group,
            )
            for number, port in enumerate(ports, start=1)
        )
        self.remotes.update({remote.name: remote for remote in made})
        self._trust()
        return made

    def swap_tunnels(self, one: Remote, other: Remote) -> None:
        """Each remote's port on the proxy leads to the other remote."""
        one.tunnel_to(other)
        other.tunnel_to(one)

    def allow_sudo(self, remote: Remote, rule: str) -> None:
        """Give the account of a remote a rule of sudoers(5), for instance `ALL=(root) NOPASSWD: ALL`."""
        allow_sudo(self._keeper, remote.login, rule)

    # -- the inventory ------------------------------------------------------------------------------------------------

    def write_inventory(self, **fleet_variables: Any) -> Path:
        """Write the fleet as it stands, with these variables added for all hosts; returns the inventory folder."""
        self.variables["all"].update(fleet_variables)
        write_inventory(
            self.inventory,
            self.proxies.values(),
            [*self.remotes.values(), *self.locals.values()],
            self.keys[CHECKER],
            self.variables,
            self.way,
            self.ssh_config(3),
        )
        self._trust()
        return self.inventory

    # -- a look with the plain client ---------------------------------------------------------------------------------

    def ssh(
        self,
        host: str | Remote | Proxy,
        command: str = "echo ok",
        *,
        text: str = "",
        connect_timeout: int = 10,
        timeout: float = 30,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with the plain ssh client; raises subprocess.TimeoutExpired."""
        name = host if isinstance(host, str) else host.name
        return run_command(
            [program("ssh"), "-F", str(self.ssh_config(connect_timeout)), name, command],
            environment=self._client_environment(name),
            timeout=timeout,
            text=text,
        )

    def ssh_config(self, connect_timeout: int = 10) -> Path:
        """An ssh_config file under which `ssh <inventory name>` works for every host of the fleet."""
        path = self.directory / "ssh_config"
        options = {"UserKnownHostsFile": f'"{self.known_hosts}"', "ConnectTimeout": str(connect_timeout)}
        write_ssh_config(path, self.proxies.values(), self.remotes.values(), self.keys[CHECKER], options)
        return path

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End everything that runs; raises AssertionError if something survived."""
        try:
            for host in (*self.remotes.values(), *self.proxies.values()):
                host.close()
        finally:
            for port in self._ports:
                port.close()
            self._keeper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _remote(self, name: str, jumps: Sequence[Proxy], options: RemoteOptions) -> Remote:
        password, shell = options.get("password"), options.get("shell")
        processes, isolated = options.get("processes", ()), options.get("isolated", False)
        if isolated:
            require_root("a remote with a process table of its own")
        login = self._login
        if password is not None or shell is not None:
            home = self.scratch / f"{name}-home"
            login = make_account(self._keeper, home, shell=shell or "/bin/sh", password=password)
        sshd_config = {
            **login_options(login.home or self._home(name)),
            **({"PasswordAuthentication": "yes"} if password is not None else {}),
            **options.get("sshd_config", {}),
        }
        sshd = self._sshd(name, sshd_config, isolated=isolated)
        remote = Remote(
            name,
            sshd,
            login,
            self.keys,
            _with_processes(processes, options.get("variables")),
            processes=self._processes(name, sshd.folder),
            jumps=jumps,
            tunnel=self._tunnel(name, jumps[-1]) if jumps else None,
            tunnel_port=self._port() if jumps else None,
            password=password,
            group=options.get("group", "remotes"),
        )
        self.remotes[name] = remote
        remote.open()
        for process in processes:
            _start(remote, process)
        self._trust()
        return remote

    def _port(self) -> Port:
        port = Port()
        self._ports.append(port)
        return port

    def _sshd(
        self, name: str, options: Mapping[str, str], *, isolated: bool = False, also_on: str | None = None
    ) -> Sshd:
        assert name not in self.proxies.keys() | self.remotes.keys() | self.locals.keys(), f"{name} exists already"
        return Sshd(
            self._keeper,
            self.scratch / name,
            self.logs / f"{name}.sshd.log",
            self._port(),
            authorized=self.keys,
            options=options,
            isolated=isolated,
            also_on=also_on,
        )

    def _tunnel(self, name: str, proxy: Proxy) -> Tunnel:
        tunnel = Tunnel(
            self._keeper,
            self.scratch / f"{len(self.remotes)}.sock",
            self.logs / f"{name}.tunnel.log",
            key=self.keys[TUNNELS],
            user=proxy.login.user,
            proxy_port=proxy.sshd.port,
            proxy_address=proxy.tunnels_address,
        )
        proxy.tunnels.append(tunnel)
        return tunnel

    def _processes(self, name: str, folder: Path) -> Processes:
        return Processes(self._keeper, folder, self.logs / f"{name}.processes.log")

    def _home(self, name: str) -> Path:
        home = self.scratch / name / "home"
        home.mkdir(parents=True)
        return home

    def _jumps(self, proxy: str | Proxy | Sequence[str | Proxy] | None) -> tuple[Proxy, ...]:
        if proxy is None:
            return (next(iter(self.proxies.values())) if self.proxies else self.proxy(),)
        chain = [proxy] if isinstance(proxy, str | Proxy) else proxy
        return tuple(self.proxies[jump] if isinstance(jump, str) else jump for jump in chain)

    def _trust(self) -> None:
        write_known_hosts(self.known_hosts, (*self.proxies.values(), *self.remotes.values()), self.way)

    def _client_environment(self, name: str) -> dict[str, str]:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.directory), "LC_ALL": "C"}
        password = self.remotes[name].password if name in self.remotes else None
        if password is not None:
            askpass = self.directory / f"askpass-{name}"
            askpass.write_text(f"#!/bin/sh\nprintf '%s\\n' {shlex.quote(password)}\n")
            askpass.chmod(0o700)
            environment |= {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
        return environment


def lab_folders() -> frozenset[Path]:
    """The scratch folders of all labs of this test process, by which a leftover of theirs is known."""
    return frozenset(_STARTED_FOLDERS)


def _with_processes(
    processes: Sequence[str | Mapping[str, Any]], variables: Mapping[str, Any] | None
) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if processes:
        wanted["remotestatus_processes"] = [
            process if isinstance(process, str) else dict(process) for process in processes
        ]
    return {**wanted, **(variables or {})}


def _start(remote: Remote | LocalRemote, process: str | Mapping[str, Any]) -> None:
    if isinstance(process, str):
        remote.start_process(process)
    elif "command" in process:
        remote.start_process(process["command"], process.get("name"))
