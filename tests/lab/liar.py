"""
An SSH server that lies: in its banner, in its questions, and in the words with which it ends a connection.

A real server (asyncssh) on loopback in a thread of its own; the client under test is OpenSSH's.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import asyncssh

from tests.lab.ports import LOOPBACK


@dataclass(frozen=True, slots=True)
class Lies:
    """What is said where: before the log-in, as the name and the instruction of a question, and on the way out."""

    banner: str = ""
    question: str = ""
    farewell: str = ""


class _Server(asyncssh.SSHServer):
    def __init__(self, lies: Lies) -> None:
        self.lies = lies
        self.connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn

    def begin_auth(self, username: str) -> bool:
        del username
        assert self.connection is not None
        if self.lies.banner:
            self.connection.send_auth_banner(self.lies.banner)
        if self.lies.farewell:
            raise asyncssh.DisconnectError(asyncssh.DISC_BY_APPLICATION, self.lies.farewell)
        return True

    def kbdint_auth_supported(self) -> bool:
        return bool(self.lies.question)

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        del username, submethods
        return self.lies.question, self.lies.question, lang, []

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        del username, responses
        return False


class Liar:
    """The server, from the first on; `port` is where it listens, `known_hosts` a line with its key under a name."""

    def __init__(self, lies: Lies) -> None:
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(lies), self._loop).result(20)
        self.port = int(self._server.get_port())

    def known_hosts(self, name: str) -> str:
        """A line of known_hosts with its key."""
        return f"{name} {self._key.export_public_key().decode()}"

    async def _listen(self, lies: Lies) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(LOOPBACK, 0, server_factory=lambda: _Server(lies), server_host_keys=[self._key])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        await self._server.wait_closed()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
