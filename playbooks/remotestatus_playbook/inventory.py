"""
Reads every host of the inventory, evaluated as in a play.

From `hostvars` it makes plain values: each host's groups, its evaluated `remotestatus_` variables, how it is connected
to, and what could not be evaluated. Passwords are evaluated as a test, but never returned. An error in one host is a
problem of that host only.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from remotestatus_playbook.become import Become, Plugins, become_of
from remotestatus_playbook.children import Password
from remotestatus_playbook.client_config import ClientConfig
from remotestatus_playbook.handed_passwords import take_passwords
from remotestatus_playbook.host_variables import HostVariables, needs_lookup, say_error, say_unreadable
from remotestatus_playbook.jump_steps import program_of
from remotestatus_playbook.order import given_proxy_names
from remotestatus_playbook.protocol import (
    BASE,
    PREFIX,
    PROXIES,
    ROUND,
    HostDescription,
    InventoryDescription,
    Proxy,
    SshAccess,
    folder_of_inventory,
)
from remotestatus_playbook.shared_evaluation import evaluate_all
from remotestatus_playbook.split_ssh_arguments import Options, PathError, split_options
from remotestatus_playbook.ssh_access import (
    end_of_blocks,
    mapped_arguments,
    name_by_hand,
    reaching_arguments,
    write_blocks,
)
from remotestatus_playbook.ssh_commands import opening_arguments
from remotestatus_playbook.topology import Host, Topology, place_of, trace

# Ansible lets several names mean the same; the last one that is set wins, as in its own ssh connection plugin.
_ADDRESS = ("inventory_hostname", "ansible_host", "ansible_ssh_host")
_PORT = ("ansible_port", "ansible_ssh_port")
_USER = ("ansible_user", "ansible_ssh_user")
_KEY_FILE = ("ansible_private_key_file", "ansible_ssh_private_key_file")
_PASSWORD = ("ansible_password", "ansible_ssh_password", "ansible_ssh_pass")
_BECOME_PASSWORD = ("ansible_become_pass", "ansible_become_password")
_ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")
_PROGRAM = ("ansible_ssh_executable",)
_CONNECT_SECONDS = ("ansible_timeout", "ansible_ssh_timeout")
_CONNECTION = ("ansible_connection",)
_SHELL_TYPE = ("ansible_shell_type",)
_SAME_CONNECTION = {
    "smart": "ssh",
    "ansible.builtin.ssh": "ssh",
    "ansible.legacy.ssh": "ssh",
    "ansible.builtin.local": "local",
    "ansible.legacy.local": "local",
}
_NO_SHELL = frozenset({"winrm", "psrp", "network_cli", "netconf", "httpapi", "persistent", "grpc", "napalm"})
"""Connection plugins for Windows and network devices, by the last part of their names: they have no POSIX shell."""

_IGNORED = (
    "ansible_control_path",
    "ansible_control_path_dir",
    "ansible_host_key_checking",
    "ansible_private_key_passphrase",
    "ansible_ssh_host_key_checking",
    "ansible_ssh_password_mechanism",
    "ansible_ssh_private_key_passphrase",
    "ansible_ssh_retries",
    "ansible_ssh_use_tty",
    "ansible_sshpass_prompt",
)
"""Variables that have no effect here; `docs/connections.md` has alternatives."""

_WINDOWS_SHELLS = frozenset({"powershell", "cmd", "pwsh"})
_NOT_SUPPORTED = {
    "ansible_private_key": "name the key's file in ansible_ssh_private_key_file",
    "ansible_ssh_private_key": "name the key's file in ansible_ssh_private_key_file",
    "ansible_ssh_pkcs11_provider": "write -o PKCS11Provider=... into ansible_ssh_common_args",
}


@dataclass
class Entry:
    """
    One host of the inventory; `problems` are (variable, sentence) pairs, and keep it from being probed.

    `unsupported` says why the probe cannot run there.
    """

    name: str
    groups: list[str]
    variables: dict[str, Any] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    connection: str = "ssh"
    host: Host | None = None
    become: Become | None = None
    unsupported: str = ""
    ignored: tuple[str, ...] = ()
    """Variables of Ansible's ssh plugin that have no effect here."""

    @property
    def by_plugin(self) -> bool:
        """Whether it needs Ansible's own connection: another plugin than ssh, or a become password."""
        return self.connection not in ("ssh", "local") or (self.become is not None and not self.become.command)


def read_entries(hostvars: Any, base: Path, plugins: Plugins, limited_to: Collection[str]) -> dict[str, Entry]:
    """
    Evaluate every host's variables; what fails becomes a problem of its host.

    Relative paths start at `base`. Passwords of hosts that are not in `limited_to` are not evaluated.
    """
    return evaluate_all(list(hostvars), lambda name: _entry(name, hostvars, base, plugins, prove=name in limited_to))


def chosen_for_all(config: Any, command_line: Mapping[str, Any]) -> dict[str, Any]:
    """
    The connection options from ansible.cfg, environment or command line, for all hosts.

    `config` is Ansible's own `constants.config`, once its ssh connection plugin was loaded; `command_line` holds its
    `CLIARGS`.
    """
    found = {}
    for option in ("remote_user", "private_key_file", "port", "ssh_executable", "timeout", *_ARGUMENTS):
        value, origin = config.get_config_value_and_origin(
            option, plugin_type="connection", plugin_name="ssh", variables={}
        )
        if origin != "default" and value not in (None, ""):
            found[option] = value
    for option in ("remote_user", "connection", "become", "become_method"):
        if command_line.get(option):
            found[option] = command_line[option]
    return found


def _entry(name: str, hostvars: Any, base: Path, plugins: Plugins, *, prove: bool) -> Entry:
    try:
        raw = hostvars[name]
        entry = Entry(name=name, groups=sorted(map(str, raw["group_names"])))
    except Exception as error:
        # A vars plugin may fail for a single host.
        return Entry(name=name, groups=[], problems=[("its variables", say_unreadable(error))])
    variables = HostVariables(raw, plugins.chosen, cache(partial(hostvars.raw_get, name)), entry.problems)
    for variable in raw:
        if variable.startswith(PREFIX):
            value = variables.evaluate(variable)
            if not any(problem[0] == variable for problem in entry.problems):
                entry.variables[variable] = value
    connection = str(variables.last_of(_CONNECTION, "connection") or "ssh")
    entry.connection = _SAME_CONNECTION.get(connection, connection)
    if any(letter.isspace() or letter in "*?!\"'#,\\" for letter in name) or name.startswith("-"):
        entry.problems.append(
            ("its name", "it may hold no spaces, quotes, backslashes, commas or * ? ! #, nor begin with -")
        )
        return entry  # keep it out of ssh's configuration
    entry.unsupported = _why_unsupported(variables, entry.connection, plugins)
    if entry.connection == "ssh":
        entry.ignored = tuple(one for one in _IGNORED if one in raw)
        entry.problems += [(one, f"not supported; {cure}") for one, cure in _NOT_SUPPORTED.items() if one in raw]
    if entry.unsupported:
        return entry
    jump_host, local = PROXIES in entry.groups, entry.connection == "local"
    password = plugins.any_password and not jump_host
    entry.host = _host_of(name, variables, base, password=password, prove=prove, ssh=entry.connection == "ssh")
    if not jump_host:
        entry.become = become_of(variables, plugins, None if local else entry.host.user, local=local)
    entry.problems[:] = dict.fromkeys(entry.problems)  # a variable may be evaluated for several options
    return entry


def _why_unsupported(variables: HostVariables, connection: str, plugins: Plugins) -> str:
    """Why the probe cannot run there; a missing connection plugin is a problem of the host."""
    if connection.rpartition(".")[2] in _NO_SHELL:
        return f"ansible_connection: {connection}"
    shell = variables.text_of(_SHELL_TYPE)
    if shell in _WINDOWS_SHELLS:
        return f"ansible_shell_type: {shell}"
    if connection in ("ssh", "local"):
        return ""
    try:
        plugin = plugins.connection(connection)
    except Exception as error:
        variables.problems.append(("ansible_connection", say_error(error)))
        return ""
    if plugin is None:
        sentence = f"Ansible has no connection plugin {connection!r}; correct it, or install the collection that has it"
        variables.problems.append(("ansible_connection", sentence))
    else:
        _prove(variables, plugins.connection_variables(plugin))
    kept = getattr(plugin, "force_persistence", False) or getattr(plugin, "supports_persistence", False)
    windows = ".ps1" in getattr(plugin, "module_implementation_preferences", ())
    return f"ansible_connection: {connection}" if kept or windows else ""


def _prove(variables: HostVariables, names: Iterable[str]) -> None:
    """Evaluate a plugin's variables in advance, to report failures by name, except lookups."""
    for name in names:
        if name in variables.raw and not needs_lookup(variables.written(), name):
            variables.evaluate(name)


def _host_of(name: str, variables: HostVariables, base: Path, *, password: bool, prove: bool, ssh: bool) -> Host:
    """How a host is connected to, with what Ansible's own variables say."""
    key_file = variables.text_of(_KEY_FILE, "private_key_file")
    key_path = None if key_file is None else str(base / Path(key_file).expanduser())
    if ssh and key_path and not os.access(key_path, os.R_OK):
        why = (
            "cannot be read; chmod or chown it"
            if Path(key_path).exists()
            else "does not exist; correct it or make the key there"
        )
        variables.problems.append((variables.name_of(_KEY_FILE), f"{key_file} {why}"))
    seconds = variables.text_of(_CONNECT_SECONDS, "timeout") or ""
    if ssh and seconds and not (seconds.isdigit() and int(seconds) > 0):
        variables.problems.append((variables.name_of(_CONNECT_SECONDS), f"{seconds!r} is not a number of seconds"))
        seconds = ""
    return Host(
        name=name,
        address=str(variables.last_of(_ADDRESS) or name),
        port=_port_of(variables),
        user=variables.text_of(_USER, "remote_user"),
        key_file=key_path,
        password=variables.has_secret(_PASSWORD, prove=prove) or password,
        options=_options_of(variables, base),
        program=variables.text_of(_PROGRAM, "ssh_executable") or "ssh",
        connect_seconds=int(seconds) if seconds else None,
    )


def _port_of(variables: HostVariables) -> int | None:
    written = variables.last_of(_PORT, "port")
    try:
        port = None if written in (None, "") else int(written)
        if port is None or 0 < port < 65536:
            return port
    except (TypeError, ValueError):
        pass
    variables.problems.append((variables.name_of(_PORT), f"{written!r} is not a port; write a number from 1 to 65535"))
    return None


def _options_of(variables: HostVariables, base: Path) -> Options:
    texts = {option: variables.text_of((f"ansible_{option}",), option) for option in _ARGUMENTS}
    problems = []
    for option, text in texts.items():
        try:
            split_options(text)
        except PathError as error:
            # Options of ansible.cfg or the environment are no variable of the host.
            problems.append((f"ansible_{option}" if f"ansible_{option}" in variables.raw else option, str(error)))
    if problems:
        variables.problems += problems
        return Options()
    options = split_options(*texts.values(), base=base)
    if options.config and not Path(options.config).is_file():
        variables.problems.append(("ansible_ssh_common_args", f"-F {options.config}: there is no such file"))
    return options


def passwords(hostvars: Any, names: Iterable[str], given: str = "") -> dict[str, Password]:
    """How to get the passwords of these hosts; `given` is for those without their own."""
    sent = take_passwords()
    found = {name: sent.get(name) or _password(hostvars, name, _PASSWORD, given) for name in names}
    return {name: password for name, password in found.items() if password is not None}


def become_password(hostvars: Any, name: str, given: str) -> Password | None:
    """How to get a host's become password, if any; `given` is the default."""
    return _password(hostvars, name, _BECOME_PASSWORD, given)


def _password(hostvars: Any, name: str, variables: Sequence[str], given: str) -> Password | None:
    written = hostvars.raw_get(name)
    own = [variable for variable in variables if variable in written]
    if not own and not given:
        return None
    slow = any(needs_lookup(written, variable) for variable in own)
    return Password(cache(partial(_evaluate_password, hostvars, name, own, given)), slow, *own[-1:])


def _evaluate_password(hostvars: Any, name: str, variables: Sequence[str], given: str) -> str:
    value = hostvars[name][variables[-1]] if variables else None
    return given if value in (None, "") else str(value)


def topology_of(entries: Mapping[str, Entry], base: Path) -> Topology:
    """The path to every host that is reached by SSH."""
    proxies = [name for name, entry in entries.items() if PROXIES in entry.groups]
    return trace(_ssh_hosts(entries), proxies, ClientConfig(), base, given_proxy_names())


def _ssh_hosts(entries: Mapping[str, Entry]) -> dict[str, Host]:
    return {name: entry.host for name, entry in entries.items() if entry.host and entry.connection == "ssh"}


def describe(
    entries: Mapping[str, Entry],
    topology: Topology,
    base: Path,
    limited_to: Iterable[str],
    config_for: Callable[[str], Path],
) -> InventoryDescription:
    """
    Describe the inventory: without passwords, but with other secrets (URLs, commands of checks).

    `config_for` returns the round's configuration for a host with its own file (`-F`).
    """
    proxies = (
        Proxy(
            name=hop.name,
            alias=hop.spec,
            address=hop.place[0] or hop.address,
            port=hop.port or (hop.place[1] if hop.place[1] != 22 else None),
            user=hop.user,
            path=tuple(before.name for before in hop.path),
            in_inventory=hop.host is not None,
            program=program_of(hop.command or ""),
        )
        for hop in topology.in_order()
    )
    return InventoryDescription(
        hosts={name: _describe_entry(entry, topology) for name, entry in entries.items()},
        proxies=tuple(proxies),
        ssh=describe_ssh(entries, topology, base, config_for),
        limited_to=tuple(limited_to),
        base=str(base),
    )


def describe_ssh(
    entries: Mapping[str, Entry], topology: Topology, base: Path, config_for: Callable[[str], Path]
) -> SshAccess:
    """How `ssh` reaches every host by hand."""

    def with_config(config: str | None, arguments: Sequence[str]) -> list[str]:
        return [*(["-F", str(config_for(config))] if config else []), *arguments]

    hosts = _ssh_hosts(entries)
    known_hosts = known_hosts_of(entries, base)
    hops = topology.in_order()
    access = SshAccess(
        blocks=write_blocks(topology, hosts, known_hosts=known_hosts),
        end=end_of_blocks(),
        jumps={hop.name: name_by_hand(hop) for hop in hops},
        key_names={hop.name: hop.host.key_name for hop in hops if hop.host is not None},
    )
    if ROUND in os.environ:
        return access
    return replace(
        access,
        hosts={
            name: with_config(host.options.config, reaching_arguments(host, topology, known_hosts=known_hosts))
            for name, host in hosts.items()
        },
        proxies={hop.spec: with_config(hop.config, opening_arguments(hop)) for hop in hops},
        mapped={name: mapped_arguments(host, known_hosts=known_hosts) for name, host in hosts.items()},
    )


def _describe_entry(entry: Entry, topology: Topology) -> HostDescription:
    last, host = topology.last_hop.get(entry.name), entry.host
    problem = topology.problems.get(entry.name)
    address, port = place_of(host, topology) if host else (entry.name, None)
    return HostDescription(
        groups=tuple(entry.groups),
        variables=entry.variables,
        problems=(*entry.problems, *([("ansible_ssh_common_args", problem)] if problem else [])),
        connection=entry.connection,
        ignored=entry.ignored,
        become_method=entry.become.method if entry.become else "",
        become_user=entry.become.user if entry.become else "",
        address=address,
        port=port if port != 22 or (host and host.port) else None,
        user=host.user if host else None,
        key_file=host.key_file if host else None,
        password=host is not None and host.password,
        ssh_options=host.options.rest if host else (),
        path=tuple(hop.name for hop in (*last.path, last)) if last else (),
        program=program_of(topology.commands.get(entry.name, "")),
    )


def base_directory(variables: Mapping[str, Any]) -> Path:
    """The folder that holds the inventory: relative paths of our variables start there."""
    if BASE in os.environ:
        return Path(os.environ[BASE])
    sources = [str(source) for source in variables.get("ansible_inventory_sources") or ()]
    first = next((source for source in sources if "," not in source), None)
    return Path(folder_of_inventory(Path(first).absolute())) if first else Path.cwd()


def known_hosts_of(entries: Mapping[str, Entry], base: Path) -> Path:
    """The file of trusted host keys that the inventory names, or the default beside the inventory."""
    named = [entry.variables.get(f"{PREFIX}known_hosts") for entry in entries.values()]
    chosen = next((str(value) for value in named if value), "known_hosts")
    return base / Path(chosen).expanduser()
