"""
What is checked and how it is reached: Remote, Proxy, and the Fleet that holds them.

Comes from the inventory reader and goes to every later stage. A Remote's path is the proxies in the order they are
passed, so the last one is the proxy that its tunnel ends at.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from remotestatus.settings import FleetSettings, RemoteSettings


@dataclass(frozen=True, slots=True)
class Proxy:
    """An SSH jump host. `path` holds the proxies passed before it; `alias` is its name for `ssh`."""

    name: str
    alias: str
    address: str
    port: int | None
    user: str | None
    path: tuple[str, ...] = ()
    in_inventory: bool = True


@dataclass(frozen=True, slots=True)
class Remote:
    """A host that is checked. `path` holds its proxies' names, checker's side first; empty when reached directly."""

    name: str
    groups: tuple[str, ...]
    settings: RemoteSettings
    connection: str = "ssh"
    address: str = ""
    port: int | None = None
    user: str | None = None
    path: tuple[str, ...] = ()

    @property
    def proxy(self) -> str | None:
        """The proxy that its tunnel ends at, or None when it is reached directly."""
        return self.path[-1] if self.path else None

    @property
    def title(self) -> str:
        """What people call it: the nickname, else the inventory name."""
        return self.settings.nickname or self.name


@dataclass(frozen=True, slots=True)
class Fleet:
    """All remotes and proxies of one inventory, with the settings that hold for all of them."""

    remotes: tuple[Remote, ...]
    proxies: tuple[Proxy, ...]
    settings: FleetSettings

    def behind(self, proxy: str) -> tuple[Remote, ...]:
        """The remotes that pass this proxy on their way."""
        return tuple(remote for remote in self.remotes if proxy in remote.path)

    def hops(self, path: Sequence[str]) -> tuple[Proxy, ...]:
        """The proxies of a Remote's or Proxy's path; the same name may stand on several ways."""
        return tuple(
            next(proxy for proxy in self.proxies if (*proxy.path, proxy.name) == tuple(path[: number + 1]))
            for number in range(len(path))
        )
