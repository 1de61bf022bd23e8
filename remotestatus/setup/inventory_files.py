"""
Writes the files of a new inventory. Without `force` it overwrites nothing, and it writes no clear-text password.

Texts come from `inventory_writer`; the vault's text is encrypted by `ansible-vault` before it reaches the disk.
"""

import os
import subprocess
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

from remotestatus.model.errors import ConfigurationError, ConfigurationProblem
from remotestatus.setup.inventory_writer import VAULT_FILE, write_inventory
from remotestatus.setup.new_fleet import NewFleet

_CONFIGURATION_FILE = "ansible.cfg"


def save_files(
    directory: Path, answers: NewFleet, vault: Path | None, more: Mapping[str, str], *, force: bool
) -> list[str]:
    """
    Write the inventory and `more` files below a folder, encrypt its vault, and return what was done, a sentence each.

    With a Vault password file, an ansible.cfg that names it is written, unless there is one. Raises ConfigurationError,
    before anything is written, for files that exist, and for a vault that can't be made.
    """
    files = {**write_inventory(answers, vaulted=vault is not None), **more}
    refuse_existing(directory, files, force=force)
    left = []
    if vault is not None:
        files[VAULT_FILE] = _encrypt(files[VAULT_FILE], vault)
        configuration, setting = directory / _CONFIGURATION_FILE, f"vault_password_file = {vault.absolute()}"
        if not configuration.exists():
            head = "# Ansible's own settings for this folder; this one says where the Vault password is."
            files[_CONFIGURATION_FILE] = f"{head}\n[defaults]\n{setting}\n"
        elif setting not in configuration.read_text(encoding="utf-8", errors="replace").splitlines():
            left = [f"{configuration} exists and stays as it is; let it say under [defaults]: {setting}"]
    for name, text in files.items():
        write_file(directory / name, text, secret=name == VAULT_FILE)
    return [*(f"wrote {directory / name}" for name in files), *left]


def refuse_existing(directory: Path, files: Iterable[str], *, force: bool) -> None:
    """Raise ConfigurationError for files that exist (without `force`), or that would not be read."""
    problems = [
        ConfigurationProblem(str(directory / name), "exists; --force overwrites it")
        for name in files
        if not force and (directory / name).exists()
    ]
    # If there is group_vars/all/, Ansible ignores a file all.yml beside it.
    problems += [
        ConfigurationProblem(
            str(path), "Ansible would ignore it beside the new folder all/; move it to all/more.yml first"
        )
        for path in sorted((directory / "inventory" / "group_vars").glob("all.*"))
        if path.suffix in (".yml", ".yaml", ".json")
    ]
    if problems:
        raise ConfigurationError("nothing was written", problems)


def write_file(path: Path, text: str, *, secret: bool = False) -> None:
    """Write a text file; a secret one is created with mode 0600."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if secret and path.exists():
            path.chmod(0o600)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(path, flags, 0o600 if secret else 0o666), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written ({error.strerror}); choose another folder") from None


def _encrypt(text: str, vault: Path) -> str:
    """Encrypt a text with `ansible-vault`, so that the password may also come from a program."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_VAULT")}
    program = Path(sysconfig.get_path("scripts")) / "ansible-vault"
    done = subprocess.run(
        [program, "encrypt", f"--vault-id=default@{vault.absolute()}", "--encrypt-vault-id=default", "--output=-", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode != 0 or not done.stdout.startswith("$ANSIBLE_VAULT;"):
        reason = " ".join(done.stderr.split())[-300:]
        raise ConfigurationError(f"Ansible Vault could not encrypt with {vault}: {reason}")
    return done.stdout
