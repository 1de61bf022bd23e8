"""
The content of a new inventory: proxies, remotes, and how people write addresses and names.

Pure: `remotestatus init`, the SSH configuration and the old Django app are all converted to these types.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

RESERVED = frozenset({"all", "ungrouped", "proxies", "localhost"})
"""Names that mean something else in an inventory."""

_ADDRESS = re.compile(
    r"\[(?P<ipv6>[^\]]*)\](:(?P<ipv6_port>.+))?|(?P<name>[^:]*)(:(?P<port>[^:]+))?|(?P<bare_ipv6>[^:]*:[^:]*:.*)"
)
_HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewHost:
    """
    A remote or proxy to be. `via` names the proxies passed, checker's side first; `gaps` say what is missing.

    `variables` are written as they are; an empty one is left out.
    """

    name: str
    address: str | None = None
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    password: str | None = None
    wants_password: bool = False
    via: tuple[str, ...] = ()
    variables: Mapping[str, object] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewFleet:
    """All that a new inventory says. `apprise` are destinations' URLs; `secrets` further vaulted variables."""

    proxies: tuple[NewHost, ...] = ()
    remotes: tuple[NewHost, ...] = ()
    title: str = "remotestatus"
    every: timedelta = timedelta(minutes=10)
    apprise: tuple[str, ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """An address as people write it: `user@address:port`; one part is enough."""

    user: str | None
    address: str | None
    port: int | None


def read_target(text: str) -> Target:
    """
    Read `[user@]address[:port]`, `[user@]port` or an `ssh://` address; an IPv6 address stands in brackets.

    Raises ValueError, whose text says how to write one.
    """
    cure = f"{text!r} is not an address; write for example user@proxy.example.com:22"
    user, at, rest = text.strip().removeprefix("ssh://").rstrip("/").rpartition("@")
    if (at and not user) or re.search(r"[\s\x00-\x1f]", user) or user.startswith("-"):
        raise ValueError(cure)
    if rest.isascii() and rest.isdecimal():
        return Target(user or None, None, read_port(rest))
    found = _ADDRESS.fullmatch(rest)
    address = (found["ipv6"] or found["bare_ipv6"] or found["name"] or "") if found else ""
    if not re.fullmatch(r"[^\s\x00-\x1f,;'\"\\@\[\]-][^\s\x00-\x1f,;'\"\\@\[\]]*", address):
        raise ValueError(cure)
    port = found and (found["port"] or found["ipv6_port"])
    return Target(user or None, address, read_port(port) if port else None)


def read_port(text: str) -> int:
    """A port's number. Raises ValueError, whose text says what a port is."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535 and len(text) < 6):
        raise ValueError(f"{text!r} is not a port; write a number between 1 and 65535")
    return int(text)


def name_host(wanted: str, taken: Iterable[str], otherwise: str = "") -> str:
    """
    Make an inventory host name of a name: safe, unique among `taken`, and deterministic.

    A safe name stays. Duplicates get `otherwise` (a port, a user) as suffix, or else a hash.
    """
    forbidden = {name.casefold() for name in taken} | RESERVED
    name = wanted
    if not _HOST_NAME.fullmatch(name) or name.isdecimal():
        plain = unicodedata.normalize("NFKD", wanted).encode("ascii", "ignore").decode("ascii").lower()
        name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-")
        name = "" if name.isdecimal() else name
    suffix = re.sub(r"[^a-z0-9]+", "-", otherwise.lower()).strip("-")
    digest = hashlib.sha256(wanted.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    base = name or "remote"
    tries = [name] if name else []
    tries += [f"{base}-{suffix}"] if suffix else []
    tries += [f"{base}-{digest}"]
    tries += [f"{base}-{digest}-{count}" for count in range(2, len(forbidden) + 3)]
    return next(name for name in tries if name.casefold() not in forbidden)
