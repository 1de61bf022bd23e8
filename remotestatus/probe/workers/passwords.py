"""
Reads the passwords that a worker may have, and puts them into environment variables for it.

Takes the playbook's runner and names of hosts; the passwords come through a named pipe that only we can read, and are
kept in memory.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping

from pydantic import TypeAdapter, ValidationError
from remotestatus_playbook.protocol import SENT_PASSWORDS, Order

from remotestatus.model.errors import RoundError
from remotestatus.probe.playbook_run import PlaybookRunner
from remotestatus.probe.secret_channels import SecretPipe


def read_passwords(
    runner: PlaybookRunner, names: Collection[str], end: float, given_up: Callable[[], bool]
) -> Mapping[str, str]:
    """
    The passwords of these hosts, by name. Their lookups may take until `end` (monotonic).

    Raises RoundError when they cannot be read.
    """
    try:
        pipe = SecretPipe(runner.workdir / "passwords")
    except OSError as error:
        raise RoundError(f"the passwords for workers cannot be read: {error.strerror}") from error

    def must_end() -> bool:
        pipe.read()  # while the playbook writes
        return given_up() or time.monotonic() > end

    try:
        answers = runner.probe(Order(names=tuple(sorted(names)), passwords_to=str(pipe.path)), cancel=must_end)
        text = pipe.read()
    finally:
        pipe.close()
    try:
        return TypeAdapter(dict[str, str]).validate_json(text or "")
    except ValidationError:
        # Its text would quote what was read.
        late = "a lookup has not answered in time" if time.monotonic() > end else answers.trouble
        raise RoundError(f"the passwords for workers cannot be read: {late or 'Ansible gave none'}") from None


def password_variables(passwords: Mapping[str, str]) -> dict[str, str]:
    """The environment variables in which these passwords are sent: Linux takes 128 KiB for each."""
    return {
        f"{SENT_PASSWORDS}{number}": json.dumps({name: password})
        for number, (name, password) in enumerate(sorted(passwords.items()))
    }
