"""
Plans one look at one remote: with which SSH options, how long it may take, and what it is asked.

Takes the host's evaluated variables and the number of the look; returns plain values that the task which looks reads
from the round's directory.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from remotestatus_playbook.inventory import PREFIX, Entry
from remotestatus_playbook.order import Order
from remotestatus_playbook.paths import Hop, Host, Topology, looking_command
from remotestatus_playbook.probe_output import Check
from remotestatus_playbook.workdir import Workdir

DEFAULT_SECONDS = 45
"""What a remote may cost one round, when neither it nor its groups say (remotestatus_timeout)."""

_SLOWER = 2
"""
A log-in at a remote takes so many times as long as one at its proxy did, on a slow way there.

It has a few round trips more, and all remotes share one connection, in which the proxy's sshd holds a small packet back
until the one before is acknowledged (Nagle's algorithm): a round trip each, measured 33 s to the proxy's 15.
"""

_FAR = 5
"""From so many seconds on top the way is slow enough for compression to pay."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds_of(value: object, default: int) -> int:
    """Read a timeout as written in the inventory: seconds, or a duration such as 1m30s."""
    text = str(value).strip()
    if text.isdigit():
        return max(1, int(text))
    parts = re.findall(r"(\d+)([smhdw])", text)
    return max(1, sum(int(number) * _UNITS[unit] for number, unit in parts)) if parts else default


def make(
    entry: Entry,
    topology: Topology,
    known_hosts: Path,
    workdir: Workdir,
    order: Order,
    proxies: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """
    Plan a look at one remote, now that the `proxies` have answered, by name.

    A slow way to the proxy is none of the remote's doing, and is allowed for on top of its time.
    """
    whole = seconds_of(entry.variables.get(f"{PREFIX}timeout", DEFAULT_SECONDS), DEFAULT_SECONDS)
    last = topology.last_hop.get(entry.name)
    far = min(whole, _SLOWER * (proxies.get(last.name, {}).get("took_ms") or 0) // 1000) if last else 0
    seconds = order.seconds(whole) + far
    checks = entry.variables.get(f"{PREFIX}checks") or []
    made: dict[str, Any] = {
        "connection": entry.connection,
        "command": ["/bin/sh", "-s"] if entry.connection == "local" else [],
        "password": False,
        "seconds": seconds,
        "look": order.number,
        "checks": [
            asdict(Check(str(check["name"]), str(check["command"]), seconds_of(check.get("timeout", 10), 10)))
            for check in (checks if isinstance(checks, list) else [checks])
        ],
        "path": [],
    }
    if entry.connection == "ssh" and entry.host is not None:
        config = workdir.remote_config if last else workdir.ssh_config
        # On a slow link the list of processes takes several round trips; compressed it takes one.
        options = ["-o", "Compression=yes"] if order.number > 1 or far > _FAR else []
        if order.keep:
            kept = workdir.control / _kept_socket(entry.host, last)
            made["kept"] = str(kept)
            # The second look does without: a kept connection may be dead and not know it.
            if order.number == 1 and not order.fresh:
                ways = ("ControlMaster=auto", f"ControlPersist={order.keep}", f"ControlPath={kept}")
                options = [word for way in ways for word in ("-o", way)]
        made["path"] = [{"name": hop.name, "spec": hop.spec} for hop in (*last.path, last)] if last else []
        made["password"] = entry.host.password
        made["asked"] = f"{entry.host.user or ''}@{entry.host.name}"
        made["command"] = looking_command(
            entry.host,
            topology,
            config=config,
            known_hosts=known_hosts,
            options=options,
            # The handshake is most of the way: what is left is one exchange more, and the probe.
            seconds=max(3, seconds * 3 // 4),
        )
        made["address"], made["port"] = entry.host.address, entry.host.port
        made["proxy_socket"] = str(workdir.control / last.socket) if last else None
        made["known_hosts"] = str(known_hosts)
    return made


def _kept_socket(host: Host, last: Hop | None) -> str:
    """
    The name of a kept connection's socket, which nothing else that is reached in another way can have.

    Two remotes may both be 127.0.0.1:8001, behind different proxies.
    """
    return hashlib.sha256(repr((host, last and last.socket)).encode()).hexdigest()[:16]
