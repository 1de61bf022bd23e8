"""
Writes the SSH configuration of a round, and the commands that use it.

Takes the topology; returns text and arguments. The rule worth knowing: a remote's jump may only use the connection to
its proxy that was opened beforehand. Where there is none it fails at once, so a proxy never sees more than one
connection, and never the remote's password.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from remotestatus_playbook.become import SHELL
from remotestatus_playbook.protocol import OPENING, PROXY_LOST
from remotestatus_playbook.ssh_options import log_in_words, quote
from remotestatus_playbook.topology import Hop, Host, Topology


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
    lines += [f"  {line}" for line in _COMMON]
    lines.append(f"  UserKnownHostsFile {' '.join(trusted)}")
    return "\n".join(lines) + "\n"


_COMMON = (
    "StrictHostKeyChecking yes",
    "UpdateHostKeys no",
    "ControlMaster no",
    "ForwardAgent no",
    "ForwardX11 no",
    "RequestTTY no",
    "EscapeChar none",
    "PermitLocalCommand no",
    "ServerAliveInterval 10",
    "ServerAliveCountMax 3",
)

_CONNECT_TIMEOUT = "ConnectTimeout 12"
_GUARD = f"ProxyCommand echo {shlex.quote(PROXY_LOST)} >&2; exit 1"
_ASK_NOBODY = ("BatchMode yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no")
_ONE_PASSWORD = ("BatchMode no", "NumberOfPasswordPrompts 1")


def _hop_lines(hop: Hop, control: Path, known_hosts: Path) -> list[str]:
    body = [f"ControlPath {control / hop.socket}", "ControlMaster no"]
    lines = []
    if hop.host is None:
        body += [*_ASK_NOBODY, *(address_lines(hop) if hop.renamed else ()), *hop.settings]
        body += ["StrictHostKeyChecking yes", "ServerAliveInterval 10", _CONNECT_TIMEOUT]
        if hop.renamed:
            body.append(_GUARD)
        else:
            # The user's own settings for this host stay in force, also a ProxyCommand or ProxyJump: so the guard only
            # stands while nobody is opening the connection. Not quoted for the shell: OpenSSH knows no escaped quotes
            # here. Without a value it is a `test` of "-z".
            lines += [f'Match originalhost {hop.target} exec "test -z ${OPENING}"', f"  {_GUARD}"]
    else:
        host = hop.host
        # Without a HostName line, an alias of the user's own of the same name keeps the one it has.
        body += [f"HostName {quote(host.address)}"] if hop.target != host.address else []
        body += [f"HostKeyAlias {host.key_name}"]
        body += [f"UserKnownHostsFile {quote(known_hosts)}", *(_ONE_PASSWORD if host.password else _ASK_NOBODY)]
        # Keeps OpenSSH's own order of key exchanges here, see `remote_options`.
        body += ["KexAlgorithms +curve25519-sha256", *_COMMON, _CONNECT_TIMEOUT, _GUARD]
    return [*lines, f"Host {hop.target}", *(f"  {line}" for line in body)]


def address_lines(hop: Hop) -> list[str]:
    """Where a hop is that ssh's own configuration knows by another name."""
    known = any(line.lower().startswith("hostname ") for line in hop.settings)
    lines = [] if known else [f"HostName {quote(hop.address)}"]
    return [*lines, *([f"User {quote(hop.user)}"] if hop.user else []), *([f"Port {hop.port}"] if hop.port else [])]


def opening_arguments(hop: Hop) -> list[str]:
    """
    Arguments with which `ssh` reaches this hop by itself instead of through a shared connection.

    Options of the inventory's stand here and not in the configuration, where a wrong one would stop every connection.
    """
    arguments = log_in_words(hop.port, hop.user, hop.host.key_file if hop.host else None)
    if hop.host is None:
        arguments += [word for line in _ASK_NOBODY for word in ("-o", _as_word(line))]
    else:
        arguments += hop.host.options.heard()
    arguments += hop.options.heard()
    if hop.parent is not None:
        arguments += ["-o", f"ProxyJump={hop.parent.spec}"]
    elif hop.command is not None or hop.host is not None or hop.renamed:
        arguments += ["-o", f"ProxyCommand={hop.command or 'none'}"]
    return [*arguments, hop.target]


def remote_options(host: Host, topology: Topology, *, known_hosts: Path) -> list[str]:
    """
    SSH options with which a remote is reached, the inventory's own first because ssh takes the first value it meets.

    Strict host key checking under the remote's inventory name, so that forty remotes on 127.0.0.1 don't clash.
    """
    last_hop = topology.last_hop.get(host.name)
    command = topology.commands.get(host.name)
    ours = [
        f"HostKeyAlias={host.key_name}",
        f"UserKnownHostsFile={quote(known_hosts)}",
        # Says "Authenticated to ..." on standard error, which tells a log-in that hangs from one that never came.
        "LogLevel=VERBOSE",
        *map(_as_word, _COMMON),
        # It may share its address with a proxy, whose shared connection is not meant for it.
        "ControlPath=none",
    ]
    if last_hop is not None:
        ours.append(f"ProxyJump={last_hop.spec}")
    elif command is not None:
        ours.append(f"ProxyCommand={command}")
    elif any(hop.target == host.address for hop in topology.hops.values()):
        ours.append("ProxyCommand=none")
    return [*host.options.heard(), *(word for option in ours for word in ("-o", option))]


def probe_command(
    host: Host,
    topology: Topology,
    *,
    config: Path,
    known_hosts: Path,
    options: Sequence[str],
    seconds: int,
    log: Path,
    shell: str,
) -> list[str]:
    """
    The command that runs a `shell`, which is sent a script on standard input, on a remote.

    `options` come first, because ssh takes the first value it meets; `seconds` is the time to connect in, unless the
    inventory says another. What ssh itself says goes into `log`: what the server has it print goes to standard error.
    """
    # A server that asks questions writes into the log, see `ssh_log`; the debugging lines say from where on.
    options = ["-o", "LogLevel=DEBUG", *options] if host.password else options
    return [
        *(host.program, "-F", str(config), *options),
        *remote_options(host, topology, known_hosts=known_hosts),
        *log_in_words(host.port, host.user, host.key_file),
        *(word for option in (_ONE_PASSWORD if host.password else _ASK_NOBODY) for word in ("-o", _as_word(option))),
        *("-o", f"ConnectTimeout={host.connect_seconds or seconds}"),
        # A terminal, which an argument (`-tt`) or a configuration may want for people, would print what it is sent.
        *("-T", "-E", str(log), "--", host.address, shell),
    ]


def look_command(hop: Hop, *, config: Path, control: Path, log: Path) -> list[str]:
    """
    The command that runs a shell on a proxy, through the shared connection at `control` and in no other way.

    What ssh itself says goes into `log`.
    """
    # Without the connection ssh would make one of its own, where the configuration has no guard against that.
    own = ("ControlMaster=no", f"ControlPath={control}", _as_word(_GUARD))
    options = [word for option in (*own, "LogLevel=VERBOSE", "RequestTTY=no") for word in ("-o", option)]
    return [hop.program, "-F", str(config), *options, "-E", str(log), "--", hop.target, SHELL]


def _as_word(line: str) -> str:
    return line.replace(" ", "=", 1)
