"""
`remotestatus init`: asks for proxy and remotes, and writes a first inventory.

Takes flags, answers from a terminal, or the user's SSH configuration; `starter` makes the texts. Nothing that exists
is overwritten without --force, and no password is written in clear.
"""

import glob
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import click

from remotestatus.model.durations import parse_duration
from remotestatus.model.errors import ConfigurationError, Problem
from remotestatus.setup import (
    VAULT_FILE,
    Answers,
    NewProxy,
    NewRemote,
    PasswordStore,
    Target,
    fleet_from_ssh,
    list_ssh_hosts,
    name_host,
    read_ssh_answer,
    read_target,
    write_inventory,
)

_CONFIGURATION = "ansible.cfg"

T = TypeVar("T")


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=Path())
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
@click.option("--ssh-config", type=click.Path(path_type=Path, dir_okay=False), help="Another SSH configuration file.")
@click.option("--only", multiple=True, metavar="PATTERN", help="With --from-ssh-config: exactly these hosts.")
@click.option(
    "--vault-password-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File (or program) with the Ansible Vault password that the remotes' passwords are encrypted with.",
)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def command(
    directory: Path,
    title: str | None,
    every: str | None,
    proxy: str | None,
    proxy_name: str | None,
    proxy_key: str | None,
    remotes: tuple[str, ...],
    key: str | None,
    password_login: bool,
    from_ssh_config: bool,
    ssh_config: Path | None,
    only: tuple[str, ...],
    vault_password_file: Path | None,
    force: bool,
) -> None:
    """
    Write a first inventory into DIRECTORY (here, unless given).

    Asks for what the flags leave open when it is started in a terminal.

    \b
      remotestatus init
      remotestatus init --from-ssh-config
      remotestatus init /srv/fleet --proxy tunnels@proxy.example.com \\
          --remote north-camera=camera@8001 --remote south-camera=camera@8002
    """
    asks = sys.stdin.isatty() and not remotes and not from_ssh_config and ssh_config is None
    if from_ssh_config or ssh_config is not None or only:
        if proxy or remotes:
            raise ConfigurationError("write either --from-ssh-config, or --proxy and --remote; not both")
        answers = _read_ssh_configuration(ssh_config, only)
        vault = vault_password_file
    elif remotes or not asks:
        vault = vault_password_file
        answers = _answer_by_flags(proxy, proxy_name, proxy_key, remotes)
    else:
        _refuse_existing(directory, write_inventory(Answers()), force=force)
        password_login, vault, answers, every, title = _ask(
            proxy, proxy_name, proxy_key, key, password_login, vault_password_file, every, title
        )
    if key:
        answers = replace(answers, remotes=tuple(replace(remote, key_file=key) for remote in answers.remotes))
    if password_login:
        answers = replace(answers, remotes=tuple(_with_password(r, vault is not None) for r in answers.remotes))
    answers = replace(answers, title=title or answers.title, every=_duration(every) if every else answers.every)
    store = PasswordStore.VAULT if vault is not None else PasswordStore.NONE
    save_inventory(directory, answers, store, vault, force=force)
    gaps = [remote.name for remote in answers.remotes if remote.wants_password and remote.password is None]
    if gaps:
        click.echo(f"The passwords of {', '.join(gaps)} are marked GAP: no password was written. The file says how.")
    if answers.remotes:
        check_inventory(directory, vault)
    show_next(directory, answers)


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"--every: {error}") from None


# -- where the answers come from


def _answer_by_flags(
    proxy: str | None, proxy_name: str | None, proxy_key: str | None, remotes: Iterable[str]
) -> Answers:
    problems: list[Problem] = []
    jump = _flag("--proxy", proxy, lambda text: _new_proxy(text, proxy_name, proxy_key), problems) if proxy else None
    found: list[NewRemote] = []
    for text in remotes:
        remote = _flag("--remote", text, lambda text: _new_remote(text, jump, found), problems)
        if remote is not None:
            found.append(remote)
    if problems:
        raise ConfigurationError("the remotes can't be written", problems)
    if not found:
        raise ConfigurationError(
            "there is nothing to write: this is no terminal to ask in, so say it by flags, for example --proxy "
            "tunnels@proxy.example.com --remote north-camera=camera@8001, or --from-ssh-config"
        )
    return Answers(proxies=(jump,) if jump else (), remotes=tuple(found))


def _flag(flag: str, text: str, read: Callable[[str], T], problems: list[Problem]) -> T | None:
    try:
        return read(text)
    except ValueError as error:
        problems.append(Problem(flag, str(error)))
        return None


def _new_proxy(text: str, name: str | None, key: str | None) -> NewProxy:
    target = read_target(text)
    if target.address is None:
        raise ValueError(f"{text!r} has no host; write for example tunnels@proxy.example.com:22")
    return NewProxy(name_host(name or "tunnel-proxy", ()), target.address, target.port, target.user, key or None)


def _new_remote(text: str, proxy: NewProxy | None, others: Iterable[NewRemote]) -> NewRemote:
    wanted, equals, place = text.partition("=")
    if not equals or not wanted.strip() or not place.strip():
        raise ValueError(f"{text!r} is no remote; write NAME=USER@PORT, for example north-camera=camera@8001")
    target: Target = read_target(place)
    taken = [remote.name for remote in others] + ([proxy.name] if proxy else [])
    name = name_host(wanted.strip(), taken, str(target.port or ""))
    return NewRemote(
        name=name,
        # A port alone is the far end of a tunnel, on the proxy's (or without one, on our) loopback address.
        address=target.address or "127.0.0.1",
        port=target.port,
        user=target.user,
        via=(proxy.name,) if proxy else (),
        nickname=wanted.strip() if wanted.strip() != name else "",
    )


def _ask(
    proxy: str | None,
    proxy_name: str | None,
    proxy_key: str | None,
    key: str | None,
    password_login: bool,
    vault: Path | None,
    every: str | None,
    title: str | None,
) -> tuple[bool, Path | None, Answers, str, str]:
    """Ask for all that is open, in the order in which one thinks of it."""
    click.echo("A few questions. What is in brackets is taken on Enter; everything can be changed later.\n")
    title = title or click.prompt("Title of the page", default="remotestatus")
    every = every or click.prompt("How often shall a round run?", default="10m", value_proc=_asked(_say_every))
    text = (
        proxy
        if proxy is not None
        else click.prompt(
            "Proxy, as user@host:port (Enter: none)", default="", show_default=False, value_proc=_asked(_say_proxy)
        )
    )
    jump = None
    if text:
        proxy_key = proxy_key or click.prompt(
            "  Its private key (Enter: as ssh chooses)", default="", show_default=False
        )
        jump = _new_proxy(text, proxy_name, proxy_key)
    where = "the port of its tunnel on the proxy" if jump else "host:port"
    click.echo(f"Remotes, one a line, as NAME=USER@PORT, where PORT is {where}; Enter ends the list.")
    found: list[NewRemote] = []
    while True:
        remote = click.prompt(
            "  Remote", default="", show_default=False, value_proc=_asked(lambda t: t and _new_remote(t, jump, found))
        )
        if not remote:
            break
        found.append(remote)
    if found and not key and not password_login:
        password_login = click.confirm("Do the remotes want passwords (no: keys)?", default=False)
    if found and password_login and vault is None:
        click.echo("Passwords are only ever written encrypted, which needs a file with an Ansible Vault password.")
        answer = click.prompt(
            "  Vault password file (Enter: leave gaps)", default="", show_default=False, value_proc=_asked(_say_file)
        )
        vault = Path(answer).expanduser() if answer else None
    return password_login, vault, Answers(proxies=(jump,) if jump else (), remotes=tuple(found)), every, title


def _asked(read: Callable[[str], T]) -> Callable[[str], T]:
    """Turn a wrong answer into the same question again, with its cure."""

    def take(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return take


def _say_every(text: str) -> str:
    parse_duration(text)
    return text


def _say_proxy(text: str) -> str:
    if text:
        _new_proxy(text, None, None)
    return text


def _say_file(text: str) -> str:
    if text and not Path(text).expanduser().is_file():
        raise ValueError(f"there is no file {text}; make one with a long password in it, or press Enter")
    return text


def _with_password(remote: NewRemote, encrypted: bool) -> NewRemote:
    password = None
    if encrypted and sys.stdin.isatty():
        password = click.prompt(
            f"Password of {remote.name} (Enter: later)", default="", show_default=False, hide_input=True
        )
    return replace(remote, wants_password=True, password=password or None)


# -- the user's SSH configuration


def _read_ssh_configuration(given: Path | None, only: tuple[str, ...]) -> Answers:
    path = given or Path("~/.ssh/config").expanduser()
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read ({error.strerror}); name another with --ssh-config") from None
    names = [name for name in list_ssh_hosts(text, _read_included) if not name.startswith("-")]
    entries: dict[str, Mapping[str, str]] = {name: _ask_ssh(path, name) for name in names}
    for hop in {hop.strip() for entry in entries.values() for hop in entry.get("proxyjump", "").split(",")}:
        if hop and hop not in entries and hop != "none" and "@" not in hop and ":" not in hop and hop[0] != "-":
            entries[hop] = _ask_ssh(path, hop)
    chosen = [name for name in names if any(fnmatchcase(name, one) for one in only)] if only else None
    default = _ask_ssh(Path(os.devnull), "remotestatus.invalid").get("identityfile")
    proxies, remotes, notes = fleet_from_ssh(entries, default, chosen)
    for note in notes:
        click.echo(note, err=True)
    if not remotes:
        what = "that matches --only" if only else "with a ProxyJump; choose others with --only 'PATTERN'"
        raise ConfigurationError(f"{path} has no host {what}")
    return Answers(proxies=proxies, remotes=remotes)


def _read_included(argument: str) -> list[str]:
    """The texts of an `Include`: relative ones lie in ~/.ssh, see ssh_config(5)."""
    pattern = Path("~/.ssh").expanduser() / Path(argument).expanduser()
    texts = []
    for name in sorted(glob.glob(str(pattern))):  # noqa: PTH207
        try:
            texts.append(Path(name).read_text(encoding="utf-8", errors="replace"))
        except OSError as error:
            click.echo(f"{name} can't be read ({error.strerror}); its hosts are left out", err=True)
    return texts


def _ask_ssh(path: Path, name: str) -> dict[str, str]:
    try:
        done = subprocess.run(
            ["ssh", "-G", "-F", str(path), "--", name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise ConfigurationError("`ssh` could not be asked; install the OpenSSH client") from None
    if done.returncode != 0:
        raise ConfigurationError(f"ssh can't read its configuration for {name}: {done.stderr.strip()[:300]}")
    return read_ssh_answer(done.stdout)


# -- writing


def save_inventory(
    directory: Path, answers: Answers, store: PasswordStore, vault: Path | None, *, force: bool
) -> tuple[Path, ...]:
    """
    Write the inventory below a folder, encrypt its vault, and say which files there are now.

    Raises ConfigurationError, before anything is written, for files that exist, and for a vault that can't be made.
    """
    files = write_inventory(answers, store)
    _refuse_existing(directory, files, force=force)
    if vault is not None and VAULT_FILE in files:
        files[VAULT_FILE] = encrypt(files[VAULT_FILE], vault)
    written = []
    for name, text in files.items():
        path = directory / name
        write_file(path, text, secret=name == VAULT_FILE)
        written.append(path)
    if vault is not None:
        written += _write_configuration(directory, vault)
    for path in written:
        click.echo(f"wrote {path}")
    return tuple(written)


def _refuse_existing(directory: Path, files: Iterable[str], *, force: bool) -> None:
    problems = [
        Problem(str(directory / name), "exists; --force overwrites it")
        for name in files
        if not force and (directory / name).exists()
    ]
    # Ansible takes group_vars/all/ and then no longer looks at a file all.yml beside it.
    problems += [
        Problem(str(path), "Ansible would ignore it beside the new folder all/; move it to all/more.yml first")
        for path in sorted((directory / "inventory" / "group_vars").glob("all.*"))
        if path.suffix in (".yml", ".yaml", ".json")
    ]
    if problems:
        raise ConfigurationError("nothing was written", problems)


def write_file(path: Path, text: str, *, secret: bool = False) -> None:
    """Write a text file; a secret one is never readable for anybody else, not even for a moment."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if secret and path.exists():
            path.chmod(0o600)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(path, flags, 0o600 if secret else 0o666), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written ({error.strerror}); choose another folder") from None


def encrypt(text: str, vault: Path) -> str:
    """Encrypt a file's text by Ansible's own program, so that the password may also come from a program."""
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
        said = " ".join(done.stderr.split())[-300:]
        raise ConfigurationError(f"Ansible Vault could not encrypt with {vault}: {said}")
    return done.stdout


def _write_configuration(directory: Path, vault: Path) -> list[Path]:
    path = directory / _CONFIGURATION
    line = f"vault_password_file = {vault.absolute()}"
    if path.exists():
        if line not in path.read_text(encoding="utf-8", errors="replace").splitlines():
            click.echo(f"{path} exists and stays as it is; let it say under [defaults]: {line}")
        return []
    head = "# Ansible's own settings for this folder; this one says where the Vault password is."
    write_file(path, f"{head}\n[defaults]\n{line}\n")
    return [path]


def check_inventory(directory: Path, vault: Path | None) -> None:
    """Read the new inventory as every command will, and say what is still wrong with it."""
    from remotestatus.cli.options import open_inventory
    from remotestatus.probe import AnsibleSource

    source = AnsibleSource((directory / "inventory",), vault_password_files=(vault,) if vault else ())
    try:
        inventory = open_inventory(source)
    except ConfigurationError as error:
        click.echo(f"Still to be mended: {error}")
    else:
        count = len(inventory.fleet.remotes)
        click.echo(f"It is a valid inventory with {count} remote{'' if count == 1 else 's'}.")


def show_next(directory: Path, answers: Answers) -> None:
    """The next three commands."""
    click.echo("\nNext:")
    if directory.absolute() != Path.cwd():
        click.echo(f"  cd {click.format_filename(directory)}")
    if not answers.remotes:
        click.echo("  (first add remotes to inventory/remotes.yml)")
    click.echo("  remotestatus trust               # collects the host keys and asks whether they are right")
    click.echo("  remotestatus run                 # one round; then open site/index.html")
    click.echo("  remotestatus schedule --install  # a round every so often from now on")
