"""
The input and the results of the doctor's checks.

The inventory is read as far as possible, with Ansible's description of each host (key files, whether it has a
password). A wrong value gives a Result, and the checks go on with its default.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TypeVar

from remotestatus_playbook.protocol import HostDescription

from remotestatus.history import History
from remotestatus.inventory import read_leniently
from remotestatus.model.check_result import Trouble
from remotestatus.model.errors import ConfigurationError, RoundError
from remotestatus.model.fleet import Inventory
from remotestatus.model.text import count
from remotestatus.probe import AnsibleSource, PlaybookRunner

T = TypeVar("T")


class Mark(StrEnum):
    """The outcome of a check. Only `wrong` needs a fix; warnings may be intended."""

    FINE = "fine"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check, and its fix."""

    mark: Mark
    finding: str
    remedy: str = ""


fine = partial(Result, Mark.FINE)
warning = partial(Result, Mark.WARNING)
wrong = partial(Result, Mark.WRONG)
skipped = partial(Result, Mark.SKIPPED)


def say_trouble(trouble: Trouble) -> str:
    """Its message, with its detail."""
    return f"{trouble.message} ({trouble.detail})" if trouble.detail else trouble.message


@dataclass
class Examined:
    """The input of all checks: the inventory, once it `is_read`, and its hosts."""

    source: AnsibleSource
    playbooks: PlaybookRunner
    now: datetime
    offline: bool
    inventory: Inventory = field(init=False)
    is_read: bool = False
    hosts: Mapping[str, HostDescription] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def by_ssh(self) -> list[str]:
        """The hosts that are reached by SSH, as far as the limit leaves them."""
        limited_to = self.inventory.limited_to
        return [name for name, host in self.hosts.items() if host.connection == "ssh" and name in limited_to]

    def ask_history(self, read: Callable[[History], T]) -> T | None:
        """Read the history; None if it is damaged, which `check_database` reports."""
        if not self.inventory.database.exists():
            return None
        try:
            with History.open(self.inventory.database, read_only=True) as history:
                return read(history)
        except RoundError:
            return None


def check_inventory(examined: Examined) -> Iterator[Result]:
    """Read the inventory into `examined`, and yield all its problems."""
    try:
        described = examined.playbooks.describe_inventory()
        inventory, problems = read_leniently(described)
    except ConfigurationError as error:
        examined.problems += [str(problem) for problem in error.problems] or [error.summary]
        yield from map(wrong, examined.problems)
        return
    examined.inventory, examined.hosts, examined.is_read = inventory, described.hosts, True
    examined.problems += [str(problem) for problem in problems]
    yield from map(wrong, examined.problems)
    for name, problem in inventory.problems.items():
        yield wrong(f"{name} cannot be checked: {problem}", "correct the variable; all other hosts are checked")
    if not problems:
        proxies = len(inventory.fleet.proxies)
        counted = f"{count(len(inventory.fleet.remotes), 'remote')}, {proxies} prox{'y' if proxies == 1 else 'ies'}"
        yield fine(f"the inventory {examined.source} is valid: {counted}")
