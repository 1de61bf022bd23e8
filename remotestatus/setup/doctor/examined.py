"""
Reads the inventory as far as it can be read, for all the checks that need it.

Takes where it is; what Ansible says of each host (key files, whether there is a password) is kept beside the validated
inventory. A wrong value is a Result, and the examination goes on with its default.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from remotestatus_playbook.protocol import HostDescription

from remotestatus.inventory import read_leniently
from remotestatus.model.errors import ConfigurationError
from remotestatus.model.fleet import Inventory
from remotestatus.model.text import count
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.setup.doctor.result import Result, fine, wrong


@dataclass
class Examined:
    """The inventory and what is known of its hosts; `inventory` is None when it could not be read at all."""

    source: AnsibleSource
    playbooks: PlaybookRunner
    inventory: Inventory | None = None
    hosts: Mapping[str, HostDescription] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def by_ssh(self) -> list[str]:
        """The hosts that are reached by SSH, as far as the limit leaves them."""
        assert self.inventory is not None
        return [
            name for name, host in self.hosts.items() if host.connection == "ssh" and name in self.inventory.limited_to
        ]


def check_inventory(examined: Examined) -> Iterator[Result]:
    """Read the inventory, keep it in `examined`, and yield everything that is wrong with it."""
    try:
        described = examined.playbooks.describe_inventory()
        inventory, problems = read_leniently(described)
    except ConfigurationError as error:
        examined.problems += [str(problem) for problem in error.problems] or [error.summary]
        for text in examined.problems:
            yield wrong(text)
        return
    examined.inventory = inventory
    examined.hosts = described.hosts
    examined.problems += [str(problem) for problem in problems]
    for text in examined.problems:
        yield wrong(text)
    for name, problem in inventory.problems.items():
        yield wrong(f"{name} cannot be checked: {problem}", "correct the variable; all other hosts are checked")
    if not problems:
        proxies = len(inventory.fleet.proxies)
        counted = f"{count(len(inventory.fleet.remotes), 'remote')}, {proxies} prox{'y' if proxies == 1 else 'ies'}"
        yield fine(f"the inventory {examined.source} is valid: {counted}")
