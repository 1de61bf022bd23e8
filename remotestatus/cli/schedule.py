"""
`remotestatus schedule`: prints, installs or removes a timer for rounds.

`timer_units` makes the texts; this module installs them. It changes no files or lines that it did not write.
"""

import getpass
import os
import pwd
import re
import subprocess
from pathlib import Path

import click

from remotestatus.cli.opened_inventory import open_inventory
from remotestatus.cli.options import FOLDER, now, own_program, with_inventory
from remotestatus.model.durations import write_duration
from remotestatus.model.errors import ConfigurationError, RemotestatusError
from remotestatus.model.fleet import Inventory
from remotestatus.probe import AnsibleSource
from remotestatus.setup import (
    MARK,
    Schedule,
    add_cron_line,
    cron_line,
    next_round,
    remove_cron_line,
    service_text,
    timer_text,
    unit_folder,
)

_BOOTED = Path("/run/systemd/system")
"""Exists if systemd is the init: sd_booted(3)."""

_CARRIED = (
    "ANSIBLE_CONFIG",
    "ANSIBLE_VAULT_PASSWORD_FILE",
    "ANSIBLE_CONNECTION_PASSWORD_FILE",
    "ANSIBLE_BECOME_PASSWORD_FILE",
)


@click.command("schedule")
@with_inventory
@click.option("--install", is_flag=True, help="Install and enable it.")
@click.option("--uninstall", is_flag=True, help="Stop and remove it.")
@click.option("--cron", is_flag=True, help="A line for cron instead of systemd units.")
@click.option(
    "--system/--user",
    default=None,
    help="Units of the whole system, or of your own service manager.  [default: system for root]",
)
@click.option(
    "--run-as", metavar="USER", help="Who runs a system unit.  [default: whoever owns the inventory's folder]"
)
@click.option("--name", default="remotestatus", show_default=True, help="Name of the units, for several fleets.")
@click.option("--write-to", type=FOLDER, help="Only write the units to this folder.")
def command(
    source: AnsibleSource,
    install: bool,
    uninstall: bool,
    cron: bool,
    system: bool | None,
    run_as: str | None,
    name: str,
    write_to: Path | None,
) -> None:
    """
    Print, install or remove a timer that runs rounds.

    How often is said by remotestatus_every in the inventory; run it again after a change there.

    \b
      remotestatus schedule                     # prints a hardened systemd service and its timer
      remotestatus schedule --install           # installs and enables them
      remotestatus schedule --cron              # prints a line for crontab
    """
    whole = system if system is not None else os.geteuid() == 0
    _check_options(name, run_as, both=install and uninstall, whole=whole)
    if uninstall:
        _uninstall_cron(name) if cron else _uninstall_units(name, whole=whole)
        return
    inventory = open_inventory(source)
    user = _owner(inventory.base, run_as) if whole and not cron else None
    schedule = _plan(name, source, inventory, user)
    if install:
        _install_cron(schedule) if cron else _install_units(schedule, whole=whole)
    elif cron:
        click.echo(cron_line(schedule))
    elif write_to is not None:
        _write_units(schedule, write_to)
    else:
        for path, text in _units(schedule, unit_folder(whole=whole)).items():
            click.echo(f"# {path}\n{text}")
    _show_next_round(schedule, installed=install)


def _check_options(name: str, run_as: str | None, *, both: bool, whole: bool) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):
        raise ConfigurationError(f"{name!r} is no name for a unit; write letters, digits, - and _")
    if both:
        raise ConfigurationError("write either --install or --uninstall, not both")
    if run_as is not None and not whole:
        raise ConfigurationError("--run-as is for system units; write --system as well")


def _plan(name: str, source: AnsibleSource, inventory: Inventory, user: str | None) -> Schedule:
    arguments = ["run", "--quiet"]
    for one in source.sources:
        arguments += ["-i", one]
    for path in source.vault_password_files:
        arguments += ["--vault-password-file", str(path.absolute())]
    for label in source.vault_ids:
        name_of, at, place = label.rpartition("@")
        arguments += ["--vault-id", f"{name_of}{at}{Path(place).absolute()}" if Path(place).is_file() else label]
    if source.absolute_limit is not None:
        arguments += ["--limit", source.absolute_limit]
    return Schedule(
        name=name,
        command=(*own_program(), *arguments),
        every=inventory.fleet.settings.every,
        folder=str(inventory.base),
        writable=_writable(inventory),
        environment={
            key: str(Path(os.environ[key]).expanduser().absolute()) for key in _CARRIED if os.environ.get(key)
        },
        user=user,
        keeps_connections=inventory.fleet.settings.keep_connections,
    )


def _writable(inventory: Inventory) -> tuple[str, ...]:
    """The folders that a round writes to, and the parent of the page's folder."""
    folders = {inventory.base, inventory.site.absolute().parent, inventory.database.absolute().parent}
    return tuple(str(folder) for folder in sorted(folders) if not any(other in folders for other in folder.parents))


def _owner(folder: Path, wanted: str | None) -> str:
    try:
        return pwd.getpwnam(wanted).pw_name if wanted else pwd.getpwuid(folder.stat().st_uid).pw_name
    except KeyError:
        raise ConfigurationError(
            f"there is no user {wanted or 'who owns ' + str(folder)}; give --run-as USER"
        ) from None


# -- systemd


def _units(schedule: Schedule, folder: Path) -> dict[Path, str]:
    return {
        folder / f"{schedule.name}.service": service_text(schedule),
        folder / f"{schedule.name}.timer": timer_text(schedule),
    }


def _write_units(schedule: Schedule, folder: Path) -> None:
    units = _units(schedule, folder)
    for path in units:
        _must_be_ours(path, schedule)
    for path, text in units.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{path} can't be written ({error.strerror}); become root for --system, or install a --user timer"
            ) from None
        click.echo(f"wrote {path}")


def _must_be_ours(path: Path, schedule: Schedule | None = None) -> None:
    try:
        first = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read ({error.strerror}); see who made it") from None
    if not first.startswith(MARK):
        raise ConfigurationError(f"{path} was not written by us; choose another --name")
    if schedule is not None and first != schedule.marker:
        other = first.removeprefix(MARK)
        raise ConfigurationError(
            f"{path} is the timer of the inventory in {other}; choose another --name, or remove it with --uninstall"
        )


def _must_have_systemd() -> None:
    if not _BOOTED.is_dir():
        raise ConfigurationError(
            "systemd does not run this machine (a container?), so no timer can be installed; use cron (remotestatus "
            "schedule --cron), or let `remotestatus watch` run in the foreground"
        )


def _systemctl(*arguments: str, whole: bool) -> None:
    scope = [] if whole else ["--user"]
    done = subprocess.run(["systemctl", *scope, *arguments], capture_output=True, text=True, check=False, timeout=90)
    if done.returncode != 0:
        reason = " ".join(done.stderr.split())[:300]
        cure = "" if whole else " (no service manager of your own? log in anew, or: loginctl enable-linger)"
        raise RemotestatusError(f"systemctl {' '.join(arguments)} failed: {reason}{cure}")


def _install_units(schedule: Schedule, *, whole: bool) -> None:
    _must_have_systemd()
    _write_units(schedule, unit_folder(whole=whole))
    _systemctl("daemon-reload", whole=whole)
    _systemctl("enable", f"{schedule.name}.timer", whole=whole)
    _systemctl("restart", f"{schedule.name}.timer", whole=whole)
    click.echo(f"A round runs every {write_duration(schedule.every)} from now on.")
    scope = "" if whole else " --user"
    click.echo(f"See it with: systemctl{scope} list-timers {schedule.name}.timer")
    if schedule.user:
        click.echo(f"It runs as {schedule.user}; --run-as USER changes that.")
    if not whole and not Path("/var/lib/systemd/linger", getpass.getuser()).exists():
        click.echo("It runs only while you are logged in. For always: loginctl enable-linger")


def _uninstall_units(name: str, *, whole: bool) -> None:
    folder = unit_folder(whole=whole)
    paths = [path for path in (folder / f"{name}.timer", folder / f"{name}.service") if path.exists()]
    if not paths:
        other = "--user" if whole else "--system"
        raise ConfigurationError(f"there is no timer {name} in {folder}; look with {other}, or name it with --name")
    for path in paths:
        _must_be_ours(path)
    if _BOOTED.is_dir():
        _systemctl("disable", "--now", f"{name}.timer", whole=whole)
    for path in paths:
        try:
            path.unlink()
        except OSError as error:
            raise ConfigurationError(f"{path} can't be removed ({error.strerror}); become root") from None
        click.echo(f"removed {path}")
    if _BOOTED.is_dir():
        _systemctl("daemon-reload", whole=whole)


# -- cron


def _read_crontab() -> str:
    try:
        done = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        raise ConfigurationError(
            "there is no cron on this machine; install it, or let `remotestatus watch` run in the foreground"
        ) from None
    if done.returncode != 0 and "no crontab" not in done.stderr:
        raise RemotestatusError(f"crontab -l failed: {' '.join(done.stderr.split())[:300]}")
    return done.stdout if done.returncode == 0 else ""


def _write_crontab(text: str) -> None:
    done = subprocess.run(["crontab", "-"], input=text, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise RemotestatusError(f"crontab did not take the line: {' '.join(done.stderr.split())[:300]}")


def _install_cron(schedule: Schedule) -> None:
    _write_crontab(add_cron_line(_read_crontab(), schedule))
    click.echo(f"added to your crontab: {cron_line(schedule)}")


def _uninstall_cron(name: str) -> None:
    before = _read_crontab()
    after = remove_cron_line(before, name)
    if after == before:
        raise ConfigurationError(f"there is no line of {name} in your crontab; name it with --name")
    _write_crontab(after)
    click.echo(f"removed {name} from your crontab")


def _show_next_round(schedule: Schedule, *, installed: bool) -> None:
    moment = next_round(schedule.every, now())
    would = "is" if installed else "would be"
    after = f"{write_duration(schedule.every)} after the last"
    when = f"at {moment.astimezone():%Y-%m-%d %H:%M:%S %Z}" if moment else after
    click.echo(f"The next round {would} {when}.", err=True)
    if not installed:
        click.echo("Nothing was installed; --install does that.", err=True)
