"""
Writes the SSH configuration of a round, which its commands (`ssh_commands`) use.

A remote's jump only uses the open connection to its proxy. Without one it fails at once, so a proxy never gets a second
connection, nor the remote's password.
"""

from collections.abc import Sequence
from pathlib import Path

from remotestatus_playbook.protocol import OPENING
from remotestatus_playbook.split_ssh_arguments import quote
from remotestatus_playbook.ssh_options import ALIVE, ASK_NOBODY, COMMON, CONNECT_TIMEOUT, GUARD, ONE_PASSWORD, STRICT
from remotestatus_playbook.topology import Hop, Topology


def write_config(
    topology: Topology,
    *,
    control: Path,
    known_hosts: Path,
    user_configs: Sequence[str],
) -> str:
    """The SSH configuration through which every proxy of the topology is reached, and every remote behind them."""
    trusted = [quote(known_hosts), "~/.ssh/known_hosts", "~/.ssh/known_hosts2"]
    lines = ["# Written by remotestatus for one round; the user's own configuration is included below."]
    for hop in topology.in_order():
        lines += _hop_lines(hop, control, known_hosts)
    lines.append("Host *")
    lines += [f"  Include {quote(config)}" for config in user_configs]
    lines += ["Host *"]
    lines += [f"  {line}" for line in COMMON]
    lines.append(f"  UserKnownHostsFile {' '.join(trusted)}")
    return "\n".join(lines) + "\n"


def _hop_lines(hop: Hop, control: Path, known_hosts: Path) -> list[str]:
    body = [f"ControlPath {control / hop.socket}", "ControlMaster no"]
    lines = []
    if hop.host is None:
        body += [*ASK_NOBODY, *(address_lines(hop) if hop.renamed else ()), *hop.settings]
        body += [STRICT, ALIVE, CONNECT_TIMEOUT]
        if hop.renamed:
            body.append(GUARD)
        else:
            # The user's settings for this host stay valid, also ProxyCommand and ProxyJump, so the guard applies only
            # while the connection is not being opened. The variable is not quoted, because OpenSSH has no escaped
            # quotes here; without a value, `test` tests the text "-z".
            lines += [f'Match originalhost {hop.target} exec "test -z ${OPENING}"', f"  {GUARD}"]
    else:
        host = hop.host
        # Without a HostName line, a user's alias of the same name keeps its own.
        body += [f"HostName {quote(host.address)}"] if hop.target != host.address else []
        body += [f"HostKeyAlias {host.key_name}"]
        body += [f"UserKnownHostsFile {quote(known_hosts)}", *(ONE_PASSWORD if host.password else ASK_NOBODY)]
        # Keeps OpenSSH's default order of key exchanges here, see `remote_options` in `ssh_commands`.
        body += ["KexAlgorithms +curve25519-sha256", *COMMON, CONNECT_TIMEOUT, GUARD]
    return [*lines, f"Host {hop.target}", *(f"  {line}" for line in body)]


def address_lines(hop: Hop) -> list[str]:
    """The address of a hop with another name in ssh's configuration."""
    known = any(line.lower().startswith("hostname ") for line in hop.settings)
    lines = [] if known else [f"HostName {quote(hop.address)}"]
    return [*lines, *([f"User {quote(hop.user)}"] if hop.user else []), *([f"Port {hop.port}"] if hop.port else [])]
