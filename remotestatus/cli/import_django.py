"""
`remotestatus import-django`: makes an inventory of the old Django app's settings and `remotes.py` files.

Finds and reads the files, never runs them; `django_settings` says what they mean. What can't be carried over is
listed with file and line, and marked GAP where it belongs in the inventory.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click

from remotestatus.cli.init import check_inventory, save_inventory, show_next, write_file
from remotestatus.model.errors import ConfigurationError, Problem
from remotestatus.setup import CLEAR_FILE, KNOWN_HOSTS_FILE, PasswordStore
from remotestatus.setup.django_settings import Gap, Module, OldFleet, plan_fleet, read_module, rename_known_hosts

_OTHERS = frozenset({"site-packages", "node_modules", "__pycache__"})


@click.command("import-django")
@click.argument("settings", type=click.Path(path_type=Path))
@click.argument("remotes", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder that is to hold the inventory.",
)
@click.option(
    "--vault-password-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File (or program) with an Ansible Vault password: passwords are encrypted with it.",
)
@click.option("--no-passwords", is_flag=True, help="Leave passwords out.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def command(
    settings: Path,
    remotes: tuple[Path, ...],
    directory: Path,
    vault_password_file: Path | None,
    no_passwords: bool,
    force: bool,
) -> None:
    """
    Make an inventory of the old Django app's SETTINGS and REMOTES files.

    SETTINGS is the settings file. Each of REMOTES is a remotes.py, or a folder in which all of them are found. Nothing
    of them is run: what is not a literal is listed, and marked GAP in the inventory.

    \b
      remotestatus import-django project/settings.py project --to fleet --vault-password-file ~/.vault
    """
    if no_passwords and vault_password_file is not None:
        raise ConfigurationError("write either --no-passwords or --vault-password-file, not both")
    old_settings = _read(settings)
    modules = [_read(path, old_settings) for path in _find(remotes)]
    old = plan_fleet(old_settings, modules, str(settings.absolute().parent))
    if not old.answers.remotes:
        listed = [Problem(gap.where, f"{gap.what}; {gap.cure}") for gap in old.gaps]
        raise ConfigurationError("no remote was found; nothing was written", listed)
    store = PasswordStore.CLEAR
    if no_passwords or vault_password_file is not None:
        store = PasswordStore.NONE if no_passwords else PasswordStore.VAULT
    answers = old.answers
    if store is PasswordStore.NONE and answers.secrets:
        gap = "the mail server's password was left out; write the destination into remotestatus_apprise yourself"
        answers = replace(answers, apprise=(), secrets=(), gaps=(*answers.gaps, gap))
    known_hosts = directory / KNOWN_HOSTS_FILE
    text, gaps = _convert_known_hosts(old)
    if text and known_hosts.exists() and not force:
        raise ConfigurationError("nothing was written", [Problem(str(known_hosts), "exists; --force overwrites it")])
    written = save_inventory(directory, answers, store, vault_password_file, force=force)
    if text:
        write_file(known_hosts, text)
        click.echo(f"wrote {known_hosts}")
    _say_passwords(old, store, directory, written)
    _say_gaps((*old.gaps, *gaps, *_missing_keys(old), _HISTORY))
    check_inventory(directory, vault_password_file)
    show_next(directory, answers)


_HISTORY = Gap(
    "the database",
    "the table of status history is not read",
    "history begins anew; keep the old database for as long as you need it",
)


def _read(path: Path, settings: Module | None = None) -> Module:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read ({error.strerror}); name the right file") from None
    return read_module(source, str(path), settings.names if settings else None)


def _find(places: Iterable[Path]) -> tuple[Path, ...]:
    """All files meant: those named, and every `remotes.py` below a folder, as autodiscovery found them in the apps."""
    found: dict[Path, Path] = {}
    for place in places:
        paths = [place]
        if place.is_dir():
            paths = []
            for folder, folders, files in os.walk(place):
                # Installed packages and virtual environments hold nothing of the project's own.
                folders[:] = sorted(
                    name
                    for name in folders
                    if name not in _OTHERS
                    and not name.startswith(".")
                    and not (Path(folder) / name / "pyvenv.cfg").exists()
                )
                if "remotes.py" in files:
                    paths.append(Path(folder) / "remotes.py")
            if not paths:
                raise ConfigurationError(f"there is no remotes.py below {place}; name the right folder")
        for path in paths:
            found.setdefault(path.resolve(), path)
    return tuple(found.values())


def _convert_known_hosts(old: OldFleet) -> tuple[str, tuple[Gap, ...]]:
    if old.known_hosts_file is None:
        return "", (Gap("known_hosts", "the settings name no file of host keys", "collect them: remotestatus trust"),)
    path = Path(old.known_hosts_file).expanduser()
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        what = f"can't be read ({error.strerror})"
        return "", (Gap(str(path), what, "collect the host keys again: remotestatus trust"),)
    converted, missing = rename_known_hosts(text, old.lookups)
    if not missing:
        return converted, ()
    what = f"holds no key for {', '.join(missing)}"
    return converted, (Gap(str(path), what, "collect what is missing: remotestatus trust"),)


def _missing_keys(old: OldFleet) -> Iterable[Gap]:
    keys = [proxy.key_file for proxy in old.answers.proxies] + [remote.key_file for remote in old.answers.remotes]
    for key in sorted({key for key in keys if key}):
        if not Path(key).expanduser().is_file():
            yield Gap(key, "this private key is not on this machine", "put it there, or correct its path")


def _say_passwords(old: OldFleet, store: PasswordStore, directory: Path, written: tuple[Path, ...]) -> None:
    clear = directory / CLEAR_FILE
    if store is PasswordStore.CLEAR and clear in written:
        click.echo(
            f"\nPASSWORDS WERE WRITTEN IN CLEAR TEXT to {clear} (readable by you alone). Encrypt them now:\n"
            f"  ansible-vault encrypt {click.format_filename(clear)}\n"
            "Next time give --vault-password-file, or --no-passwords."
        )
    elif store is PasswordStore.NONE and any(remote.password for remote in old.answers.remotes):
        click.echo("\nPasswords were left out, and are marked GAP in the inventory.")


def _say_gaps(gaps: Iterable[Gap]) -> None:
    listed = list(gaps)
    click.echo(f"\nNot carried over as it was ({len(listed)}):")
    for gap in listed:
        click.echo(f"  {gap.where}: {gap.what}")
        click.echo(f"      {gap.cure}")
    click.echo("")
