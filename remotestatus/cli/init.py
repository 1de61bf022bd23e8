"""
`remotestatus init`: asks for proxy and remotes, and writes a first inventory.

Its content comes from options, questions in a terminal, or the user's SSH configuration. Answers fill in missing
options, so that all go through the same code. At the end it prints the result of `remotestatus doctor`.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from remotestatus.cli.doctor import print_result
from remotestatus.cli.options import EXISTING_FILE, FILE, FOLDER, now
from remotestatus.model.durations import parse_duration
from remotestatus.model.errors import ConfigurationError, ConfigurationProblem
from remotestatus.model.text import count
from remotestatus.probe import AnsibleSource
from remotestatus.setup import (
    NewFleet,
    NewHost,
    name_host,
    read_ssh_configuration,
    read_target,
    refuse_existing,
    save_files,
    write_inventory,
)
from remotestatus.setup.doctor import INVENTORY, Mark, examine

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flags:
    """The options; None or empty where not given."""

    directory: Path
    title: str | None
    every: str | None
    proxy: str | None
    proxy_name: str | None
    proxy_key: str | None
    remotes: tuple[str, ...]
    key: str | None
    password_login: bool
    from_ssh_config: bool
    ssh_config: Path | None
    only: tuple[str, ...]
    vault_password_file: Path | None
    force: bool


@click.command("init")
@click.argument("directory", type=FOLDER, default=Path())
@click.option("--title", help="Title of the page.")
@click.option("--every", help="How often a round is run, for example 10m.")
@click.option("--proxy", metavar="[USER@]HOST[:PORT]", help="SSH jump host that the remotes are reached through.")
@click.option("--proxy-name", help="What the proxy is called in the inventory.  [default: tunnel-proxy]")
@click.option("--proxy-key", metavar="FILE", help="Private key for the proxy.")
@click.option(
    "--remote",
    "remotes",
    multiple=True,
    metavar="NAME=[USER@][HOST:]PORT",
    help="A remote; may be given several times. A port alone is its tunnel's port on the proxy.",
)
@click.option("--key", metavar="FILE", help="Private key for the remotes.")
@click.option("--password-login", is_flag=True, help="The remotes want passwords.")
@click.option("--from-ssh-config", is_flag=True, help="Take the hosts with a ProxyJump from your SSH configuration.")
@click.option("--ssh-config", type=FILE, help="Another SSH configuration file.")
@click.option("--only", multiple=True, metavar="PATTERN", help="With --from-ssh-config: exactly these hosts.")
@click.option(
    "--vault-password-file",
    type=EXISTING_FILE,
    help="File (or program) with the Ansible Vault password that the remotes' passwords are encrypted with.",
)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def command(**options: Any) -> None:
    """
    Write a first inventory into DIRECTORY (here, unless given).

    Asks for what the flags leave open when it is started in a terminal.

    \b
      remotestatus init
      remotestatus init --from-ssh-config
      remotestatus init /srv/fleet --proxy tunnels@proxy.example.com \\
          --remote north-camera=camera@8001 --remote south-camera=camera@8002
    """
    flags = Flags(**options)
    from_ssh = flags.from_ssh_config or flags.ssh_config is not None or bool(flags.only)
    if from_ssh and (flags.proxy or flags.remotes):
        raise ConfigurationError("write either --from-ssh-config, or --proxy and --remote; not both")
    if not from_ssh and not flags.remotes and sys.stdin.isatty():
        refuse_existing(flags.directory, write_inventory(NewFleet()), force=flags.force)
        flags = _ask(flags)
    answers = _read_flags(flags, from_ssh=from_ssh)
    vault = flags.vault_password_file
    if flags.password_login:
        answers = replace(answers, remotes=tuple(_with_password(r, vault is not None) for r in answers.remotes))
    click.echo("\n".join(save_files(flags.directory, answers, vault, {}, force=flags.force)))
    gaps = [remote.name for remote in answers.remotes if remote.wants_password and remote.password is None]
    if gaps:
        click.echo(f"The passwords of {', '.join(gaps)} are marked GAP: no password was written. The file says how.")
    show_next(flags.directory, answers, vault)


# -- from options to answers


def _read_flags(flags: Flags, *, from_ssh: bool) -> NewFleet:
    """Parse the options. Raises ConfigurationError with every problem."""
    problems: list[ConfigurationProblem] = []

    def read(flag: str, text: str | None, reader: Callable[[str], T]) -> T | None:
        try:
            return reader(text) if text else None
        except ValueError as error:
            problems.append(ConfigurationProblem(flag, str(error)))
            return None

    every = read("--every", flags.every, parse_duration)
    key = read("--key", flags.key, lambda text: _find_key(text, flags.directory))
    proxy_key = read("--proxy-key", flags.proxy_key, lambda text: _find_key(text, flags.directory))
    proxy = read("--proxy", flags.proxy, lambda text: _new_proxy(text, flags.proxy_name, proxy_key))
    remotes: list[NewHost] = []
    for text in flags.remotes:
        if remote := read("--remote", text, lambda text: _new_remote(text, proxy, remotes)):
            remotes.append(remote)
    if problems:
        raise ConfigurationError("the inventory can't be written", problems)
    if from_ssh:
        answers, notes = read_ssh_configuration(flags.ssh_config, flags.only)
        for note in notes:
            click.echo(note, err=True)
    elif remotes or sys.stdin.isatty():
        answers = NewFleet((proxy,) if proxy else (), tuple(remotes))
    else:
        raise ConfigurationError(
            "there is nothing to write: this is no terminal to ask in, so say it by flags, for example --proxy "
            "tunnels@proxy.example.com --remote north-camera=camera@8001, or --from-ssh-config"
        )
    if key:
        answers = replace(answers, remotes=tuple(replace(remote, key_file=key) for remote in answers.remotes))
    return replace(answers, title=flags.title or answers.title, every=every or answers.every)


def _find_key(text: str, directory: Path) -> str:
    """
    A key file's path for the inventory: relative to the home or the inventory's folder, or absolute.

    Raises ValueError when there is no such file.
    """
    if text.startswith("~"):
        written, path = text, Path(text).expanduser()
    elif (directory / text).is_file():
        written, path = text, directory / text
    else:
        written, path = str(Path(text).absolute()), Path(text)
    if not path.is_file():
        raise ValueError(f"there is no file {text}; make it: ssh-keygen -t ed25519 -f {text}, or correct the path")
    return written


def _new_proxy(text: str, name: str | None, key: str | None) -> NewHost:
    target = read_target(text)
    if target.address is None:
        raise ValueError(f"{text!r} has no host; write for example tunnels@proxy.example.com:22")
    return NewHost(name_host(name or "tunnel-proxy", ()), target.address, target.port, target.user, key or None)


def _new_remote(text: str, proxy: NewHost | None, others: Sequence[NewHost]) -> NewHost:
    wanted, equals, place = (part.strip() for part in text.partition("="))
    if not wanted or not equals or not place:
        raise ValueError(f"{text!r} is no remote; write NAME=USER@PORT, for example north-camera=camera@8001")
    target = read_target(place)
    # A port alone is a tunnel's port on the loopback address of the proxy, or of this machine without one.
    address = target.address or "127.0.0.1"
    same = next((one.name for one in others if (one.address, one.port) == (address, target.port)), None)
    if same is not None:
        where = f"port {target.port}" if target.port else address
        raise ValueError(f"{text!r} leads to {where} as {same} does; give each remote a remote port of its own")
    taken = [remote.name for remote in others] + ([proxy.name] if proxy else [])
    name = name_host(wanted, taken, str(target.port or ""))
    nickname = wanted if wanted != name else ""
    via = (proxy.name,) if proxy else ()
    return NewHost(name, address, target.port, target.user, via=via, variables={"remotestatus_nickname": nickname})


# -- asking for what the options leave open


def _ask(flags: Flags) -> Flags:
    """Ask for each option that was not given."""
    click.echo("A few questions. What is in brackets is taken on Enter; everything can be changed later.\n")
    title = flags.title or click.prompt("Title of the page", default="remotestatus")
    every = flags.every or click.prompt(
        "How often shall a round run?", default="10m", value_proc=_asked(parse_duration)
    )
    proxy, proxy_key = flags.proxy, flags.proxy_key
    if proxy is None:
        proxy = _prompt("Proxy, as user@host:port (Enter: none)", lambda text: _new_proxy(text, None, None))
    if proxy and not proxy_key:
        proxy_key = _prompt("  Its private key (Enter: as ssh chooses)", lambda text: _find_key(text, flags.directory))
    jump = _new_proxy(proxy, flags.proxy_name, None) if proxy else None
    where = "the port of its tunnel on the proxy" if jump else "host:port"
    click.echo(f"Remotes, one a line, as NAME=USER@PORT, where PORT is {where}; Enter ends the list.")
    remotes: list[str] = []
    found: list[NewHost] = []
    while text := _prompt("  Remote", lambda text: _new_remote(text, jump, found)):
        remotes.append(text)
        found.append(_new_remote(text, jump, found))
    password_login, vault = flags.password_login, flags.vault_password_file
    if found and not flags.key and not password_login:
        password_login = click.confirm("Do the remotes want passwords (no: keys)?", default=False)
    if found and password_login and vault is None:
        click.echo("Passwords are only ever written encrypted, which needs a file with an Ansible Vault password.")
        answer = _prompt("  Vault password file (Enter: leave gaps)", _find_vault)
        vault = Path(answer).expanduser() if answer else None
    return replace(
        flags,
        title=title,
        every=every,
        proxy=proxy,
        proxy_key=proxy_key,
        remotes=tuple(remotes),
        password_login=password_login,
        vault_password_file=vault,
    )


def _prompt(question: str, check: Callable[[str], object]) -> str:
    """Ask an optional question, again while `check` rejects the answer."""
    return str(click.prompt(question, default="", show_default=False, value_proc=_asked(check)))


def _asked(check: Callable[[str], object]) -> Callable[[str], str]:
    """Repeat the question after a wrong answer, with the fix."""

    def take(text: str) -> str:
        try:
            if text:
                check(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        return text

    return take


def _find_vault(text: str) -> None:
    if not Path(text).expanduser().is_file():
        raise ValueError(f"there is no file {text}; make one with a long password in it, or press Enter")


def _with_password(remote: NewHost, encrypted: bool) -> NewHost:
    password = None
    if encrypted and sys.stdin.isatty():
        password = click.prompt(
            f"Password of {remote.name} (Enter: later)", default="", show_default=False, hide_input=True
        )
    return replace(remote, wants_password=True, password=password or None)


# -- what comes next


def show_next(directory: Path, answers: NewFleet, vault: Path | None) -> None:
    """Print what `remotestatus doctor --offline` finds in the new inventory, and the next steps."""
    source = AnsibleSource((directory / "inventory",), vault_password_files=(vault,) if vault else ())
    findings = list(examine(source, now(), offline=True))
    if not any(section == INVENTORY and result.mark is Mark.WRONG for section, result in findings):
        click.echo(f"It is a valid inventory with {count(len(answers.remotes), 'remote')}.")
    click.echo("\nNext, as `remotestatus doctor` finds it:")
    if directory.absolute() != Path.cwd():
        click.echo(f"  cd {shlex.quote(str(directory))}")
    for _, result in findings:
        if result.mark in (Mark.WRONG, Mark.WARNING):
            print_result(result)
