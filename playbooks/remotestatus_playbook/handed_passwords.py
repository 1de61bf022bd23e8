"""
Reads and writes the passwords that are handed over: typed for this run (`-k` and `-K`), or sent to a worker.

They go through memory, pipes and environment variables, and are in no file, argument or log. Typed passwords are not
read from the task, which has the password of the play's first host instead.
"""

import json
import multiprocessing
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from remotestatus_playbook.children import Password
from remotestatus_playbook.private_directory import write_pipe
from remotestatus_playbook.protocol import PASSWORDS, SENT_PASSWORDS


@dataclass(frozen=True, slots=True)
class AskedPasswords:
    """The password for log-ins of hosts that have none of their own, and the one for the change of user."""

    connection: str = ""
    become: str = ""


def asked_passwords() -> AskedPasswords:
    """The typed passwords: remotestatus passes them in memory, and Ansible passes its own to each of its workers."""
    if PASSWORDS in os.environ:
        return AskedPasswords(**json.loads(Path(os.environ[PASSWORDS]).read_text()))
    play = getattr(multiprocessing.current_process(), "_play_context", None)
    return AskedPasswords(str(getattr(play, "password", "") or ""), str(getattr(play, "become_pass", "") or ""))


def write_passwords(pipe: Path, passwords: Mapping[str, Password]) -> None:
    """Write these passwords into an open pipe; one that cannot be evaluated is left out."""
    found = {}
    for name, password in passwords.items():
        with suppress(Exception):
            found[name] = password.learn()
    write_pipe(pipe, found)


@cache
def take_passwords() -> Mapping[str, Password]:
    """Take the passwords that were sent to this worker out of the environment."""
    found: dict[str, str] = {}
    for variable in [name for name in os.environ if name.startswith(SENT_PASSWORDS)]:
        found |= json.loads(os.environ.pop(variable))
    return {name: Password(partial(str, password)) for name, password in found.items()}


def hide_passwords(artifacts: Path) -> None:
    """
    Take the passwords out of the environment, before anything is started that would inherit them.

    ansible-runner has noted the whole environment among its `artifacts`: that file is removed.
    """
    (artifacts / "command").unlink(missing_ok=True)
    take_passwords()
