"""
Where the inventory is, and what Ansible needs to read it.
"""

import os
import pwd
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remotestatus.model.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class AnsibleSource:
    """Where the inventory is, and what Ansible needs to read it."""

    paths: tuple[Path, ...]
    vault_ids: tuple[str, ...] = ()
    vault_password_files: tuple[Path, ...] = ()
    limit: str | None = None

    def __str__(self) -> str:
        return ", ".join(str(path) for path in self.paths)

    @property
    def option(self) -> str:
        """What names it in a command; empty for a folder called `inventory`, which commands look for by themselves."""
        if [path.name for path in self.paths] == ["inventory"]:
            return ""
        return " ".join(f"-i {shlex.quote(str(path.absolute()))}" for path in self.paths)

    @property
    def base(self) -> Path:
        """The folder that holds the inventory: relative paths of our variables start there."""
        return self.paths[0].absolute().parent

    def must_exist(self) -> None:
        """Raise ConfigurationError when there is nothing there, or an empty folder."""
        missing = [path for path in self.paths if not path.exists()]
        if missing:
            listed = ", ".join(str(path) for path in missing)
            raise ConfigurationError(
                f"there is no inventory at {listed}; name it with -i, or make one with `remotestatus init`"
            )
        for path in self.paths:
            if path.is_dir() and not any(path.iterdir()):
                raise ConfigurationError(f"the inventory {path} is an empty folder; make one with `remotestatus init`")

    @property
    def warning(self) -> str:
        """What root has to know of an inventory that is another user's, or nothing."""
        owners = {path.stat().st_uid for path in (*self.paths, self.base) if path.exists()} - {0}
        if os.geteuid() != 0 or not owners:
            return ""
        names = " and ".join(sorted(_user_name(owner) for owner in owners))
        return (
            f"you are root, and the inventory {self} belongs to {names}: who may edit it can have root run commands "
            "(checks of this machine, lookups, inventory scripts); run rounds as that user, or chown it to root"
        )

    @property
    def arguments(self) -> Sequence[str]:
        """What `ansible-playbook` is given for the Vault."""
        return [
            *(f"--vault-id={name}" for name in self.vault_ids),
            *(f"--vault-password-file={path.absolute()}" for path in self.vault_password_files),
        ]


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
