"""
Writes how `ssh`, `scp` and `rsync` reach every host by hand: blocks of ssh_config(5), and arguments of ssh(1).

The results contain no passwords.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from remotestatus_playbook.client_config import files_of
from remotestatus_playbook.round_ssh_config import address_lines
from remotestatus_playbook.split_ssh_arguments import log_in_words, quote
from remotestatus_playbook.ssh_commands import remote_options
from remotestatus_playbook.topology import Hop, Host, Topology


def write_blocks(topology: Topology, hosts: Mapping[str, Host], *, known_hosts: Path) -> dict[str, str]:
    """
    Blocks of ssh_config(5) with which plain `ssh`, `scp` and `rsync` reach every host by its inventory name.

    There is a block for each host and proxy, by name. They do not depend on a round, and may be kept. They contain no
    passwords.
    """
    blocks = {name: _block(host, topology, known_hosts) for name, host in hosts.items()}
    for hop in topology.in_order():
        blocks[hop.name] = blocks[hop.host.name] if hop.host else _outsider_block(hop, known_hosts)
    return blocks


def end_of_blocks() -> str:
    """The lines after the blocks for `ssh -F`: the include of the user's configuration."""
    return "\n".join(["Host *", *(f"  Include {quote(config)}" for config in files_of(None))]) + "\n"


def _block(host: Host, topology: Topology, known_hosts: Path) -> str:
    last_hop = topology.last_hop.get(host.name)
    # Without a HostName line, a user's alias of the same name keeps its own.
    body = [f"HostName {quote(host.address)}"] if host.address != host.name else []
    body += [f"HostKeyAlias {host.key_name}"]
    body += [f"Port {host.port}"] if host.port else []
    body += [f"User {quote(host.user)}"] if host.user else []
    body += [f"IdentityFile {quote(host.key_file)}"] if host.key_file else []
    body += host.options.as_lines()
    body += _way_lines(last_hop, topology.commands.get(host.name))
    body += [f"UserKnownHostsFile {quote(known_hosts)}", "StrictHostKeyChecking yes"]
    body += [f"Include {quote(host.options.config)}"] if host.options.config else []
    return "\n".join([f"Host {host.name}", *(f"  {line}" for line in body)]) + "\n"


def _way_lines(last_hop: Hop | None, command: str | None) -> list[str]:
    """The whole path, each proxy as in the inventory, so that a later `-J` works."""
    if last_hop is None:
        return [f"ProxyCommand {command}"] if command is not None else []
    return [f"ProxyJump {','.join(name_by_hand(hop) for hop in (*last_hop.path, last_hop))}"]


def name_by_hand(hop: Hop) -> str:
    """A proxy's name in these blocks: as in the inventory, unless its ssh has its own options."""
    if hop.host is not None or not (hop.renamed or hop.options.rest):
        return hop.written
    return hop.target if hop.renamed else re.sub(r"[^A-Za-z0-9.-]+", "-", hop.written)


def _outsider_block(hop: Hop, known_hosts: Path) -> str:
    """A proxy that only ssh's configuration knows: add our known_hosts files."""
    name = name_by_hand(hop)
    trusted = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2", quote(known_hosts)]
    body = [*(address_lines(hop) if name != hop.written else ()), *hop.options.as_lines(), *hop.settings]
    body += [f"UserKnownHostsFile {' '.join(trusted)}"]
    body += [f"Include {quote(hop.config)}"] if hop.config else []
    pattern = hop.address if name == hop.written else name
    return "\n".join([f"Host {pattern}", *(f"  {line}" for line in body)]) + "\n"


def reaching_arguments(host: Host, topology: Topology, *, known_hosts: Path) -> list[str]:
    """Arguments that lead `ssh -F <the round's configuration>` to a host, through the shared connections."""
    return [*log_in_words(host.port, host.user), *remote_options(host, topology, known_hosts=known_hosts), host.address]


def mapped_arguments(host: Host, *, known_hosts: Path) -> list[str]:
    """Arguments of `ssh` for a host's forwarded port: its host key name and log-in."""
    ours = (f"HostKeyAlias={host.key_name}", f"UserKnownHostsFile={quote(known_hosts)}")
    words = [*log_in_words(None, host.user, host.key_file), *host.options.rest]
    return [*words, *(word for option in ours for word in ("-o", option))]
