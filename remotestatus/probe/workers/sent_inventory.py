"""
Makes the evaluated part of the inventory that a worker is sent.

Pure: the result is an inventory for Ansible, and lines of known_hosts. A worker gets only what the probe needs: no
private keys, Vault, lookups, passwords or texts for people.
"""

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePath

from remotestatus_playbook.protocol import PREFIX, PROXIES, HostDescription, InventoryDescription

from remotestatus.model.inventory_variables import probe_names
from remotestatus.model.setting_types import VariableValue

Value = VariableValue | list["Value"] | dict[str, "Value"]

KNOWN_HOSTS = "project/known_hosts"
"""The sent known_hosts file on the worker, relative to its inventory's folder."""

_NOBODY = "remotestatus-nobody"

_SENT_APART = "sent apart"
"""Placeholder of a password, which is sent separately."""


def sent_inventory(
    described: InventoryDescription, names: Iterable[str], own: Mapping[str, VariableValue], home: PurePath
) -> dict[str, object]:
    """
    An inventory of these remotes and their proxies, as JSON for Ansible.

    `own` are the worker's variables, which win. The checker's `home` directory is written `~` in the path of a key.
    """
    remotes = {name: described.hosts[name] for name in names}
    proxies = _proxies_of(described, remotes.values())
    entries = {
        name: _entry(described, host, own, home, settings=probe_names() if name in remotes else ())
        for name, host in {**proxies, **remotes}.items()
    }
    if not entries:
        # Without any host Ansible runs nothing.
        entries[_NOBODY] = {"ansible_connection": "local"}
    return {
        "all": {
            "hosts": entries,
            "vars": {f"{PREFIX}known_hosts": KNOWN_HOSTS},
            "children": {PROXIES: {"hosts": {name: {} for name in proxies}}},
        }
    }


def sent_known_hosts(described: InventoryDescription, names: Collection[str], lines: Iterable[str]) -> str:
    """The known_hosts lines for these remotes and their proxies, and all hashed, CA and revoked lines."""
    wanted = {name.lower() for name in names_on_the_way(described, names)}
    hops = {hop for name in names for hop in described.hosts[name].path}
    for proxy in described.proxies:
        if proxy.name in hops and not proxy.in_inventory:
            wanted |= {proxy.address.lower(), f"[{proxy.address.lower()}]:{proxy.port or 22}"}
    return "".join(f"{line.rstrip()}\n" for line in lines if _is_for(line, wanted))


def names_on_the_way(described: InventoryDescription, names: Collection[str]) -> frozenset[str]:
    """These hosts and their proxies in the inventory."""
    return frozenset((*names, *_proxies_of(described, [described.hosts[name] for name in names])))


def _is_for(line: str, wanted: set[str]) -> bool:
    words = line.split()
    if not words or words[0].startswith("#"):
        return False
    # Hashed, CA and revoked lines may match any host.
    return words[0][0] in "|@" or any(name.lower() in wanted for name in words[0].split(","))


def _proxies_of(described: InventoryDescription, hosts: Iterable[HostDescription]) -> dict[str, HostDescription]:
    """The hosts of the inventory that are passed on the way to these hosts."""
    hops = dict.fromkeys(hop for host in hosts for hop in host.path)
    names = dict.fromkeys(described.ssh.key_names[hop] for hop in hops if hop in described.ssh.key_names)
    return {name: described.hosts[name] for name in names if name in described.hosts}


def _entry(
    described: InventoryDescription,
    host: HostDescription,
    own: Mapping[str, VariableValue],
    home: PurePath,
    settings: Iterable[str],
) -> dict[str, Value]:
    entry: dict[str, Value] = {"ansible_connection": "ssh", "ansible_host": host.address}
    if host.port is not None:
        entry["ansible_port"] = host.port
    if host.user is not None:
        entry["ansible_user"] = host.user
    if host.key_file is not None:
        path = PurePath(host.key_file)
        entry["ansible_ssh_private_key_file"] = (
            f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
        )
    if host.become_method:
        entry |= {"ansible_become": True, "ansible_become_method": host.become_method}
        entry |= {"ansible_become_user": host.become_user} if host.become_user else {}
    if host.password:
        entry["ansible_password"] = _SENT_APART
    options = list(host.ssh_options)
    if host.path:
        options += ["-o", f"ProxyJump={','.join(described.ssh.jumps.get(hop, hop) for hop in host.path)}"]
    if options:
        entry["ansible_ssh_common_args"] = shlex.join(options)
    for setting in sorted(settings):
        if f"{PREFIX}{setting}" in host.variables:
            entry[f"{PREFIX}{setting}"] = host.variables[f"{PREFIX}{setting}"]  # type: ignore[assignment]
    return {name: _not_a_template(value) for name, value in {**entry, **own}.items()}


_TEMPLATE = re.compile(r"\{[{%#]")


def _not_a_template(value: Value) -> Value:
    """Mark every text that Ansible would evaluate again: it was evaluated once, on the checker."""
    match value:
        case str() if _TEMPLATE.search(value):
            return {"__ansible_unsafe": value}
        case list():
            return [_not_a_template(one) for one in value]
        case dict():
            return {name: _not_a_template(one) for name, one in value.items()}
        case _:
            return value
