"""
Makes a Fleet of the inventory, and validates all `remotestatus_` variables in it.

It raises one ConfigurationError with all problems, and connects to nothing. Ansible itself evaluated the variables, so
groups, group_vars, Vault, dynamic inventories and templates mean what they mean in any play.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from remotestatus_playbook.protocol import PREFIX, PROXIES, HostDescription, InventoryDescription

from remotestatus.evaluate import problem_of_window
from remotestatus.inventory.host_pattern import match_hosts
from remotestatus.inventory.json_schema import nearest
from remotestatus.inventory.validation_messages import say_errors
from remotestatus.model.errors import ConfigurationError, ConfigurationProblem, with_vault_cure
from remotestatus.model.fleet import Fleet, Inventory, LimitedPage, Remote, Worker
from remotestatus.model.inventory_variables import (
    FleetSettings,
    RemoteSettings,
    fleet_names,
    remote_names,
)

OF_THE_PLAYBOOK = frozenset({"argv"})
"""Variables that only check.yml reads."""

Settings = TypeVar("Settings", bound=BaseModel)


def read_inventory(described: InventoryDescription) -> Inventory:
    """
    Read and validate the inventory, as `PlaybookRunner.describe_inventory` gives it.

    Raises ConfigurationError with all problems at once: no remotes, unknown or wrong variables, missing files.
    """
    inventory, problems = read_leniently(described)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigurationError(f"the inventory {described.source} has {count}", problems)
    return inventory


def read_leniently(described: InventoryDescription) -> tuple[Inventory, tuple[ConfigurationProblem, ...]]:
    """
    Read the inventory and return it with its problems, with defaults for wrong values.

    For the doctor, which then examines more. Raises ConfigurationError if no inventory can be made.
    """
    hosts = described.hosts
    problems = _Problems(hosts)
    remotes, looked_at = [], []
    proxies = {proxy.name for proxy in described.proxies if proxy.in_inventory}
    for name, host in hosts.items():
        settings = _remote_settings(name, host, described.limited_to, problems)
        if PROXIES not in host.groups:
            remotes.append(_remote(name, host, settings or RemoteSettings()))
        elif settings and settings.look_at_proxies and name in proxies:
            looked_at.append(_remote(name, host, settings))
    fleet_settings = _fleet_settings(hosts, problems)
    base = Path(described.base)
    workers = tuple(_workers(hosts, fleet_settings, problems))
    pages = tuple(_pages(hosts, fleet_settings, base, problems))
    if not remotes and not problems:
        raise ConfigurationError(
            f"the inventory {described.source} has no remotes: every host of it is in the group `{PROXIES}`, or "
            "there is none; add a host outside that group"
        )
    inventory = Inventory(
        fleet=Fleet(tuple(remotes), described.proxies, fleet_settings, workers, pages, tuple(looked_at)),
        base=base,
        limited_to=frozenset(described.limited_to),
        ssh=described.ssh,
        passwords=frozenset(name for name, host in hosts.items() if host.password),
        problems={
            name: "; ".join(": ".join(one) for one in host.problems) for name, host in hosts.items() if host.problems
        },
    )
    return inventory, tuple(problems)


class _Problems:
    """Collects problems; one that all hosts of a group have is reported once, for the group."""

    def __init__(self, hosts: Mapping[str, HostDescription]) -> None:
        self.hosts = hosts
        self.found: dict[tuple[str, str], list[str]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, host: str, variable: str, message: str) -> None:
        self.found[variable, message].append(host)

    def __iter__(self) -> Iterator[ConfigurationProblem]:
        for (variable, message), hosts in self.found.items():
            for where in self._owners(hosts):
                yield ConfigurationProblem(where, f"{variable}: {message}")

    def _owners(self, hosts: Sequence[str]) -> list[str]:
        affected = set(hosts)
        if affected == set(self.hosts) or "" in affected:
            return ["all"]
        members: dict[str, set[str]] = defaultdict(set)
        for name, host in self.hosts.items():
            for group in host.groups:
                members[group].add(name)
        groups = []
        for group, names in sorted(members.items(), key=lambda item: -len(item[1])):
            if len(names) > 1 and names <= affected:
                groups.append(group)
                affected -= names
        return [*sorted(groups), *(self._owner(name) for name in hosts if name in affected)]

    def _owner(self, host: str) -> str:
        groups = [group for group in self.hosts[host].groups if group != "ungrouped"]
        return f"{groups[0]}/{host}" if groups else host


def _remote_settings(
    name: str, host: HostDescription, limited_to: Collection[str], problems: _Problems
) -> RemoteSettings | None:
    """The settings of one host; None if a value is wrong."""
    _check_problems(name, host, limited_to, problems)
    _check_variables(name, host, problems)
    settings = _validate(RemoteSettings, _ours(host, remote_names()), name, problems)
    for window in settings.maintenance if settings else ():
        if what := problem_of_window(window):
            problems.add(name, f"{PREFIX}maintenance", what)
    return settings


def _check_problems(name: str, host: HostDescription, limited_to: Collection[str], problems: _Problems) -> None:
    """
    A wrong variable affects only its host: the playbook reports it in its answer. A wrong Vault password affects all.
    """
    for variable, message in host.problems:
        cured = with_vault_cure(message)
        if cured != message and name in limited_to:
            problems.add(name, variable, cured)


def _check_variables(name: str, host: HostDescription, problems: _Problems) -> None:
    known = {*remote_names(), *fleet_names(), *OF_THE_PLAYBOOK}
    for variable in (*host.variables, *(one for one, _ in host.problems if one.startswith(PREFIX))):
        if variable.removeprefix(PREFIX) not in known:
            guess = nearest(variable)
            problems.add(name, variable, f"no such variable{f'; did you mean {guess}?' if guess else ''}")


def _ours(host: HostDescription, names: Iterable[str]) -> dict[str, object]:
    return {name: host.variables[PREFIX + name] for name in names if PREFIX + name in host.variables}


def _validate(model: type[Settings], values: Mapping[str, object], host: str, problems: _Problems) -> Settings | None:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        for variable, message in say_errors(error, model):
            problems.add(host, variable, message)
        return None


def _fleet_settings(hosts: Mapping[str, HostDescription], problems: _Problems) -> FleetSettings:
    values: dict[str, object] = {}
    for name in fleet_names():
        variable = PREFIX + name
        seen: dict[str, list[str]] = defaultdict(list)
        for host, entry in hosts.items():
            if variable in entry.variables:
                seen[json.dumps(entry.variables[variable], sort_keys=True)].append(host)
        if len(seen) > 1:
            rarest = min(seen.values(), key=len)
            problems.add(rarest[0], variable, "holds for the whole inventory; set it in group_vars/all only")
        elif seen:
            values[name] = json.loads(next(iter(seen)))
        else:
            # No host has a value, so each host's problem is reported.
            for host, entry in hosts.items():
                for message in (what for one, what in entry.problems if one == variable):
                    problems.add(host, variable, with_vault_cure(message))
    settings = _validate(FleetSettings, values, "", problems)
    while settings is None:
        # Only the wrong values are replaced by defaults.
        try:
            settings = FleetSettings.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False, include_context=False):
                values.pop(str(detail["loc"][0]), None)
    return settings


def _remote(name: str, host: HostDescription, settings: RemoteSettings) -> Remote:
    return Remote(
        name=name,
        groups=tuple(group for group in host.groups if group != "ungrouped"),
        settings=settings,
        connection=host.connection,
        become_method=host.become_method,
        become_user=host.become_user,
        address=host.address or name,
        port=host.port,
        user=host.user,
        path=host.path,
        program=host.program,
    )


def _workers(hosts: Mapping[str, HostDescription], settings: FleetSettings, problems: _Problems) -> Iterator[Worker]:
    """The workers, with the names that their patterns mean."""
    remotes = {name: host.groups for name, host in hosts.items() if PROXIES not in host.groups}
    for worker in settings.workers:
        where = f"{PREFIX}workers"
        if worker.command is None and worker.name not in hosts:
            problems.add("", where, f"{worker.name!r} is no host of the inventory; add it, or say its `command`")
        elif worker.command is None and hosts[worker.name].connection != "ssh":
            problems.add("", where, f"{worker.name!r} is not reached by SSH; say its `command`")
        try:
            only = match_hosts(worker.only, remotes) if worker.only else frozenset()
        except ValueError as error:
            problems.add("", where, f"only of {worker.name!r}: {error}")
            continue
        if worker.only and not only:
            problems.add("", where, f"only of {worker.name!r}: {worker.only!r} matches no remote")
        if other := sorted(name for name in only if hosts[name].connection != "ssh"):
            problems.add("", where, f"only of {worker.name!r}: {other[0]} is not reached by SSH, which a worker needs")
        if secret := sorted(name for name in only if hosts[name].password and not worker.secrets):
            problems.add("", where, f"{secret[0]} has a password, which {worker.name!r} needs `secrets: true` for")
        yield Worker(worker.name, worker, only)


def _pages(
    hosts: Mapping[str, HostDescription], settings: FleetSettings, base: Path, problems: _Problems
) -> Iterator[LimitedPage]:
    """The further pages, with the names that their limits mean."""
    remotes = {name: host.groups for name, host in hosts.items() if PROXIES not in host.groups}
    for page in settings.pages:
        try:
            names = match_hosts(page.limit, remotes) if page.limit else frozenset(remotes)
        except ValueError as error:
            problems.add("", f"{PREFIX}pages", f"limit of {page.site!r}: {error}")
            continue
        if not names:
            problems.add("", f"{PREFIX}pages", f"limit of {page.site!r}: {page.limit!r} matches no remote")
        if page.templates and not (base / Path(page.templates).expanduser()).is_dir():
            problems.add("", f"{PREFIX}pages", f"templates of {page.site!r}: there is no folder {page.templates!r}")
        yield LimitedPage(page, names)
