"""
Renames the lines of an old known_hosts file: `ssh-keygen -F` finds them, also under hashed names.
"""

import subprocess
from pathlib import Path

from remotestatus.setup.new_fleet import NewFleet, NewHost


def list_old_names(answers: NewFleet) -> dict[str, tuple[str, ...]]:
    """
    The names that each host can have in the old file, best first.

    A remote was looked up under its virtual port; a proxy and a direct remote under its address.
    """
    found = {proxy.name: _name_address(proxy) for proxy in answers.proxies}
    virtual = {remote.name: remote.variables.get("remotestatus_forwarded_port") for remote in answers.remotes}
    for remote in answers.remotes:
        # A remote port may be another remote's virtual port, which would give that one's key.
        ports = [virtual[remote.name], *([] if remote.port in virtual.values() else [remote.port])]
        # [localhost]:22 is the checker itself.
        wanted = [port for port in ports if port not in (None, 22)]
        names = tuple(f"[{host}]:{port}" for port in wanted for host in ("localhost", "127.0.0.1"))
        found[remote.name] = names if remote.via else _name_address(remote)
    return found


def _name_address(host: NewHost) -> tuple[str, ...]:
    """With brackets and port, unless that is 22, see sshd(8)."""
    address = host.address or ""
    return (address,) if host.port in (None, 22) else (f"[{address}]:{host.port}",)


def rename_host_keys(file: Path, answers: NewFleet) -> tuple[str, tuple[str, ...]]:
    """
    The lines of a known_hosts file under the hosts' new names, and the hosts without a line.

    Patterns and certificate authorities are left out, because they are about several hosts.
    """
    lines: list[str] = []
    missing = []
    for name, wanted in list_old_names(answers).items():
        found = next(filter(None, (_find(file, name, old_name) for old_name in wanted)), [])
        lines += dict.fromkeys(found)
        missing += [] if found else [name]
    return "".join(f"{line}\n" for line in lines), tuple(missing)


def _find(file: Path, name: str, old_name: str) -> list[str]:
    command = ["ssh-keygen", "-F", old_name, "-f", str(file)]
    answer = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout
    found = []
    for line in answer.splitlines():
        marker, hosts, *key = (line if line.startswith(("@", "#")) else f" {line}").split(" ", 4)
        if marker in ("", "@revoked") and not set("*?") & set(hosts):
            found.append(" ".join([*filter(None, [marker]), name, *key[:2]]))
    return found
