"""
Passes secrets to Ansible and from the playbook without files on a disk.

The evaluated inventory holds secrets in clear text: URLs of destinations, commands of checks. It comes through a named
pipe that only we can read. Typed passwords go through memory files (paths below /proc), which only our own processes
can open, and which end with this process.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from remotestatus.probe.ansible_source import TypedPasswords


class SecretPipe:
    """
    A named pipe into which the playbook writes one line of JSON.

    Call `read` until the line is complete: a pipe's buffer is limited.
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
    """The typed passwords of one run, in memory files. Close it at the end."""

    def __init__(self, typed: TypedPasswords) -> None:
        self._descriptors: list[int] = []
        self.log_ins = ""
        """Where the passwords for log-ins and for the change of user can be read; empty when none was typed."""
        if typed.connection or typed.become:
            self.log_ins = self._keep(json.dumps({"connection": typed.connection, "become": typed.become}))
        self.vault_ids = [f"{label}@{self._keep(secret)}" for label, secret in typed.vault]
        """A --vault-id for each typed Vault password."""

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _keep(self, text: str) -> str:
        descriptor = os.memfd_create("remotestatus")
        self._descriptors.append(descriptor)
        os.fchmod(descriptor, 0o600)  # Ansible runs a password file that can be executed
        os.write(descriptor, text.encode())
        return f"/proc/{os.getpid()}/fd/{descriptor}"
