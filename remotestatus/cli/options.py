"""
What several commands share: the options that say where the inventory is, and which of its remotes are meant.

`with_inventory` adds -i, --limit and the Vault options to a command and hands it an AnsibleSource as `source`.
`remote_argument` adds a remote's name, which the shell completes, and `choose` finds the names in the inventory.
"""

import functools
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from remotestatus.cli.completion import complete_names
from remotestatus.model.errors import ConfigurationError, ConfigurationProblem
from remotestatus.model.text import join_names
from remotestatus.probe import AnsibleSource, TypedPasswords, read_configuration

FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)

DEFAULT_INVENTORY = Path("inventory")
_PROMPT = "@prompt"


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def own_program() -> tuple[str, ...]:
    """The command that starts this program from any folder."""
    script = Path(sysconfig.get_path("scripts")) / "remotestatus"
    return (str(script),) if script.is_file() else (sys.executable, "-m", "remotestatus")


def with_inventory(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the inventory is; the command gets them as `source`."""

    @with_inventory_options
    @functools.wraps(command)
    def wrapped(read_source: Callable[[], AnsibleSource], **others: Any) -> Any:
        return command(source=read_source(), **others)

    return wrapped


def with_inventory_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """
    Add the same options to a command that may do without an inventory; it gets `read_source`, which reads them.

    It may ask for passwords. Raises ConfigurationError.
    """

    @functools.wraps(command)
    def wrapped(**others: Any) -> Any:
        given = {name: others.pop(name) for name in inspect.signature(_read_source).parameters}
        return command(read_source=functools.partial(_read_source, **given), **others)

    for option in reversed(_INVENTORY_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_INVENTORY_OPTIONS = (
    click.option(
        "-i",
        "--inventory",
        "paths",
        multiple=True,
        type=click.Path(path_type=Path),
        envvar="REMOTESTATUS_INVENTORY",
        help="Ansible inventory: file, folder, or `host,`; may be repeated.  [default: ansible.cfg's, else inventory]",
    ),
    click.option("-l", "--limit", metavar="PATTERN", help="Only these remotes, as an Ansible pattern."),
    click.option(
        "--vault-password-file",
        "vault_password_files",
        multiple=True,
        type=click.Path(path_type=Path),
        help="File (or program) with an Ansible Vault password.",
    ),
    click.option("--vault-id", "vault_ids", multiple=True, metavar="LABEL@SOURCE", help="Ansible Vault identity."),
    click.option("-J", "--ask-vault-pass", is_flag=True, help="Ask for the Ansible Vault password."),
)


def _read_source(
    paths: tuple[Path, ...],
    limit: str | None,
    vault_password_files: tuple[Path, ...],
    vault_ids: tuple[str, ...],
    ask_vault_pass: bool,
) -> AnsibleSource:
    for path in vault_password_files:
        if not path.exists():
            raise ConfigurationError(f"there is no Vault password file {path}; correct --vault-password-file")
    configured = read_configuration(paths[0].absolute().parent if paths else None)
    prompts = [label for label in (*vault_ids, *configured.vault_ids) if label.endswith(_PROMPT)]
    labels = list(dict.fromkeys(label.removesuffix(_PROMPT) or "default" for label in prompts))
    if ask_vault_pass or (configured.ask_vault_password and not vault_password_files):
        labels.append("default")
    vault = tuple((label, ask(f"the Vault password ({label})", "--vault-id")) for label in labels)
    return AnsibleSource(
        paths or tuple(map(Path, configured.inventory)) or (DEFAULT_INVENTORY,),
        tuple(label for label in vault_ids if not label.endswith(_PROMPT)),
        vault_password_files,
        limit,
        typed=TypedPasswords(vault=vault),
        configured_vault_ids=tuple(label for label in configured.vault_ids if not label.endswith(_PROMPT)),
    )


def ask(what: str, option: str) -> str:
    """Ask for a password. Raises ConfigurationError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"{option} (or an ansible.cfg) wants {what}, and nobody is at a terminal to type it; "
            "name a file or a vault that has it"
        )
    answer: str = click.prompt(what[0].upper() + what[1:], hide_input=True, default="", show_default=False, err=True)
    return answer


def remote_argument(
    name: str = "name", *, nargs: int = 1, required: bool = True, proxies: bool = False, metavar: str = "REMOTE"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the argument REMOTE (`nargs=-1`: any number of them) to a command; with `proxies` also names of proxies."""
    metavar = metavar if nargs == 1 else f"{metavar}..."
    return click.argument(
        name,
        nargs=nargs,
        required=required,
        metavar=metavar if required else f"[{metavar}]",
        shell_complete=functools.partial(complete_names, proxies=proxies),
    )


def choose(names: Iterable[str], nicknames: Mapping[str, str]) -> list[str]:
    """
    Resolve names or nicknames to names, each once; `nicknames` maps all names to their nicknames.

    Raises ConfigurationError for names that do not exist, with the nearest one.
    """
    by_nickname: dict[str, list[str]] = {}
    for name, nickname in nicknames.items():
        by_nickname.setdefault(nickname.casefold(), []).append(name)
    chosen, problems = [], []
    for wanted in names:
        same = by_nickname.get(wanted.casefold(), []) if wanted else []
        if wanted in nicknames:
            chosen.append(wanted)
        elif len(same) == 1:
            chosen.append(same[0])
        else:
            near = get_close_matches(wanted, nicknames, n=1)
            guess = f"did you mean {near[0]}?" if near else f"there are: {join_names(sorted(nicknames), 8)}"
            problems.append(ConfigurationProblem(wanted, f"not in the inventory; {guess}"))
    if problems:
        what = "there is no such remote" if len(problems) == 1 else f"{len(problems)} names are no remotes"
        raise ConfigurationError(what, problems)
    return list(dict.fromkeys(chosen))
