"""
Where the inventory is, and what Ansible needs to read it.
"""

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
    def arguments(self) -> Sequence[str]:
        """What `ansible-playbook` is given for the Vault."""
        return [
            *(f"--vault-id={name}" for name in self.vault_ids),
            *(f"--vault-password-file={path.absolute()}" for path in self.vault_password_files),
        ]
