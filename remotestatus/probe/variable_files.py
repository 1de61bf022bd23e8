"""
Finds the file and line of an error in an inventory, which Ansible does not print.

Only path, line and column are quoted, never content, which may be a password.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from remotestatus.model.errors import ConfigurationProblem
from remotestatus.model.text import join_names

_LARGEST = 1_000_000
_VARIABLES = ("group_vars", "host_vars")
_NO_SCRIPTS = (".yml", ".yaml", ".json", ".ini", ".toml", ".txt", ".md", ".rst", ".cfg", ".retry", ".bak", ".orig", "~")
_SHOWN = 3


def locate(problems: Sequence[ConfigurationProblem], sources: Sequence[Path]) -> list[ConfigurationProblem]:
    """
    Add the file to each problem that has none, if it can be found.

    For a script that cannot run, only that is reported, not Ansible's errors about its text.
    """
    lame = find_lame_scripts(sources)
    found = [_locate(problem, sources) if not problem.where.startswith("/") else problem for problem in problems]
    return [*(one for one in found if not any(one.where.startswith(script.where) for script in lame)), *lame]


def _locate(problem: ConfigurationProblem, sources: Sequence[Path]) -> ConfigurationProblem:
    lowered = problem.what.lower()
    if "yaml" in lowered:
        texts = ((path, _text_of(path)) for path in _variable_files(sources))
        found = next(((path, place) for path, text in texts if (place := _place_of_mistake(text))), None)
        if found:
            return ConfigurationProblem(f"{found[0]}:{found[1]}", problem.what)
    if "vault" in lowered or "decryption failed" in lowered:
        vaulted = [str(path) for path in _variable_files(sources) if _text_of(path).startswith("$ANSIBLE_VAULT;")]
        if vaulted:
            return ConfigurationProblem(join_names(vaulted, _SHOWN), problem.what)
    if named := re.search(r"'(/[^']+\.(?:ya?ml|json))'", problem.what):
        return ConfigurationProblem(named[1], problem.what)
    return problem


def _place_of_mistake(text: str) -> str:
    """Line and column, counted from one, or the line alone; empty when there is no mistake, or the text is vaulted."""
    if text.startswith("$ANSIBLE_VAULT;"):
        return ""
    import yaml  # imported only after an error

    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return f"{mark.line + 1}:{mark.column + 1}" if mark else "1"
    except (yaml.YAMLError, RecursionError):
        return "1"
    with suppress(RecursionError):
        return next(_odd_keys(node), "")
    return ""


def _odd_keys(node: Any) -> Iterator[str]:
    """The position of a duplicate key, or of an unquoted template, which YAML reads as a mapping."""
    seen = set()
    for item in node.value if node is not None and not isinstance(node.value, str) else ():
        key, value = item if isinstance(item, tuple) else (None, item)
        if key is not None and (not isinstance(key.value, str) or key.value in seen):
            yield f"{key.start_mark.line + 1}:{key.start_mark.column + 1}"
        elif key is not None:
            seen.add(key.value)
        yield from _odd_keys(value)


def find_lame_scripts(sources: Iterable[Path]) -> list[ConfigurationProblem]:
    """Inventory scripts that cannot be run: Ansible takes them for lists of hosts."""
    problems = []
    for path in _source_files(sources):
        first = _first_line(path)
        if not first.startswith("#!") or path.name.endswith(_NO_SCRIPTS):
            continue
        words = first[2:].split()
        program = words[1] if len(words) > 1 and Path(words[0]).name == "env" else next(iter(words), "")
        if not os.access(path, os.X_OK):
            problems.append(ConfigurationProblem(str(path), f"this script is not executable; chmod +x {path}"))
        elif program and not program.startswith("-") and shutil.which(program) is None:
            what = f"this script needs {program}, which is not on this machine; correct its first line or install it"
            problems.append(ConfigurationProblem(str(path), what))
    return problems


def _source_files(sources: Iterable[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_file():
            yield source.absolute()
        for place, inner, names in os.walk(source):
            inner[:] = sorted(name for name in inner if name not in _VARIABLES and not name.startswith("."))
            yield from (Path(place).absolute() / name for name in sorted(names) if not name.startswith("."))


def _variable_files(sources: Iterable[Path]) -> Iterator[Path]:
    """The files of group_vars and host_vars beside the sources."""
    folders = dict.fromkeys((source if source.is_dir() else source.parent).absolute() for source in sources)
    for folder in folders:
        for name in _VARIABLES:
            for place, inner, names in os.walk(folder / name):
                inner[:] = sorted(one for one in inner if not one.startswith("."))
                yield from (Path(place) / one for one in sorted(names) if one.endswith((".yml", ".yaml", ".json")))
                yield from (Path(place) / one for one in sorted(names) if "." not in one)


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace") if path.stat().st_size <= _LARGEST else ""
    except OSError:
        return ""


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.readline(300).decode("utf-8", "replace").strip()
    except OSError:
        return ""
