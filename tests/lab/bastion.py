"""
A jump host that refuses everybody and writes down each password that it is offered.

OpenSSH's own server keeps that to itself, so this one is asyncssh's: a context manager with a thread of its own.
"""

import asyncio
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import asyncssh

from tests.lab.ports import LOOPBACK


class RecordingBastion:
    """`offered` holds (user, method, password) of each attempt to log in with a password; empty ones count too."""

    def __init__(self) -> None:
        self.offered: list[tuple[str, str, str]] = []
        self.connections = 0
        self.port = 0
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bastion", daemon=True)
        self._server: asyncssh.SSHAcceptor | None = None

    @property
    def public_key(self) -> str:
        """Its host key as a line of known_hosts has it, without the name."""
        return self._key.export_public_key().decode().strip()

    @property
    def passwords(self) -> set[str]:
        """What it was offered, without the empty ones."""
        return {password for _, _, password in self.offered if password}

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(20)
        self.port = self._server.get_port()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(LOOPBACK, 0, server_factory=lambda: _Refusing(self), server_host_keys=[self._key])

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


class _Refusing(asyncssh.SSHServer):
    def __init__(self, bastion: RecordingBastion) -> None:
        self._bastion = bastion
        bastion.connections += 1

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self._bastion.offered.append((username, "password", password))
        return False

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        self._bastion.offered.extend((username, "keyboard-interactive", response) for response in responses)
        return False
