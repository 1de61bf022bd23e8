"""
Writes the plain `ssh` command to a remote, which works without a configuration file.

It is made of the ssh_config(5) blocks of the remote and its proxies. It uses ProxyCommand instead of ProxyJump, because
ssh does not pass the command's options to a jump.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise

from remotestatus_playbook.protocol import SshAccess


def write_ssh_command(name: str, path: Sequence[str], access: SshAccess) -> str:
    """
    Write the command for the remote of this name, behind the proxies of its path; empty if they are not known.

    There is no command if a custom ProxyCommand is on the path, because it may hold a secret.
    """
    if not all(host in access.blocks for host in (*path, name)):
        return ""
    if any(keyword == "ProxyCommand" for host in (*path, name) for keyword, _ in _lines(access.blocks[host])):
        return ""
    command = ""
    for proxy, behind in pairwise((*path, name)):
        # ssh replaces %h and %p in a ProxyCommand, and %% by %.
        words = [word.replace("%", "%%") for word in _words(proxy, access, command)]
        address = dict(_lines(access.blocks[behind])).get("HostName", behind)
        command = shlex.join([*words[:-1], "-W", "[%h]:%p" if ":" in address else "%h:%p", words[-1]])
    return shlex.join(_words(name, access, command))


def _words(host: str, access: SshAccess, command: str) -> list[str]:
    """Write the command for one host, which is reached through this ProxyCommand."""
    lines = list(_lines(access.blocks[host]))
    if host in access.key_names or host not in access.jumps:
        # The block's name is not an address.
        target = {keyword: value for keyword, value in lines if keyword in ("HostName", "User") and _is_plain(value)}
        lines = [line for line in lines if target.get(line[0]) != line[1]]
        address = target.get("HostName", host)
        destination = f"{target['User']}@{address}" if "User" in target else address
    else:
        destination = access.destination(host)
    way = ["-o", f"ProxyCommand={command}"] if command else []
    return ["ssh", *(word for line in lines for word in _arguments(*line)), *way, destination]


def _lines(block: str) -> Iterator[tuple[str, str]]:
    """Read the keywords and values below the first line, which names the host."""
    for line in block.splitlines()[1:]:
        keyword, _, value = line.strip().partition(" ")
        if keyword and keyword != "ProxyJump":
            yield keyword, value


def _arguments(keyword: str, value: str) -> list[str]:
    """Convert one line to arguments of ssh(1)."""
    if keyword == "Include":
        return ["-F", *shlex.split(value)]
    if keyword == "Port":
        return [] if value == "22" else ["-p", value]
    if keyword == "IdentityFile" and _is_plain(value):
        return ["-i", value]
    return ["-o", f"{keyword}={value}"]


def _is_plain(value: str) -> bool:
    """Whether a value means the same without the quoting of ssh_config(5)."""
    return re.search(r'["%\s]', value) is None
