"""
Writes the inventory and the known_hosts file of a lab, as an administrator would.

Inside the inventory folder lies nothing but inventory: Ansible parses every file it finds there.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.lab.jump_ways import JumpWay, address_of, remote_variables
from tests.lab.keys import Key
from tests.lab.proxy import Proxy
from tests.lab.remote import LocalRemote, Remote


def write_inventory(
    folder: Path,
    proxies: Iterable[Proxy],
    remotes: Iterable[Remote | LocalRemote],
    checker: Key,
    variables: Mapping[str, Mapping[str, Any]],
    way: JumpWay,
    ssh_config: Path,
) -> None:
    """Write remotes.yml, and a file in group_vars for each group in `variables` (`all` is one)."""
    groups: dict[str, dict[str, Any]] = {}
    for proxy in proxies if way is JumpWay.INVENTORY else ():
        groups.setdefault("proxies", {})[proxy.name] = dict(proxy.inventory_variables(checker))
    for remote in remotes:
        groups.setdefault(remote.group, {})[remote.name] = remote_variables(remote, checker, way, ssh_config)
    for group in variables:
        if group != "all":
            groups.setdefault(group, {})
    (folder / "group_vars").mkdir(parents=True, exist_ok=True)
    _write(
        folder / "remotes.yml",
        {"all": {"children": {group: {"hosts": hosts} for group, hosts in groups.items()}}},
    )
    for group, values in variables.items():
        _write(folder / "group_vars" / f"{group}.yml", dict(values))


def write_known_hosts(path: Path, hosts: Iterable[Proxy | Remote], way: JumpWay) -> None:
    """A line per host under its inventory name, as `HostKeyAlias` of ssh_config(5) looks it up."""
    path.write_text("".join(f"{known_name(host, way)} {host.sshd.host_key.public}\n" for host in hosts))


def known_name(host: Proxy | Remote, way: JumpWay) -> str:
    """What the key of a host is looked up by: a ProxyCommand says no more of a proxy than its address."""
    if isinstance(host, Proxy) and way is JumpWay.COMMAND:
        return f"[{address_of(host)}]:{host.sshd.port}"
    return host.name


def write_ssh_config(
    path: Path, proxies: Iterable[Proxy], remotes: Iterable[Remote], key: Key, options: Mapping[str, str]
) -> None:
    """The same fleet for the plain ssh client, with more options of ssh_config(5) for all hosts."""
    lines: list[str] = []
    for host in (*proxies, *remotes):
        password = isinstance(host, Remote) and host.password is not None
        lines += [
            f"Host {host.name}",
            f"  HostName {host.variables.get('ansible_host', '127.0.0.1')}",
            f"  Port {host.port if isinstance(host, Remote) else host.sshd.port}",
            f"  User {host.login.user}",
            f"  HostKeyAlias {host.name}",
            *(
                ["  PreferredAuthentications password", "  NumberOfPasswordPrompts 1"]
                if password
                else ["  PreferredAuthentications publickey", "  BatchMode yes", f'  IdentityFile "{key.path}"']
            ),
        ]
        if isinstance(host, Remote) and host.jumps:
            lines.append(f"  ProxyJump {','.join(proxy.name for proxy in host.jumps)}")
    lines += [
        "Host *",
        "  IdentitiesOnly yes",
        "  IdentityAgent none",
        "  StrictHostKeyChecking yes",
        "  GlobalKnownHostsFile /dev/null",
        "  KexAlgorithms curve25519-sha256",
        *(f"  {name} {value}" for name, value in options.items()),
    ]
    path.write_text("\n".join(lines) + "\n")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))
