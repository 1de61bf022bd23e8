"""
What is checked and how it is reached: Remote, Proxy, and the Fleet that holds them.

A Remote's `path` lists the proxies from the checker's side, so the last one is the proxy at which its tunnel ends.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from remotestatus_playbook.protocol import Proxy, SshAccess

from remotestatus.model.inventory_variables import FleetSettings, PageSpec, RemoteSettings, WorkerSpec
from remotestatus.model.states import Kind, Subject

__all__ = ["Fleet", "Inventory", "Proxy", "Remote", "SshAccess", "Worker"]


@dataclass(frozen=True, slots=True)
class Remote:
    """
    A host that is checked. `path` holds its proxies' names, checker's side first; empty when reached directly.

    `program` is the name of the program that leads to it (its ProxyCommand), if that is no `ssh`.
    """

    name: str
    groups: tuple[str, ...]
    settings: RemoteSettings
    connection: str = "ssh"
    address: str = ""
    port: int | None = None
    user: str | None = None
    path: tuple[str, ...] = ()
    become_method: str = ""
    """The become plugin; empty without become."""
    become_user: str = ""
    program: str = ""

    @property
    def proxy(self) -> str | None:
        """The proxy that its tunnel ends at, or None when it is reached directly."""
        return self.path[-1] if self.path else None

    @property
    def title(self) -> str:
        """What people call it: the nickname, else the inventory name."""
        return self.settings.nickname or self.name


@dataclass(frozen=True, slots=True)
class Worker:
    """Another machine that probes for the checker. `only` has the names of the remotes that it alone probes."""

    name: str
    settings: WorkerSpec
    only: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LimitedPage:
    """A further page of the round. `names` has the remotes that it shows."""

    spec: PageSpec
    names: frozenset[str]


@dataclass(frozen=True)  # without slots: cached_property needs a __dict__
class Fleet:
    """All remotes and proxies of one inventory, with the settings that hold for all of them."""

    remotes: tuple[Remote, ...]
    proxies: tuple[Proxy, ...]
    settings: FleetSettings
    workers: tuple[Worker, ...] = ()
    pages: tuple[LimitedPage, ...] = ()
    looked_at: tuple[Remote, ...] = ()
    """The proxies that are probed like remotes, as Remotes."""

    @cached_property
    def looked_at_by_name(self) -> Mapping[str, Remote]:
        """Each proxy that is probed like a remote, by its name."""
        return {proxy.name: proxy for proxy in self.looked_at}

    @cached_property
    def remotes_by_name(self) -> Mapping[str, Remote]:
        """Each remote by its name."""
        return {remote.name: remote for remote in self.remotes}

    @cached_property
    def proxies_by_name(self) -> Mapping[str, Proxy]:
        """Each proxy by its name; of several paths to it, the last."""
        return {proxy.name: proxy for proxy in self.proxies}

    @cached_property
    def _remotes_by_proxy(self) -> Mapping[str, tuple[Remote, ...]]:
        found: dict[str, list[Remote]] = {}
        for remote in self.remotes:
            for proxy in set(remote.path):
                found.setdefault(proxy, []).append(remote)
        return {proxy: tuple(remotes) for proxy, remotes in found.items()}

    @cached_property
    def remotes_by_port(self) -> Mapping[tuple[str | None, int | None], tuple[Remote, ...]]:
        """The remotes behind each proxy and remote port: one, unless two were given the same."""
        found: dict[tuple[str | None, int | None], list[Remote]] = {}
        for remote in self.remotes:
            found.setdefault((remote.proxy, remote.port), []).append(remote)
        return {place: tuple(remotes) for place, remotes in found.items()}

    @cached_property
    def remotes_by_group(self) -> Mapping[str, frozenset[str]]:
        """The names of each group's remotes."""
        found: dict[str, set[str]] = {}
        for remote in self.remotes:
            for group in remote.groups:
                found.setdefault(group, set()).add(remote.name)
        return {group: frozenset(names) for group, names in found.items()}

    def subjects(self, names: Collection[str] | None = None) -> tuple[Subject, ...]:
        """All proxies and remotes; with `names`, those remotes and the proxies on their way."""
        remotes = [remote for remote in self.remotes if names is None or remote.name in names]
        passed = None if names is None else {proxy for remote in remotes for proxy in remote.path}
        proxies = (one.name for one in self.proxies if passed is None or one.name in passed)
        return (*((Kind.PROXY, name) for name in proxies), *((Kind.REMOTE, remote.name) for remote in remotes))

    def all_subjects(self) -> tuple[Subject, ...]:
        """All proxies, remotes and workers."""
        return (*self.subjects(), *((Kind.WORKER, worker.name) for worker in self.workers))

    def within(self, names: Collection[str]) -> "Fleet":
        """What a limit leaves: the remotes of these names, the proxies that are named or on their way, all workers."""
        remotes = tuple(remote for remote in self.remotes if remote.name in names)
        if len(remotes) == len(self.remotes):
            return self
        left = {*names, *(proxy for remote in remotes for proxy in remote.path)}
        return replace(
            self,
            remotes=remotes,
            proxies=tuple(proxy for proxy in self.proxies if proxy.name in left),
            looked_at=tuple(proxy for proxy in self.looked_at if proxy.name in left),
        )

    def behind(self, proxy: str) -> tuple[Remote, ...]:
        """The remotes that are reached through this proxy."""
        return self._remotes_by_proxy.get(proxy, ())

    def only_from(self, worker: str) -> tuple[Remote, ...]:
        """The remotes that only this worker may probe."""
        names = next((one.only for one in self.workers if one.name == worker), frozenset())
        return tuple(remote for remote in self.remotes if remote.name in names)

    def hops(self, path: Sequence[str]) -> tuple[Proxy, ...]:
        """The proxies of a path; one name may be on several paths."""
        return tuple(
            next(proxy for proxy in self.proxies if (*proxy.path, proxy.name) == tuple(path[: number + 1]))
            for number in range(len(path))
        )


@dataclass(frozen=True, slots=True)
class Inventory:
    """The fleet, the base of relative paths, and the names that the limit selects (all without one)."""

    fleet: Fleet
    base: Path
    limited_to: frozenset[str]
    ssh: SshAccess = field(default_factory=SshAccess)
    passwords: frozenset[str] = frozenset()
    """The names of the hosts that have a password, never the passwords."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Problems with the variables of single hosts, by name; each affects only its host."""

    @property
    def site(self) -> Path:
        """The folder that the page is written to."""
        return self.resolve(self.fleet.settings.site)

    @property
    def database(self) -> Path:
        """The file that keeps the history."""
        return self.resolve(self.fleet.settings.database)

    @property
    def known_hosts(self) -> Path:
        """The file of trusted host keys."""
        return self.resolve(self.fleet.settings.known_hosts)

    def resolve(self, path: str) -> Path:
        """Make a path of the inventory absolute: relative ones start at the folder that holds the inventory."""
        return self.base / Path(path).expanduser()
