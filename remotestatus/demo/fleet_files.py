"""
Writes a fleet's directory: inventory, host keys to trust, login keys and the remotes' programs.

The inventory is formatted as if by hand, because people copy from it. Texts are quoted as JSON, which is YAML too.
Everything is written anew at each start, with new keys and a new password.
"""

import json
import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from remotestatus.demo.layout import Layout
from remotestatus.demo.members import MEMBERS, PROXY, PROXY_USER, Member
from remotestatus.demo.ports import LOOPBACK, Ports

_PROGRAM = '''\
"""Takes the place of a program of this remote: waits until its fleet has ended, or for a day."""

import select
import sys

select.select([sys.stdin], [], [], 24 * 3600)
'''

_ALL = """\
# Settings of the whole fleet. Relative paths start at the folder that holds the inventory folder.
remotestatus_title: Demo fleet
remotestatus_every: 10m                       # how often `remotestatus run` is started
remotestatus_site: site                       # the status page
remotestatus_database: history.sqlite3
remotestatus_known_hosts: known_hosts         # `remotestatus trust` collects these

# Who is notified: here the demo's own receiver, which writes what it gets to messages.jsonl.
remotestatus_apprise:
  - {{name: demo, url: {receiver}}}
"""

_REMOTES = """\
# Five remotes that are reached through one proxy. Each keeps a reverse tunnel: its own SSH server appears on the
# proxy's loopback, at the port given here as ansible_port.
all:
  children:
    proxies:
      hosts:
        {proxy}:
          remotestatus_look_at_proxies: true                   # it has a shell, so it is probed as a remote is
          ansible_host: {loopback}
          ansible_port: {port}
          ansible_user: {user}
          ansible_ssh_private_key_file: {key}

    remotes:
      vars:
        ansible_host: {loopback}                               # as seen from the proxy
        ansible_ssh_common_args: -o ProxyJump={proxy}    # a name of this inventory
        ansible_ssh_private_key_file: {remote_key}
      children:
{groups}"""


def write_directory(
    layout: Layout, ports: Ports, password: str, *, keys: Mapping[str, str], host_keys: Mapping[str, str]
) -> None:
    """
    Writes all files into the directory, which must exist.

    `keys` are the private ones that log in at the proxy and at the remotes, `host_keys` the public ones by inventory
    name, all in OpenSSH's text formats.
    """
    layout.messages.unlink(missing_ok=True)
    layout.keys.mkdir(mode=0o700, exist_ok=True)
    for name, key in keys.items():
        write_private(layout.keys / name, key)
    layout.known_hosts.write_text("".join(f"{name} {key.strip()}\n" for name, key in host_keys.items()))
    _write_programs(layout)
    group_vars = layout.inventory / "group_vars"
    group_vars.mkdir(parents=True, exist_ok=True)
    receiver = json.dumps(f"json://{LOOPBACK}:{ports.receiver}/")
    write_private(group_vars / "all.yml", _ALL.format(receiver=receiver))
    write_private(layout.inventory / "remotes.yml", _compose_inventory(layout, ports, password))


def _write_programs(layout: Layout) -> None:
    layout.programs.mkdir(exist_ok=True)
    python = layout.programs / "python"
    python.unlink(missing_ok=True)
    # The inventory asks for `python`, and the interpreter may be called python3.11.
    python.symlink_to(sys.executable)
    layout.home(PROXY).mkdir(parents=True, exist_ok=True)
    for member in MEMBERS:
        home = layout.home(member.name)
        home.mkdir(parents=True, exist_ok=True)
        for program in member.programs:
            (home / program.words.split()[1]).write_text(_PROGRAM, encoding="utf-8")


def _compose_inventory(layout: Layout, ports: Ports, password: str) -> str:
    groups: list[str] = []
    for group, members in groupby(enumerate(MEMBERS), key=lambda item: item[1].group):
        hosts = (_compose_host(member, position, ports, password) for position, member in members)
        groups.append(f"        {group}:\n          hosts:\n" + "\n".join(hosts))
    return _REMOTES.format(
        proxy=PROXY,
        loopback=LOOPBACK,
        port=ports.proxy,
        user=PROXY_USER,
        key=json.dumps(str(layout.keys / "proxy")),
        remote_key=json.dumps(str(layout.keys / "remotes")),
        groups="\n".join(groups),
    )


def _compose_host(member: Member, position: int, ports: Ports, password: str) -> str:
    lines = [f"ansible_port: {ports.tunnel(position)}", f"ansible_user: {member.user}"]
    if member.by_password:
        lines.append(f"ansible_password: {json.dumps(password)}    # keep yours in Ansible Vault")
    lines += [
        f"remotestatus_nickname: {member.nickname}",
        f"remotestatus_description: {member.description}",
        f"remotestatus_location: {member.location}",
        f"remotestatus_forwarded_port: {1001 + position}",
        "remotestatus_processes:",
        *(f"  - {program.setting or program.words}" for program in member.programs),
    ]
    return f"            {member.name}:\n" + "".join(f"              {line}\n" for line in lines)


def write_private(file: Path, text: str) -> None:
    """Writes a file that nobody else can read, not even for a moment."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
