"""
Hands passwords that somebody typed to Ansible, through memory that only our own processes can open.

Takes the passwords; returns paths below /proc, which end with this process. Nothing of them is on a disk, among the
arguments or in the environment of a program.
"""

import json
import os

from remotestatus.probe.ansible_source import TypedPasswords


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
        """Forget them."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _keep(self, text: str) -> str:
        descriptor = os.memfd_create("remotestatus")
        self._descriptors.append(descriptor)
        os.fchmod(descriptor, 0o600)  # Ansible runs a password file that can be executed
        os.write(descriptor, text.encode())
        return f"/proc/{os.getpid()}/fd/{descriptor}"
