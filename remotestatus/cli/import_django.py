"""
`remotestatus import-django`: makes an inventory of the old Django app's settings and `remotes.py` files.

The files are read and never run. What can't be carried over is listed with file and line, and marked GAP where it
belongs in the inventory. Passwords are encrypted or left out, never written in clear text.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from remotestatus.cli.init import show_next
from remotestatus.cli.options import EXISTING_FILE, FOLDER
from remotestatus.model.errors import ConfigurationError, ConfigurationProblem
from remotestatus.model.text import count
from remotestatus.setup import KNOWN_HOSTS_FILE, NewFleet, save_files
from remotestatus.setup.django import Gap, OldFleet, read_project, rename_host_keys


@click.command("import-django")
@click.argument("settings", type=click.Path(path_type=Path))
@click.argument("remotes", type=click.Path(path_type=Path), nargs=-1)
@click.option("--to", "directory", type=FOLDER, required=True, help="Folder that is to hold the inventory.")
@click.option(
    "--vault-password-file",
    type=EXISTING_FILE,
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

    SETTINGS is the settings file, or the project's folder. Each of REMOTES is a remotes.py, or a folder in which all
    of them are found; without any, it is the folder that SETTINGS names. Nothing of them is run: what has no fixed
    value is listed, and marked GAP in the inventory.

    \b
      remotestatus import-django project --to fleet --vault-password-file ~/.vault
      remotestatus import-django project/settings.py project --to fleet --no-passwords
    """
    if no_passwords and vault_password_file is not None:
        raise ConfigurationError("write either --no-passwords or --vault-password-file, not both")
    old = _read(settings, remotes)
    answers = _leave_out_secrets(old.answers) if no_passwords else old.answers
    if not no_passwords and vault_password_file is None:
        _refuse_passwords(answers)
    text, gaps = _convert_known_hosts(old)
    more = {KNOWN_HOSTS_FILE: text} if text else {}
    click.echo("\n".join(save_files(directory, answers, vault_password_file, more, force=force)))
    _remove_clear_text(directory)
    _say_found(old)
    _say_gaps([*old.gaps, *gaps, _HISTORY])
    show_next(directory, answers, vault_password_file)


_HISTORY = Gap(
    "the database",
    "the table of status history is not read",
    "history begins anew; keep the old database for as long as you need it",
)


def _read(settings: Path, remotes: tuple[Path, ...]) -> OldFleet:
    try:
        old = read_project(settings, remotes)
    except OSError as error:
        raise ConfigurationError(f"{error.filename} can't be read ({error.strerror}); name the right file") from None
    if not old.answers.remotes:
        listed = [ConfigurationProblem(gap.where, f"{gap.what}; {gap.cure}") for gap in old.gaps]
        raise ConfigurationError("no remote was found; nothing was written; name the project's folder", listed)
    return old


def _leave_out_secrets(answers: NewFleet) -> NewFleet:
    if not answers.secrets:
        return answers
    gap = "the mail server's password was left out; write the destination into remotestatus_apprise yourself"
    return replace(answers, apprise=(), secrets=(), gaps=(*answers.gaps, gap))


def _refuse_passwords(answers: NewFleet) -> None:
    number = sum(remote.password is not None for remote in answers.remotes) + len(answers.secrets)
    if number:
        raise ConfigurationError(
            f"nothing was written: {count(number, 'password')} would have to be in clear text; "
            "--vault-password-file FILE encrypts, --no-passwords leaves out"
        )


def _remove_clear_text(directory: Path) -> None:
    """Remove the clear-text passwords of an earlier version: Ansible and others could still read them."""
    path = directory / "inventory/group_vars/all/passwords-in-clear.yml"
    if path.is_file() and not path.read_bytes().startswith(b"$ANSIBLE_VAULT"):
        path.unlink()
        click.echo(f"removed {path}, which held passwords of an earlier import in clear text")


def _convert_known_hosts(old: OldFleet) -> tuple[str, tuple[Gap, ...]]:
    if old.known_hosts_file is None:
        return "", (Gap("known_hosts", "the settings name no file of host keys", "collect them: remotestatus trust"),)
    path = Path(old.known_hosts_file).expanduser()
    try:
        path.open("rb").close()
    except OSError as error:
        what = f"can't be read ({error.strerror})"
        return "", (Gap(str(path), what, "collect the host keys again: remotestatus trust"),)
    converted, missing = rename_host_keys(path, old.answers)
    if not missing:
        return converted, ()
    what = f"holds no key for {', '.join(missing)}"
    return converted, (Gap(str(path), what, "collect what is missing: remotestatus trust"),)


def _say_found(old: OldFleet) -> None:
    click.echo(f"\nFound, with the settings of {old.settings_file}:")
    for file, number in sorted(old.counts.items()):
        click.echo(f"  {number:>3} remote{' ' if number == 1 else 's'} in {file}")
    click.echo(f"  {sum(old.counts.values()):>3} in all")


def _say_gaps(gaps: Sequence[Gap]) -> None:
    click.echo(f"\nNot carried over as it was ({len(gaps)}):")
    for gap in gaps:
        click.echo(f"  {gap.where}: {gap.what}")
        click.echo(f"      {gap.cure}")
    click.echo("")
