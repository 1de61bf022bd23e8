"""
Makes a new fleet of the hosts in an SSH configuration: a `Host` with a `ProxyJump` is a remote, its jumps are proxies.

`ssh -G` evaluates an entry; only the names are read here, from the file and its includes.
"""

import glob
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from remotestatus.model.errors import ConfigurationError
from remotestatus.setup.new_fleet import NewFleet, NewHost, name_host, read_port, read_target


def read_ssh_configuration(given: Path | None, only: tuple[str, ...]) -> tuple[NewFleet, tuple[str, ...]]:
    """
    The fleet in an SSH configuration (the user's own, unless given), and sentences on what was left out.

    Raises ConfigurationError when it can't be read, or has no host that is wanted (`only`: patterns of names).
    """
    path = given or Path("~/.ssh/config").expanduser()
    notes: list[str] = []
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read ({error.strerror}); name another with --ssh-config") from None
    names = [name for name in list_ssh_hosts(path, notes) if not name.startswith("-")]
    entries: dict[str, Mapping[str, str]] = {name: _ask_ssh(path, name) for name in names}
    for hop in {hop for entry in entries.values() for hop in _hops(entry)} - entries.keys():
        if not re.search("^-|[@:]|^$", hop):
            entries[hop] = _ask_ssh(path, hop)
    chosen = [name for name in names if any(fnmatchcase(name, one) for one in only)] if only else None
    default = _ask_ssh(Path(os.devnull), "remotestatus.invalid").get("identityfile")
    proxies, remotes, left_out = fleet_from_ssh(entries, default, chosen)
    if not remotes:
        what = "that matches --only" if only else "with a ProxyJump; choose others with --only 'PATTERN'"
        raise ConfigurationError(f"{path} has no host {what}")
    return NewFleet(proxies, remotes), (*notes, *left_out)


def _ask_ssh(path: Path, name: str) -> dict[str, str]:
    """What `ssh -G` says about one host: the first value of each keyword, in lower case."""
    try:
        done = subprocess.run(
            ["ssh", "-G", "-F", str(path), "--", name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise ConfigurationError("`ssh` could not be asked; install the OpenSSH client") from None
    if done.returncode != 0:
        raise ConfigurationError(f"ssh can't read its configuration for {name}: {done.stderr.strip()[:300]}")
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), value.strip())
    return found


def list_ssh_hosts(path: Path, notes: list[str], depth: int = 0) -> tuple[str, ...]:
    """
    The names of the `Host` entries of an `ssh_config` file and its includes, in order, without patterns.

    Includes are followed 16 levels deep, as in ssh_config(5); an unreadable file is a sentence in `notes`.
    """
    names: list[str] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        notes.append(f"{path} can't be read ({error.strerror}); its hosts are left out")
        return ()
    for line in text.splitlines():
        words = re.findall(r'"([^"]*)"|([^\s="]+)', line.strip())
        keyword, *arguments = [quoted or plain for quoted, plain in words] or [""]
        if keyword.lower() == "host":
            names += [name for name in arguments if not re.search(r"[*?!]", name)]
        elif keyword.lower() == "include" and depth < 16:
            for argument in arguments:
                # Relative ones lie in ~/.ssh, see ssh_config(5).
                pattern = Path("~/.ssh").expanduser() / Path(argument).expanduser()
                for name in sorted(glob.glob(str(pattern))):  # noqa: PTH207
                    names += list_ssh_hosts(Path(name), notes, depth + 1)
    return tuple(dict.fromkeys(names))


def fleet_from_ssh(
    entries: Mapping[str, Mapping[str, str]], default_key: str | None, chosen: Iterable[str] | None = None
) -> tuple[tuple[NewHost, ...], tuple[NewHost, ...], tuple[str, ...]]:
    """
    Proxies and remotes from what `ssh -G` said about each name, and sentences on what was left out.

    Without `chosen`, every entry with a ProxyJump that is no jump host of another becomes a remote. `default_key` is
    the key file that ssh prints for a host without its own.
    """
    jumps = {name: _hops(entry) for name, entry in entries.items()}
    used = {hop for name, hops in jumps.items() for hop in hops}
    wanted = tuple(chosen) if chosen is not None else tuple(n for n, hops in jumps.items() if hops and n not in used)
    proxies = _Proxies(entries, default_key, wanted)
    remotes: dict[str, NewHost] = {}
    notes: list[str] = []
    for wish in wanted:
        entry = entries[wish]
        if entry.get("proxycommand", "none") != "none":
            notes.append(f"{wish}: left out, it uses ProxyCommand; give it a ProxyJump instead")
            continue
        try:
            via = tuple(proxies.add(hop, (wish,)) for hop in jumps[wish])
        except ValueError as error:
            notes.append(f"{wish}: left out, {error}")
            continue
        place = _read_place(wish, entry, default_key)
        name = name_host(wish, [*proxies.found, *remotes], place.user or "")
        nickname = wish if wish != name else ""
        remotes[name] = replace(place, name=name, via=via, variables={"remotestatus_nickname": nickname})
    return (*_link_chains(proxies.found, remotes), tuple(notes))


class _Proxies:
    """The proxies that the hops of some hosts lead to, each once; `found` has them by their inventory name."""

    def __init__(self, entries: Mapping[str, Mapping[str, str]], default_key: str | None, taken: Iterable[str]) -> None:
        self.found: dict[str, NewHost] = {}
        self._entries = entries
        self._default_key = default_key
        self._taken = tuple(taken)
        self._names: dict[str, str] = {}

    def add(self, hop: str, seen: tuple[str, ...]) -> str:
        """Add a hop and those before it, unless `seen`; returns its name. Raises ValueError."""
        if hop in self._names:
            return self._names[hop]
        entry = self._entries.get(hop)
        place = _read_place(hop, entry, self._default_key)
        via = tuple(self.add(h, (*seen, hop)) for h in _hops(entry or {}) if h not in seen and h != hop)
        wanted = hop if entry is not None else place.address
        name = name_host(wanted or hop, [*self.found, *self._taken], place.user or "")
        self._names[hop] = name
        self.found[name] = replace(place, name=name, via=via)
        return name


def _link_chains(
    proxies: dict[str, NewHost], remotes: dict[str, NewHost]
) -> tuple[tuple[NewHost, ...], tuple[NewHost, ...]]:
    """
    Write `ProxyJump a,b` as b behind a, and the remote behind b: then b itself can be probed too.

    If some proxy is reached by two paths, the chains stay as they are.
    """
    paths: dict[str, set[tuple[str, ...]]] = {}
    chains = [proxy.via for proxy in proxies.values()] + [remote.via for remote in remotes.values()]
    for chain in chains:
        for position, name in enumerate(chain):
            paths.setdefault(name, set()).add(chain[:position] or proxies[name].via)
    if any(len(found) > 1 for found in paths.values()):
        return tuple(proxies.values()), tuple(remotes.values())
    before = {name: next(iter(found))[-1:] for name, found in paths.items()}
    return (
        tuple(replace(proxy, via=before.get(proxy.name, proxy.via)) for proxy in proxies.values()),
        tuple(replace(remote, via=remote.via[-1:]) for remote in remotes.values()),
    )


def _hops(entry: Mapping[str, str]) -> tuple[str, ...]:
    jump = entry.get("proxyjump", "none")
    return () if jump == "none" else tuple(hop.strip() for hop in jump.split(","))


def _read_place(wanted: str, entry: Mapping[str, str] | None, default_key: str | None) -> NewHost:
    """Where a host or a jump leads that has this entry, or none; its own name is still missing. Raises ValueError."""
    if entry is None:
        target = read_target(wanted)
        return NewHost("", target.address or wanted, target.port, target.user)
    port = read_port(entry["port"]) if "port" in entry else None
    key = entry.get("identityfile")
    return NewHost("", entry.get("hostname", wanted), port, entry.get("user"), None if key == default_key else key)
