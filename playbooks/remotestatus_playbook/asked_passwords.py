"""
The passwords that somebody typed for this run: `-k` and `-K`, of remotestatus or of ansible-playbook.

Takes nothing; returns both, empty where nobody was asked. The rule worth knowing: they are never read from the task,
because there the password of the play's first host has taken their place, and it is for nobody else.
"""

import json
import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

from remotestatus_playbook.protocol import PASSWORDS


@dataclass(frozen=True, slots=True)
class AskedPasswords:
    """The password for log-ins of hosts that have none of their own, and the one for the change of user."""

    connection: str = ""
    become: str = ""


def asked_passwords() -> AskedPasswords:
    """What was typed. remotestatus hands it over through memory of its own, and Ansible to each of its workers."""
    if PASSWORDS in os.environ:
        return AskedPasswords(**json.loads(Path(os.environ[PASSWORDS]).read_text()))
    play = getattr(multiprocessing.current_process(), "_play_context", None)
    return AskedPasswords(str(getattr(play, "password", "") or ""), str(getattr(play, "become_pass", "") or ""))
