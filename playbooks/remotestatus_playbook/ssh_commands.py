"""
Writes the commands with which a round connects: to each proxy, and to each remote, with the options of both.

Their options are in `ssh_options`, and the configuration that they read is written by `round_ssh_config`.
"""

from collections.abc import Sequence
from pathlib import Path

from remotestatus_playbook.become import SHELL
from remotestatus_playbook.split_ssh_arguments import log_in_words, quote
from remotestatus_playbook.ssh_options import ASK_NOBODY, COMMON, GUARD, ONE_PASSWORD
from remotestatus_playbook.topology import Hop, Host, Topology


def opening_arguments(hop: Hop) -> list[str]:
    """
    Arguments with which `ssh` reaches this hop by itself instead of through a shared connection.

    The inventory's options are here and not in the configuration, where a wrong one would break all connections.
    """
    arguments = log_in_words(hop.port, hop.user, hop.host.key_file if hop.host else None)
    if hop.host is None:
        arguments += [word for line in ASK_NOBODY for word in ("-o", _as_word(line))]
    else:
        arguments += hop.host.options.heard()
    arguments += hop.options.heard()
    if hop.host is not None and hop.host.connect_seconds:
        arguments += ["-o", f"ConnectTimeout={hop.host.connect_seconds}"]
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
        # Logs "Authenticated to ...", which distinguishes a hang before and after the log-in.
        "LogLevel=VERBOSE",
        *map(_as_word, COMMON),
        # A proxy with the same address may have a shared connection, which is not for it.
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
    The command that runs `shell` on a remote, with a script on standard input.

    `options` come first, because ssh takes the first value it meets; `seconds` is the connect timeout, unless the
    inventory sets one. ssh's messages go to `log`, the server's output to standard error.
    """
    # A server's prompts are in the log too, see `ssh_log`; debug lines mark where they begin.
    options = ["-o", "LogLevel=DEBUG", *options] if host.password else options
    return [
        *(host.program, "-F", str(config), *options),
        *remote_options(host, topology, known_hosts=known_hosts),
        *log_in_words(host.port, host.user, host.key_file),
        *(word for option in (ONE_PASSWORD if host.password else ASK_NOBODY) for word in ("-o", _as_word(option))),
        *("-o", f"ConnectTimeout={host.connect_seconds or seconds}"),
        # Without a terminal (`-tt`), which would echo the script.
        *("-T", "-E", str(log), "--", host.address, shell),
    ]


def look_command(hop: Hop, *, config: Path, control: Path, log: Path) -> list[str]:
    """
    The command that runs a shell on a proxy, only through the shared connection at `control`.

    ssh's messages go to `log`.
    """
    # Without it, ssh would open its own connection where the configuration has no guard.
    own = ("ControlMaster=no", f"ControlPath={control}", _as_word(GUARD))
    options = [word for option in (*own, "LogLevel=VERBOSE", "RequestTTY=no") for word in ("-o", option)]
    return [hop.program, "-F", str(config), *options, "-E", str(log), "--", hop.target, SHELL]


def _as_word(line: str) -> str:
    return line.replace(" ", "=", 1)
