"""A connection plugin that remotestatus does not know: a shell at the other end of a pipe, as a container's is."""

from __future__ import annotations

import shlex
import subprocess

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: pipe
short_description: a shell over a pipe
description: starts a program and talks to the shell that it leads to
author: the tests of remotestatus
options:
  words:
    description: the program, which takes `-c COMMAND`
    default: /bin/sh
    vars: [{name: ansible_pipe_words}]
  pipelining:
    description: whether standard input is passed on
    type: bool
    default: true
    vars: [{name: ansible_pipe_pipelining}]
"""


class Connection(ConnectionBase):  # type: ignore[misc] # Ansible has no types
    """A shell over a pipe."""

    transport = "pipe"

    @property
    def has_pipelining(self) -> bool:
        return bool(self.get_option("pipelining"))

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        if in_data and not self.has_pipelining:
            raise AnsibleConnectionFailure("this connection passes nothing on")
        words = shlex.split(self.get_option("words"))
        if not words:
            raise AnsibleError("this plugin needs a program")
        try:
            done = subprocess.run([*words, "-c", cmd], input=in_data, capture_output=True, check=False)
        except OSError:
            raise AnsibleConnectionFailure(f"there is no box {words[0]}") from None
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        raise NotImplementedError

    def fetch_file(self, in_path: str, out_path: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._connected = False
