"""
Hands passwords to a worker that may have them: on the checker to the package, on the worker to who logs in.

Takes and returns passwords by host name. They go through a named pipe on the checker and in environment variables on
the worker, and are in no file, argument or log.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from remotestatus_playbook.children import Password
from remotestatus_playbook.protocol import SENT_PASSWORDS


def write_passwords(pipe: Path, passwords: Mapping[str, Password]) -> None:
    """Write these passwords into a pipe from which somebody reads; one that cannot be evaluated is left out."""
    found = {}
    for name, password in passwords.items():
        with suppress(Exception):
            found[name] = password.learn()
    with pipe.open("w") as file:
        json.dump(found, file)


@cache
def take_passwords() -> Mapping[str, Password]:
    """The passwords that were sent to this worker; what is started later does not find them any more."""
    found: dict[str, str] = {}
    for variable in [name for name in os.environ if name.startswith(SENT_PASSWORDS)]:
        found |= json.loads(os.environ.pop(variable))
    return {name: _known(password) for name, password in found.items()}


def hide_passwords(artifacts: Path) -> None:
    """
    Take the passwords out of the environment, before anything is started that would inherit them.

    ansible-runner has noted the whole environment among its `artifacts`: that file is removed.
    """
    (artifacts / "command").unlink(missing_ok=True)
    take_passwords()


def _known(password: str) -> Password:
    return Password(lambda: password)
