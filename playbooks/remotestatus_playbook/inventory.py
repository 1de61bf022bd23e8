"""
Reads what Ansible knows of every host of the inventory, evaluated as in a play.

Takes `hostvars` as an action plugin gets them; returns plain values: each host's groups, its evaluated `remotestatus_`
variables, how it is connected to, and what could not be evaluated. Passwords are proved to be readable and never
returned.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from remotestatus_playbook.paths import (
    Host,
    Options,
    PathError,
    Topology,
    mapped_arguments,
    opening_arguments,
    reaching_arguments,
    split_options,
    trace,
    user_config_end,
    write_user_config,
)

PREFIX = "remotestatus_"
PROXIES = "proxies"
WORKDIR = "REMOTESTATUS_WORKDIR"

# Ansible lets several names mean the same; the last one that is set wins, as in its own ssh connection plugin.
_ADDRESS = ("inventory_hostname", "ansible_host", "ansible_ssh_host")
_PORT = ("ansible_port", "ansible_ssh_port")
_USER = ("ansible_user", "ansible_ssh_user")
_KEY_FILE = ("ansible_private_key_file", "ansible_ssh_private_key_file")
_PASSWORD = ("ansible_password", "ansible_ssh_password", "ansible_ssh_pass")
_ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")
_PROGRAM = ("ansible_ssh_executable",)
_CONNECT_SECONDS = ("ansible_ssh_timeout",)
_CONNECTION = ("ansible_connection",)
_SAME_CONNECTION = {
    "smart": "ssh",
    "ansible.builtin.ssh": "ssh",
    "paramiko": "ssh",
    "paramiko_ssh": "ssh",
    "ansible.builtin.paramiko_ssh": "ssh",
    "ansible.builtin.local": "local",
}
_NOT_SUPPORTED = {
    "ansible_private_key": "name the key's file in ansible_ssh_private_key_file",
    "ansible_ssh_private_key": "name the key's file in ansible_ssh_private_key_file",
    "ansible_ssh_pkcs11_provider": "write -o PKCS11Provider=... into ansible_ssh_common_args",
}


@dataclass
class Entry:
    """One host of the inventory; `problems` are (variable, sentence) pairs."""

    name: str
    groups: list[str]
    variables: dict[str, Any] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    connection: str = "ssh"
    host: Host | None = None


def read_entries(hostvars: Mapping[str, Any], base: Path, chosen: Mapping[str, Any]) -> dict[str, Entry]:
    """
    Evaluate every host's variables; what fails becomes a problem of its host.

    Relative paths start at `base`; `chosen` is what `chosen_for_all` found.
    """
    return {name: _entry(name, hostvars[name], base, chosen) for name in hostvars}


def chosen_for_all(config: Any) -> dict[str, Any]:
    """
    What an ansible.cfg, the environment or the command line say of every SSH connection, by option.

    `config` is Ansible's own `constants.config`, once its ssh connection plugin was loaded.
    """
    found = {}
    for option in ("remote_user", "private_key_file", "port", "ssh_executable", "timeout", *_ARGUMENTS):
        value, origin = config.get_config_value_and_origin(
            option, plugin_type="connection", plugin_name="ssh", variables={}
        )
        if origin != "default" and value not in (None, ""):
            found[option] = value
    return found


def _entry(name: str, variables: Mapping[str, Any], base: Path, chosen: Mapping[str, Any]) -> Entry:
    entry = Entry(name=name, groups=sorted(map(str, variables["group_names"])))

    def evaluated(variable: str) -> Any:
        try:
            return plain(variables[variable])
        except Exception as error:
            entry.problems.append((variable, _first_line(error)))
            return None

    def last_of(names: tuple[str, ...], option: str = "") -> Any:
        found = chosen.get(option)
        for variable in names:
            if variable in variables:
                value = evaluated(variable)
                found = found if value is None else value
        return found

    for variable in variables:
        if variable.startswith(PREFIX):
            value = evaluated(variable)
            if not any(problem[0] == variable for problem in entry.problems):
                entry.variables[variable] = value
    connection = str(last_of(_CONNECTION) or "ssh")
    entry.connection = _SAME_CONNECTION.get(connection, connection)
    if entry.connection not in ("ssh", "local"):
        sentence = f"remotestatus looks at remotes through ssh or local, and not through {connection!r}"
        entry.problems.append(("ansible_connection", sentence))
    entry.problems += [(one, f"not supported; {cure}") for one, cure in _NOT_SUPPORTED.items() if one in variables]
    port = last_of(_PORT, "port")
    try:
        port = None if port in (None, "") else int(port)
        if port is not None and not 0 < port < 65536:
            raise ValueError
    except (TypeError, ValueError):
        entry.problems.append(("ansible_port", f"{port!r} is not a port; write a number from 1 to 65535"))
        port = None
    options = Options(None, None, ())
    try:
        texts = [last_of((f"ansible_{option}",), option) for option in _ARGUMENTS]
        options = split_options(*(None if text is None else str(text) for text in texts))
    except PathError as error:
        entry.problems.append(("ansible_ssh_common_args", str(error)))
    user, key_file = last_of(_USER, "remote_user"), last_of(_KEY_FILE, "private_key_file")
    seconds = last_of(_CONNECT_SECONDS, "timeout")
    entry.host = Host(
        name=name,
        address=str(last_of(_ADDRESS) or name),
        port=port,
        user=None if user is None else str(user),
        key_file=None if key_file is None else str(base / Path(str(key_file)).expanduser()),
        password=last_of(_PASSWORD) not in (None, ""),
        options=options,
        program=str(last_of(_PROGRAM, "ssh_executable") or "ssh"),
        connect_seconds=int(seconds) if str(seconds).isdigit() and int(seconds) > 0 else None,
    )
    return entry


def passwords(hostvars: Mapping[str, Any], names: Iterable[str]) -> dict[str, Callable[[], str]]:
    """How to learn the password of each of these hosts; only for handing it to `ssh`."""

    def of(name: str) -> str:
        variables = hostvars[name]
        return next((str(variables[one]) for one in reversed(_PASSWORD) if one in variables), "")

    return {name: partial(of, name) for name in names}


def plain(value: Any) -> Any:
    """Copy a value into plain types that JSON can hold: Ansible's own carry tags."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return str(value)


def topology_of(entries: Mapping[str, Entry]) -> Topology:
    """The way to every host that is reached by SSH."""
    return trace(_ssh_hosts(entries), [name for name, entry in entries.items() if PROXIES in entry.groups])


def _ssh_hosts(entries: Mapping[str, Entry]) -> dict[str, Host]:
    return {name: entry.host for name, entry in entries.items() if entry.host and entry.connection == "ssh"}


def describe(entries: Mapping[str, Entry], topology: Topology) -> dict[str, Any]:
    """Everything about the inventory as plain values, for whoever started the playbook. No secrets are in it."""
    return {
        "hosts": {name: _describe_entry(entry, topology) for name, entry in entries.items()},
        "proxies": [
            {
                "name": hop.name,
                "alias": hop.spec,
                "address": hop.host.address if hop.host else hop.target,
                "port": hop.port,
                "user": hop.user,
                "path": [before.name for before in hop.path],
                "in_inventory": hop.host is not None,
            }
            for hop in topology.in_order()
        ],
    }


def describe_ssh(entries: Mapping[str, Entry], topology: Topology, base: Path) -> dict[str, Any]:
    """
    How `ssh` reaches every host by hand, as plain values.

    `blocks` of ssh_config(5) by name and the `end` that follows them with `ssh -F`; the arguments that lead through
    the round's own configuration to each of `hosts`, by name, and of `proxies`, by alias; and those that a host needs
    whose port is `mapped` to another place. Of each proxy, how the inventory writes it (`jumps`) and by what name its
    host key is looked up (`key_names`; not for one that only `ssh` knows).
    """
    hosts = _ssh_hosts(entries)
    known_hosts = known_hosts_of(entries, base)
    return {
        "blocks": write_user_config(topology, hosts, known_hosts=known_hosts),
        "end": user_config_end(),
        "hosts": {name: reaching_arguments(host, topology, known_hosts=known_hosts) for name, host in hosts.items()},
        "proxies": {hop.spec: opening_arguments(hop) for hop in topology.in_order()},
        "jumps": {hop.name: hop.written for hop in topology.in_order()},
        "key_names": {hop.name: hop.host.name for hop in topology.in_order() if hop.host is not None},
        "mapped": {name: mapped_arguments(host, known_hosts=known_hosts) for name, host in hosts.items()},
    }


def _describe_entry(entry: Entry, topology: Topology) -> dict[str, Any]:
    described = asdict(entry)
    host = entry.host
    described.pop("host")
    last = topology.last_hop.get(entry.name)
    problem = topology.problems.get(entry.name)
    if problem:
        described["problems"].append(("ansible_ssh_common_args", problem))
    if host is not None:
        described |= {
            "address": host.address,
            "port": host.port,
            "user": host.user,
            "key_file": host.key_file,
            "password": host.password,
            "ssh_options": list(host.options.rest),
            "path": [*(hop.name for hop in last.path), last.name] if last else [],
        }
    return described


def base_directory(variables: Mapping[str, Any]) -> Path:
    """The folder that holds the inventory: relative paths of our variables start there."""
    sources = [str(source) for source in variables.get("ansible_inventory_sources") or ()]
    first = next((source for source in sources if "," not in source), None)
    return Path(first).absolute().parent if first else Path.cwd()


def known_hosts_of(entries: Mapping[str, Entry], base: Path) -> Path:
    """The file of trusted host keys that the inventory names, or the default beside the inventory."""
    named = [entry.variables.get(f"{PREFIX}known_hosts") for entry in entries.values()]
    chosen = next((str(value) for value in named if value), "known_hosts")
    return base / Path(chosen).expanduser()


def workdir_of_environment() -> Path | None:
    """The round's private directory, when remotestatus itself started the playbook."""
    given = os.environ.get(WORKDIR)
    return Path(given) if given else None


def _first_line(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return text[:300]
