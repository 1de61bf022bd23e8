"""
The SSH servers of the fleet: the proxy, and the remotes with their tunnels and programs.

To break or repair something, change its `faults` and call `apply_faults`, which starts and stops what has to run or
not. It is idempotent.
"""

import asyncio
import socket
import subprocess
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from remotestatus.demo.members import PROXY, PROXY_USER, TUNNEL_USER, Fault, Member, Program
from remotestatus.demo.ports import LOOPBACK
from remotestatus.demo.session_command import run_session


@dataclass(frozen=True, slots=True)
class Account:
    """A user who may log in, with keys or a password."""

    user: str
    keys: tuple[asyncssh.SSHKey, ...] = ()
    password: str | None = None


class Login(asyncssh.SSHServer):
    """One connection to a server: authenticates its accounts, which may only run commands."""

    def __init__(self, accounts: tuple[Account, ...], connections: set[asyncssh.SSHServerConnection]) -> None:
        self._accounts = {account.user: account for account in accounts}
        self._connections = connections

    @property
    def user(self) -> str:
        """Who logged in."""
        return str(self.connection.get_extra_info("username"))

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self._connections.add(conn)  # so that stopping the server ends it

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self.connection)

    def public_key_auth_supported(self) -> bool:
        return any(account.keys for account in self._accounts.values())

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        account = self._accounts.get(username)
        return account is not None and key in account.keys

    def password_auth_supported(self) -> bool:
        return any(account.password is not None for account in self._accounts.values())

    def validate_password(self, username: str, password: str) -> bool:
        account = self._accounts.get(username)
        return account is not None and account.password is not None and account.password == password


class ProxyLogin(Login):
    """One connection to the proxy: the checker may jump to loopback ports, and a remote may listen on one."""

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Coroutine[None, None, asyncssh.SSHTCPSession[bytes]] | bool:
        """Answers `ssh -W`."""
        if self.user != PROXY_USER or dest_host not in (LOOPBACK, "localhost"):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        return self._connect(dest_port)

    async def _connect(self, port: int) -> asyncssh.SSHTCPSession[bytes]:
        try:
            forwarder = await self.connection.forward_connection(LOOPBACK, port)
        except asyncssh.ChannelOpenError:
            # The same text as from OpenSSH's sshd; asyncssh would send Python's.
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused") from None
        return forwarder  # type: ignore[return-value]  # asyncssh's forwarder has the session's methods, not its type

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        """Answers `ssh -R`."""
        return self.user == TUNNEL_USER and listen_host == LOOPBACK


@dataclass(slots=True)
class Server:
    """An SSH server on one loopback port that can be started and stopped again."""

    port: int
    host_key: asyncssh.SSHKey
    accounts: tuple[Account, ...]
    home: Path
    login: Callable[[tuple[Account, ...], set[asyncssh.SSHServerConnection]], Login] = Login
    _acceptor: asyncssh.SSHAcceptor | None = None
    _connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)
    _sessions: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Listens, unless it does already."""
        if self._acceptor is None:
            self._acceptor = await asyncssh.listen(
                LOOPBACK,
                self.port,
                server_factory=lambda: self.login(self.accounts, self._connections),
                server_host_keys=[self.host_key],
                process_factory=self._start_session,
                encoding=None,
                agent_forwarding=False,
                allow_scp=False,
            )

    async def stop(self) -> None:
        """Stops listening, ends all connections, and waits until their commands have ended."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        connections = tuple(self._connections)
        for connection in connections:
            connection.abort()
        await asyncio.gather(*(connection.wait_closed() for connection in connections), return_exceptions=True)
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _start_session(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        user = str(session.get_extra_info("username"))
        if user == TUNNEL_USER:
            session.exit(1)
            return
        # A separate task, because asyncssh would cancel its own with the connection before it has cleaned up.
        task = asyncio.create_task(run_session(session, self.home, user))
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)


@dataclass(slots=True)
class ProxyServer(Server):
    """The jump host."""

    faults: set[Fault] = field(default_factory=set)

    name = PROXY
    possible_faults = frozenset({Fault.PROXY})

    async def apply_faults(self) -> None:
        await (self.stop() if self.faults else self.start())


@dataclass(slots=True)
class RemoteServer:
    """One remote: SSH server, reverse tunnel and programs."""

    member: Member
    server: Server
    tunnel_port: int
    tunnel_key: asyncssh.SSHKey
    proxy: ProxyServer
    programs_path: Path
    faults: set[Fault] = field(init=False)
    _tunnel: asyncssh.SSHClientConnection | None = None
    _stale: socket.socket | None = None
    _running: dict[Program, list[subprocess.Popen[bytes]]] = field(default_factory=dict)

    possible_faults = frozenset(Fault) - {Fault.PROXY}

    def __post_init__(self) -> None:
        self.faults = set(self.member.faults)

    @property
    def name(self) -> str:
        return self.member.name

    async def apply_faults(self) -> None:
        """Starts and stops the SSH server, the tunnel and the programs, as `faults` says."""
        await self._apply_to_server()
        if not self.proxy.faults and Fault.TUNNEL not in self.faults:
            await self._open_tunnel()
        else:
            await self._cut_tunnel()
        stopped = self.member.programs[-1:] if Fault.PROCESS in self.faults else ()
        for program in self.member.programs:
            if program in stopped:
                self._stop_program(program)
            else:
                self._start_program(program)

    async def stop(self) -> None:
        for program in self.member.programs:
            self._stop_program(program)
        await self._cut_tunnel()
        self._stop_stale()
        await self.server.stop()

    async def _apply_to_server(self) -> None:
        if Fault.STALE not in self.faults:
            self._stop_stale()
        if self.faults & {Fault.STALE, Fault.SSHD}:
            await self.server.stop()
        else:
            await self.server.start()
        if Fault.STALE in self.faults and self._stale is None:
            # The kernel accepts connections to it, and nobody answers.
            self._stale = socket.create_server((LOOPBACK, self.server.port))

    def _stop_stale(self) -> None:
        if self._stale is not None:
            self._stale.close()
            self._stale = None

    async def _open_tunnel(self) -> None:
        if self._tunnel is not None and not self._tunnel.is_closed():
            return
        tunnel = await asyncssh.connect(
            LOOPBACK,
            self.proxy.port,
            username=TUNNEL_USER,
            client_keys=[self.tunnel_key],
            known_hosts=([self.proxy.host_key.convert_to_public()], [], []),
            agent_path=None,
            config=None,
        )
        try:
            await tunnel.forward_remote_port(LOOPBACK, self.tunnel_port, LOOPBACK, self.server.port)
        except BaseException:
            tunnel.abort()
            raise
        self._tunnel = tunnel

    async def _cut_tunnel(self) -> None:
        if self._tunnel is not None:
            self._tunnel.close()
            await self._tunnel.wait_closed()
            self._tunnel = None
            await self._await_free_port()

    async def _await_free_port(self) -> None:
        """Waits until the proxy has closed the port, so that the tunnel is cut for everybody when this returns."""
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, self.tunnel_port)
            except OSError:
                return
            writer.transport.abort()
            await asyncio.sleep(0.02)

    def _start_program(self, program: Program) -> None:
        running = self._running.setdefault(program, [])
        running[:] = [process for process in running if process.poll() is None]
        while len(running) < program.count:
            # The program ends with its standard input, which is closed however this process ends.
            process = subprocess.Popen(
                program.words.split(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                cwd=self.server.home,
                env={"PATH": str(self.programs_path)},
            )
            running.append(process)

    def _stop_program(self, program: Program) -> None:
        for process in self._running.pop(program, ()):
            process.terminate()
            process.communicate()
