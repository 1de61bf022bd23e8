"""A become plugin that remotestatus does not know, as a collection has it."""

from __future__ import annotations

import shlex
from typing import Any

from ansible.plugins.become import BecomeBase

DOCUMENTATION = """
name: change
short_description: changes the user
description: changes the user by su, and asks nobody
author: the tests of remotestatus
options:
  become_user:
    description: the user
    default: root
    keyword: [{name: become_user}]
    vars: [{name: ansible_become_user}]
  become_exe:
    description: the program
    default: su
  become_flags:
    description: its options
    default: -s /bin/sh
"""


class BecomeModule(BecomeBase):  # type: ignore[misc] # Ansible has no types
    """Changes the user by su."""

    name = "lab.own.change"
    require_tty = True  # as run0's, which needs none either

    def build_become_command(self, cmd: str, shell: Any) -> str:
        super().build_become_command(cmd, shell)
        words = (self.get_option("become_exe"), self.get_option("become_flags"), self.get_option("become_user"))
        return " ".join((*words, "-c", shlex.quote(self._build_success_command(cmd, shell))))
