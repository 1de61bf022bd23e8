"""
Makes a new fleet of the hosts in an SSH configuration: a `Host` with a `ProxyJump` is a remote, its jumps are proxies.

Pure: texts come in, and what `ssh -G` said of each name; nothing is read here.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from remotestatus.setup.new_fleet import NewProxy, NewRemote, name_host, read_port, read_target


def list_ssh_hosts(text: str, read_included: Callable[[str], Iterable[str]], depth: int = 0) -> tuple[str, ...]:
    """
    The names that an `ssh_config` text has `Host` entries for, in order, without patterns.

    What an entry means is for `ssh -G` to say. `read_included` gives the texts that an `Include` argument stands for.
    Includes are followed 16 deep, as ssh_config(5) has it.
    """
    names: list[str] = []
    for line in text.splitlines():
        words = re.findall(r'"([^"]*)"|([^\s="]+)', line.strip())
        keyword, *arguments = [quoted or plain for quoted, plain in words] or [""]
        if keyword.startswith("#"):
            continue
        if keyword.lower() == "host":
            names += [name for name in arguments if not re.search(r"[*?!]", name)]
        elif keyword.lower() == "include" and depth < 16:
            for argument in arguments:
                for included in read_included(argument):
                    names += list_ssh_hosts(included, read_included, depth + 1)
    return tuple(dict.fromkeys(names))


def read_ssh_answer(text: str) -> dict[str, str]:
    """What `ssh -G` says about one host: the first value of each keyword, in lower case."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), value.strip())
    return found


def fleet_from_ssh(
    entries: Mapping[str, Mapping[str, str]], default_key: str | None, chosen: Iterable[str] | None = None
) -> tuple[tuple[NewProxy, ...], tuple[NewRemote, ...], tuple[str, ...]]:
    """
    Proxies and remotes from what `ssh -G` said about each name, and sentences on what was left out.

    Without `chosen`, every entry with a ProxyJump that is no jump host of another becomes a remote. `default_key` is
    the key file that ssh names for a host without any of its own.
    """
    jumps = {name: _hops(entry) for name, entry in entries.items()}
    used = {hop for name, hops in jumps.items() for hop in hops}
    wanted = tuple(chosen) if chosen is not None else tuple(n for n, hops in jumps.items() if hops and n not in used)
    proxies: dict[str, NewProxy] = {}
    names: dict[str, str] = {}
    notes: list[str] = []

    def add_proxy(hop: str, seen: tuple[str, ...]) -> str:
        if hop in names:
            return names[hop]
        entry = entries.get(hop)
        if entry is not None:
            before = tuple(add_proxy(h, (*seen, hop)) for h in jumps[hop] if h not in seen and h != hop)
            address, port, user = entry.get("hostname", hop), _port_of(entry), entry.get("user")
            key = _key_of(entry, default_key)
        else:
            target = read_target(hop)
            before, key = (), None
            address, port, user = target.address or hop, target.port, target.user
        name = name_host(hop if entry is not None else address, [*proxies, *wanted], user or "")
        names[hop] = name
        proxies[name] = NewProxy(name, address, port, user, key, before)
        return name

    remotes: dict[str, NewRemote] = {}
    for wish in wanted:
        entry = entries[wish]
        if entry.get("proxycommand", "none") != "none":
            notes.append(f"{wish}: left out, it uses ProxyCommand; give it a ProxyJump instead")
            continue
        try:
            via = tuple(add_proxy(hop, (wish,)) for hop in jumps[wish])
        except ValueError as error:
            notes.append(f"{wish}: left out, {error}")
            continue
        name = name_host(wish, [*proxies, *remotes], entry.get("user", ""))
        remotes[name] = NewRemote(
            name=name,
            address=entry.get("hostname", wish),
            port=_port_of(entry),
            user=entry.get("user"),
            key_file=_key_of(entry, default_key),
            via=via,
            nickname=wish if wish != name else "",
        )
    return (*_link_chains(proxies, remotes), tuple(notes))


def _link_chains(
    proxies: dict[str, NewProxy], remotes: dict[str, NewRemote]
) -> tuple[tuple[NewProxy, ...], tuple[NewRemote, ...]]:
    """
    Write `ProxyJump a,b` as b behind a, and the remote behind b: then b itself can be looked at too.

    If some proxy is reached in two ways, the chains stay as they are.
    """
    ways: dict[str, set[tuple[str, ...]]] = {}
    chains = [proxy.via for proxy in proxies.values()] + [remote.via for remote in remotes.values()]
    for chain in chains:
        for place, name in enumerate(chain):
            ways.setdefault(name, set()).add(chain[:place] or proxies[name].via)
    if any(len(found) > 1 for found in ways.values()):
        return tuple(proxies.values()), tuple(remotes.values())
    before = {name: next(iter(found))[-1:] for name, found in ways.items()}
    return (
        tuple(replace(proxy, via=before.get(proxy.name, proxy.via)) for proxy in proxies.values()),
        tuple(replace(remote, via=remote.via[-1:]) for remote in remotes.values()),
    )


def _hops(entry: Mapping[str, str]) -> tuple[str, ...]:
    jump = entry.get("proxyjump", "none")
    return () if jump == "none" else tuple(hop.strip() for hop in jump.split(","))


def _port_of(entry: Mapping[str, str]) -> int | None:
    return read_port(entry["port"]) if "port" in entry else None


def _key_of(entry: Mapping[str, str], default_key: str | None) -> str | None:
    key = entry.get("identityfile")
    return None if key == default_key else key
