"""
Hands secrets to Ansible, and takes them from the playbook, without any file that would stay behind on a disk.

The evaluated inventory holds secrets in clear text: URLs of destinations, commands of checks. It comes through a named
pipe that only we can read. Passwords that somebody typed go through memory that only our own processes can open: paths
below /proc, which end with this process.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from remotestatus.probe.ansible_source import TypedPasswords


class SecretPipe:
    """
    A named pipe into which the playbook writes one line of JSON, from the first on.

    Whoever reads has to go on reading until it is whole: a pipe holds only so much.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._received = bytearray()
        os.mkfifo(path, 0o600)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> str | None:
        """What was written, once it is whole."""
        with suppress(BlockingIOError):
            while part := os.read(self._descriptor, 1 << 20):
                self._received += part
        return self._received.decode() if self._received.endswith(b"\n") else None

    def close(self) -> None:
        """Remove it. The playbook writes nothing where there is no pipe."""
        os.close(self._descriptor)
        with suppress(OSError):  # the round's directory goes with the round
            self.path.unlink()


class PasswordMemory:
    """The memory of the typed passwords of one run. Close it in the end."""

    def __init__(self, typed: TypedPasswords) -> None:
        self._descriptors: list[int] = []
        self.log_ins = ""
        """Where the passwords for log-ins and for the change of user can be read; empty when none was typed."""
        if typed.connection or typed.become:
            self.log_ins = self._keep(json.dumps({"connection": typed.connection, "become": typed.become}))
        self.vault_ids = [f"{label}@{self._keep(secret)}" for label, secret in typed.vault]
        """An identity for each Vault password that was typed."""

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _keep(self, text: str) -> str:
        descriptor = os.memfd_create("remotestatus")
        self._descriptors.append(descriptor)
        os.fchmod(descriptor, 0o600)  # Ansible runs a password file that can be executed
        os.write(descriptor, text.encode())
        return f"/proc/{os.getpid()}/fd/{descriptor}"
