"""
Reads what Ansible knows of every host of the inventory, evaluated as in a play.

Takes `hostvars` as an action plugin gets them; returns plain values: each host's groups, its evaluated `remotestatus_`
variables, how it is connected to, and what could not be evaluated. Passwords are proved to be readable and never
returned.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from remotestatus_playbook.protocol import PREFIX, PROXIES, HostDescription, InventoryDescription, Proxy, SshAccess
from remotestatus_playbook.round_config import opening_arguments
from remotestatus_playbook.ssh_options import Options, PathError, split_options
from remotestatus_playbook.topology import Host, Topology, trace
from remotestatus_playbook.user_config import (
    mapped_arguments,
    reaching_arguments,
    user_config_end,
    write_user_config,
)

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


@dataclass
class _Variables:
    """The variables of one host, evaluated one by one; what fails becomes a problem of its entry."""

    entry: Entry
    raw: Mapping[str, Any]
    chosen: Mapping[str, Any]

    def evaluate(self, variable: str) -> Any:
        """The value in plain types, or None when it cannot be evaluated."""
        try:
            return plain(self.raw[variable])
        except Exception as error:
            self.entry.problems.append((variable, _first_line(error)))
            return None

    def last_of(self, names: Iterable[str], option: str = "") -> Any:
        """The last of these names that is set, else what was chosen for all hosts by this option."""
        found = self.chosen.get(option)
        for variable in names:
            if variable in self.raw:
                value = self.evaluate(variable)
                found = found if value is None else value
        return found

    def text_of(self, names: Iterable[str], option: str = "") -> str | None:
        """The same as text."""
        value = self.last_of(names, option)
        return None if value is None else str(value)


def _entry(name: str, raw: Mapping[str, Any], base: Path, chosen: Mapping[str, Any]) -> Entry:
    entry = Entry(name=name, groups=sorted(map(str, raw["group_names"])))
    variables = _Variables(entry, raw, chosen)
    for variable in raw:
        if variable.startswith(PREFIX):
            value = variables.evaluate(variable)
            if not any(problem[0] == variable for problem in entry.problems):
                entry.variables[variable] = value
    connection = str(variables.last_of(_CONNECTION) or "ssh")
    entry.connection = _SAME_CONNECTION.get(connection, connection)
    if entry.connection not in ("ssh", "local"):
        sentence = f"remotestatus checks remotes through ssh or local, and not through {connection!r}"
        entry.problems.append(("ansible_connection", sentence))
    entry.problems += [(one, f"not supported; {cure}") for one, cure in _NOT_SUPPORTED.items() if one in raw]
    entry.host = _host_of(variables, base)
    return entry


def _host_of(variables: _Variables, base: Path) -> Host:
    """How a host is connected to, with what Ansible's own variables say."""
    name = variables.entry.name
    key_file = variables.text_of(_KEY_FILE, "private_key_file")
    seconds = variables.text_of(_CONNECT_SECONDS, "timeout") or ""
    return Host(
        name=name,
        address=str(variables.last_of(_ADDRESS) or name),
        port=_port_of(variables),
        user=variables.text_of(_USER, "remote_user"),
        key_file=None if key_file is None else str(base / Path(key_file).expanduser()),
        password=variables.last_of(_PASSWORD) not in (None, ""),
        options=_options_of(variables),
        program=variables.text_of(_PROGRAM, "ssh_executable") or "ssh",
        connect_seconds=int(seconds) if seconds.isdigit() and int(seconds) > 0 else None,
    )


def _port_of(variables: _Variables) -> int | None:
    written = variables.last_of(_PORT, "port")
    try:
        port = None if written in (None, "") else int(written)
        if port is None or 0 < port < 65536:
            return port
    except (TypeError, ValueError):
        pass
    variables.entry.problems.append(("ansible_port", f"{written!r} is not a port; write a number from 1 to 65535"))
    return None


def _options_of(variables: _Variables) -> Options:
    texts = [variables.text_of((f"ansible_{option}",), option) for option in _ARGUMENTS]
    try:
        return split_options(*texts)
    except PathError as error:
        variables.entry.problems.append(("ansible_ssh_common_args", str(error)))
        return Options(None, None, ())


def passwords(hostvars: Mapping[str, Any], entries: Mapping[str, Entry]) -> dict[str, Callable[[], str]]:
    """How to learn the password of each host that has one, by name; only for handing it to `ssh`."""

    def of(name: str) -> str:
        variables = hostvars[name]
        return next((str(variables[one]) for one in reversed(_PASSWORD) if one in variables), "")

    return {name: partial(of, name) for name, entry in entries.items() if entry.host and entry.host.password}


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


def describe(
    entries: Mapping[str, Entry], topology: Topology, base: Path, limited_to: Iterable[str]
) -> InventoryDescription:
    """Everything about the inventory, for whoever started the playbook. No secrets are in it."""
    proxies = (
        Proxy(
            name=hop.name,
            alias=hop.spec,
            address=hop.host.address if hop.host else hop.target,
            port=hop.port,
            user=hop.user,
            path=tuple(before.name for before in hop.path),
            in_inventory=hop.host is not None,
        )
        for hop in topology.in_order()
    )
    return InventoryDescription(
        hosts={name: _describe_entry(entry, topology) for name, entry in entries.items()},
        proxies=tuple(proxies),
        ssh=describe_ssh(entries, topology, base),
        limited_to=tuple(limited_to),
        base=str(base),
    )


def describe_ssh(entries: Mapping[str, Entry], topology: Topology, base: Path) -> SshAccess:
    """How `ssh` reaches every host by hand."""
    hosts = _ssh_hosts(entries)
    known_hosts = known_hosts_of(entries, base)
    hops = topology.in_order()
    return SshAccess(
        blocks=write_user_config(topology, hosts, known_hosts=known_hosts),
        end=user_config_end(),
        hosts={name: reaching_arguments(host, topology, known_hosts=known_hosts) for name, host in hosts.items()},
        proxies={hop.spec: opening_arguments(hop) for hop in hops},
        jumps={hop.name: hop.written for hop in hops},
        key_names={hop.name: hop.host.name for hop in hops if hop.host is not None},
        mapped={name: mapped_arguments(host, known_hosts=known_hosts) for name, host in hosts.items()},
    )


def _describe_entry(entry: Entry, topology: Topology) -> HostDescription:
    last, host = topology.last_hop.get(entry.name), entry.host
    problem = topology.problems.get(entry.name)
    return HostDescription(
        groups=tuple(entry.groups),
        variables=entry.variables,
        problems=(*entry.problems, *([("ansible_ssh_common_args", problem)] if problem else [])),
        connection=entry.connection,
        address=host.address if host else entry.name,
        port=host.port if host else None,
        user=host.user if host else None,
        key_file=host.key_file if host else None,
        password=host is not None and host.password,
        ssh_options=host.options.rest if host else (),
        path=tuple(hop.name for hop in (*last.path, last)) if last else (),
    )


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


def _first_line(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return text[:300]
