"""
What several commands share: the options that say where the inventory is, and opening it.

`with_inventory` adds -i, --limit and the Vault options to a command and hands it an AnsibleSource as `source`;
`open_inventory` reads and validates it without connecting to anything.
"""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from remotestatus.errors import ConfigurationError
from remotestatus.playbook import AnsibleSource

DEFAULT_INVENTORY = Path("inventory")


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def with_inventory(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the inventory is; the command gets them as `source`."""

    @click.option(
        "-i",
        "--inventory",
        "paths",
        multiple=True,
        type=click.Path(path_type=Path),
        envvar="REMOTESTATUS_INVENTORY",
        help="Ansible inventory: a file or a folder; may be given several times.  [default: inventory]",
    )
    @click.option("-l", "--limit", metavar="PATTERN", help="Only these remotes, as an Ansible pattern.")
    @click.option(
        "--vault-password-file",
        "vault_password_files",
        multiple=True,
        type=click.Path(path_type=Path),
        help="File (or program) with an Ansible Vault password.",
    )
    @click.option("--vault-id", "vault_ids", multiple=True, metavar="LABEL@SOURCE", help="Ansible Vault identity.")
    @functools.wraps(command)
    def wrapped(
        paths: tuple[Path, ...],
        limit: str | None,
        vault_password_files: tuple[Path, ...],
        vault_ids: tuple[str, ...],
        **others: Any,
    ) -> Any:
        for path in vault_password_files:
            if not path.exists():
                raise ConfigurationError(f"there is no Vault password file {path}; correct --vault-password-file")
        source = AnsibleSource(paths or (DEFAULT_INVENTORY,), vault_ids, vault_password_files, limit)
        return command(source=source, **others)

    return wrapped


def open_inventory(source: AnsibleSource) -> "Any":
    """Read and validate the inventory; connects to nothing. Raises ConfigurationError with all problems."""
    from remotestatus.inventory import read_inventory
    from remotestatus.playbook import Playbooks

    with Playbooks(source) as playbooks:
        return read_inventory(source, playbooks)
