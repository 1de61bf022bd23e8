"""
The ways in which an inventory may name the proxy of a remote, other than as a host of its own.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.lab.keys import Key
from tests.lab.ports import LOOPBACK
from tests.lab.proxy import Proxy
from tests.lab.remote import LocalRemote, Remote


class JumpWay(StrEnum):
    """How remotes are reached through their proxies."""

    INVENTORY = "ProxyJump, to a host of the inventory"
    COMMAND = "ProxyCommand, with an ssh -W"
    FILE = "ProxyJump, in an SSH configuration file"


def remote_variables(remote: Remote | LocalRemote, checker: Key, way: JumpWay, ssh_config: Path) -> dict[str, Any]:
    """What stands in the inventory for a remote; with a file that is nothing but the file and a password."""
    variables = dict(remote.inventory_variables(checker))
    if not isinstance(remote, Remote) or not remote.jumps or way is JumpWay.INVENTORY:
        return variables
    if way is JumpWay.COMMAND:
        return {**variables, "ansible_ssh_common_args": f"-o 'ProxyCommand={_command(remote.jumps, checker)}'"}
    named = {"ansible_host", "ansible_port", "ansible_user", "ansible_ssh_private_key_file"}
    kept = {name: value for name, value in variables.items() if name not in named - set(remote.variables)}
    # Relative to the folder that holds the inventory.
    return {**kept, "ansible_ssh_common_args": f"-F {ssh_config.name}"}


def proxy_name(proxy: Proxy, way: JumpWay) -> str:
    """What remotestatus calls this proxy."""
    return f"{proxy.login.user}@{address_of(proxy)}:{proxy.sshd.port}" if way is JumpWay.COMMAND else proxy.name


def address_of(proxy: Proxy) -> str:
    """Where the inventory says that it is."""
    return str(proxy.variables.get("ansible_host", LOOPBACK))


def _command(jumps: tuple[Proxy, ...], checker: Key) -> str:
    """An `ssh -W` through the last of them, whose own ssh goes through those before it in the same way."""
    *before, last = jumps
    nested = f'-o ProxyCommand="{_command(tuple(before), checker).replace("%", "%%")}" ' if before else ""
    options: Mapping[str, Any] = {"ConnectTimeout": 3, "StrictHostKeyChecking": "yes"}
    spelt = " ".join(f"-o {name}={value}" for name, value in options.items())
    return f"ssh {nested}-q -W %h:%p -p {last.sshd.port} -i {checker.path} {spelt} {last.login.user}@{address_of(last)}"
