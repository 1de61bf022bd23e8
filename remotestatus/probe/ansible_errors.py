"""
Parses Ansible's errors about an inventory.

It returns a ConfigurationProblem for each problem, or a fault of the checker itself. Ansible quotes the lines around a
mistake, which may hold a password, so only its message and the location are used.
"""

import errno
import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from remotestatus.model.errors import ConfigurationProblem, with_vault_cure
from remotestatus.model.untrusted_text import one_line

NO_FILES = (errno.EMFILE, errno.ENFILE)
_NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS)

_OS_ERROR = re.compile(r"\[Errno (\d{1,4})\](?:[^'\n]{0,100}: '([^'\n]{1,4096})')?")

_FATAL_WARNINGS = re.compile(r"skipping unexpected key|skipping key|not a valid group|invalid section", re.IGNORECASE)
_ONE_PLUGIN = re.compile(r"Failed to parse inventory with '(?P<plugin>\w+)' plugin: (?P<why>.*)", re.DOTALL)
_FOR_ANOTHER = re.compile(r"no root 'plugin' key|^Plugin configuration YAML file")
"""Complaints of `auto` and `yaml` about other files."""

_TASK_FAILED = re.compile(r'fatal: \[([^\]]+)\]: [A-Z]+! => \{.*"msg": "((?:[^"\\]|\\.)*)"', re.DOTALL)
_WHOLE_SOURCE = re.compile(r"Completely failed to parse inventory source (?P<source>\S+)")


def find_ansible_errors(output: str) -> list[ConfigurationProblem]:
    """
    What Ansible says is wrong, a ConfigurationProblem each.

    Ansible tries several plugins on each file, and each complains: the plugin of the file's suffix counts.
    """
    problems: list[ConfigurationProblem] = []
    complaints: list[tuple[str, str, str]] = []
    for block in re.split(r"(?=\[(?:ERROR|WARNING)\]:|ERROR!|fatal: )", output):
        if not block.startswith(("[ERROR]", "[WARNING]", "ERROR!", "fatal: ")):
            continue
        origin = re.search(r"^Origin: (.*)$", block, re.MULTILINE)
        where = origin[1].strip() if origin else "Ansible"
        sentence = re.sub(
            r"^(\[(ERROR|WARNING)\]:|ERROR!)\s*", "", re.split(r"\n\n|\nOrigin:|\n(?:PLAY|TASK) ", block)[0]
        )
        if told := _TASK_FAILED.match(sentence):
            where, sentence = told[1], json.loads(f'"{told[2]}"', strict=False)
        if by_plugin := _ONE_PLUGIN.match(sentence):
            complaints.append((by_plugin["plugin"], where, one_line(by_plugin["why"], 400)))
        elif whole := _WHOLE_SOURCE.search(sentence):
            problems.append(_best_complaint(whole["source"], complaints))
        elif block.startswith("[ERROR]") or _FATAL_WARNINGS.search(sentence) or block.startswith(("ERROR!", "fatal")):
            problems.append(ConfigurationProblem(where, with_vault_cure(one_line(sentence, 400))))
    return list(dict.fromkeys(problem for problem in problems if problem.what))


def find_own_fault(said: str, workdir: Path) -> int | None:
    """
    Return the errno of an error about our own directory (`workdir`), not the inventory or a remote.

    A read error or too many open files may be the inventory's, if one of its files is named.
    """
    for found in _OS_ERROR.finditer(said):
        code, path = int(found[1]), found[2]
        is_ours = path is None or Path(path).is_relative_to(workdir)
        if code in _NO_ROOM or (code in (errno.EIO, *NO_FILES) and is_ours):
            return code
    return None


def is_task_lost(said: str) -> bool:
    """
    Whether Ansible has dropped the playbook's first task, so that the next one misses its result.

    It does so without a word when the system refuses it a file or a process (`StrategyBase._queue_task`).
    """
    return "'remotestatus_round' is undefined" in said


def last_words(output: str) -> str:
    """The last lines that Ansible printed, without the headings of plays and tasks."""
    lines = [line.strip() for line in output.splitlines() if not _HEADING.match(line.strip())]
    return one_line(" ".join(lines)[-600:], 400)


_HEADING = re.compile(r"$|(PLAY|TASK|RUNNING HANDLER)\b.*\*{3}|(ok|changed|skipping|included): \[")


def _best_complaint(source: str, complaints: Sequence[tuple[str, str, str]]) -> ConfigurationProblem:
    """Of the complaints of several plugins about one file, that of the plugin of its suffix."""
    about = [(plugin, where, why) for plugin, where, why in complaints if source in where]
    wanted: tuple[str, ...]
    if source.endswith((".yml", ".yaml", ".json")):
        wanted = ("auto", "yaml", "remotestatus_yaml")
    elif os.access(source, os.X_OK):
        wanted = ("script",)
    else:
        wanted = ("ini",)
    about.sort(
        key=lambda one: (
            one[0] not in wanted,
            bool(_FOR_ANOTHER.search(one[2])),
            not re.search(r":\d+(:\d+)?$", one[1]),
        )
    )
    if not about:
        return ConfigurationProblem(source, "Ansible could not read it as an inventory")
    plugin, where, why = about[0]
    if plugin == "script":
        # Its output may quote passwords.
        why = f"{why.rstrip('.')}; `ansible-inventory -i {shlex.quote(source)} --list` shows its own words"
    return ConfigurationProblem(where if where.startswith(source) else source, with_vault_cure(why))
