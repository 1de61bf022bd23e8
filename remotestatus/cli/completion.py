"""
Completes names of remotes and proxies in the shell, from the history, because asking Ansible would take seconds.

A missing or broken history gives no names.
"""

import re
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from remotestatus.model.errors import RemotestatusError

_DATABASE = re.compile(r"""^\s*remotestatus_database\s*[:=]\s*["']?([^"'#\s{}]+)""", re.MULTILINE)
_INVENTORY_FILES = ("group_vars/all*", "group_vars/all/*", "*.yml", "*.yaml", "*.ini", "hosts")
_LARGEST_FILE = 200_000


def complete_names(
    context: click.Context, parameter: click.Parameter, incomplete: str, *, proxies: bool
) -> list[CompletionItem]:
    """Names that begin with `incomplete` and are not given yet; of proxies only with `proxies`."""
    given = context.params.get(parameter.name or "") or ()
    already = set(given) if isinstance(given, tuple) else set()
    paths = [Path(path) for path in context.params.get("paths") or ("inventory",)]
    names = _names_in(_guess_database(paths), proxies=proxies)
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and name not in already]


def _guess_database(paths: list[Path]) -> Path:
    """Where the history most likely is: the path found by searching the inventory's files, or the default beside it."""
    base = paths[0].absolute().parent
    for path in paths:
        folder = path if path.is_dir() else path.parent
        for file in [path, *(found for pattern in _INVENTORY_FILES for found in sorted(folder.glob(pattern)))]:
            try:
                if (
                    file.is_file()
                    and file.stat().st_size < _LARGEST_FILE
                    and (setting := _DATABASE.search(file.read_text()))
                ):
                    return base / Path(setting[1]).expanduser()
            except (OSError, ValueError):
                continue
    return base / "history.sqlite3"


def _names_in(database: Path, *, proxies: bool) -> list[str]:
    from remotestatus.history import History
    from remotestatus.model.states import Kind

    if not database.is_file():
        return []
    try:
        with History.open(database, read_only=True) as history:
            return sorted(name for kind, name in history.states() if proxies or kind is Kind.REMOTE)
    except (RemotestatusError, OSError):
        return []
