"""
Where the inventory is, and what Ansible needs to read it.
"""

import os
import pwd
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from remotestatus_playbook.protocol import folder_of_inventory

from remotestatus.model.errors import ConfigurationError

_INSIDE = "inventory"
_BESIDE_INVENTORY = {"history.sqlite3", "known_hosts"}
"""The files of a fleet's folder, beside its inventory."""


@dataclass(frozen=True, slots=True)
class TypedPasswords:
    """Typed passwords: for log-ins, for become, and for Vaults by their labels."""

    connection: str = ""
    become: str = ""
    vault: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AnsibleSource:
    """
    Where the inventory is, and what Ansible needs to read it.

    A path that holds a comma is a list of hosts, as for Ansible. `options` are Ansible's own of the command line.
    """

    paths: tuple[Path, ...]
    vault_ids: tuple[str, ...] = ()
    vault_password_files: tuple[Path, ...] = ()
    limit: str | None = None
    options: tuple[str, ...] = ()
    typed: TypedPasswords = field(default_factory=TypedPasswords, repr=False)
    configured_vault_ids: tuple[str, ...] = ()
    """The Vault identities of an ansible.cfg or the environment that need no prompt."""

    def __str__(self) -> str:
        return ", ".join(str(path) for path in self.paths)

    @property
    def option(self) -> str:
        """
        The `-i` option for commands that work in any folder.

        Empty for `inventory` in the current folder, the default of all commands; a timer always has it.
        """
        if self.paths == (Path("inventory"),):
            return ""
        return " ".join(f"-i {shlex.quote(source)}" for source in self.sources)

    @property
    def base(self) -> Path:
        """The folder that holds the inventory: relative paths of our variables start there."""
        files = [path for path in self.paths if not _is_host_list(path)]
        if not files:
            return Path.cwd()
        beside = files[0].absolute().parent
        # An older version may have made the history inside: keep it there.
        return beside if (beside / "history.sqlite3").exists() else Path(folder_of_inventory(files[0].absolute()))

    @property
    def sources(self) -> Sequence[str]:
        """Ansible's inventory arguments."""
        return [str(path) if _is_host_list(path) else str(path.absolute()) for path in self.paths]

    @property
    def absolute_limit(self) -> str | None:
        """The limit, with its `@file` paths made absolute: Ansible runs in another folder."""
        if self.limit is None or "@" not in self.limit:
            return self.limit
        return ",".join(_absolute_file(part.strip()) for part in self.limit.split(","))

    def must_exist(self) -> None:
        """Raise ConfigurationError when there is nothing there, an empty folder, or the folder around an inventory."""
        missing = [path for path in self.paths if not _is_host_list(path) and not path.exists()]
        if missing:
            listed = ", ".join(str(path) for path in missing)
            raise ConfigurationError(
                f"there is no inventory at {listed}; name it with -i, or make one with `remotestatus init`"
            )
        for path in self.paths:
            names = {one.name for one in path.iterdir()} if path.is_dir() else {"a file"}
            if not names:
                raise ConfigurationError(f"the inventory {path} is an empty folder; make one with `remotestatus init`")
            if _INSIDE in names and (names == {_INSIDE} or names & _BESIDE_INVENTORY):
                # Ansible would read what lies beside the inventory too.
                raise ConfigurationError(f"{path} holds an inventory and is none itself; name {path / _INSIDE} with -i")

    @property
    def warning(self) -> str:
        """A warning for root about an inventory of another user, or nothing."""
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
        """Further arguments of `ansible-playbook`."""
        return [
            *self.options,
            *(f"--vault-id={name}" for name in self.vault_ids),
            *(f"--vault-password-file={path.absolute()}" for path in self.vault_password_files),
        ]


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _is_host_list(path: Path) -> bool:
    return "," in str(path)


def _absolute_file(part: str) -> str:
    if not part.startswith("@"):
        return part
    path = Path(part[1:]).expanduser().absolute()
    if not path.is_file():
        raise ConfigurationError(f"there is no file {path} of names; correct --limit {part}")
    return f"@{path}"
