"""
Examines what connections need: secrets, keys, host keys, ports, tunnels, and whether each proxy lets us in.

Only `check_proxies` connects, and only to proxies.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from remotestatus_playbook.protocol import PROXIES, SOCKET_NAME, SOCKET_PATH, Order

from remotestatus.evaluate import advise, advise_proxy, dead_tunnels, read_proxy
from remotestatus.history import History
from remotestatus.model.errors import RoundError
from remotestatus.model.text import count, join_names
from remotestatus.model.untrusted_text import one_line
from remotestatus.probe import read_configuration
from remotestatus.setup.doctor.examined import Examined, Result, fine, say_trouble, skipped, warning, wrong
from remotestatus.setup.doctor.machine import run
from remotestatus.setup.known_hosts import find_untrusted

_LARGEST_FILE = 1_000_000
_NAMED = 8
_names = partial(join_names, most=_NAMED - 1)
_GLOBAL_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
_LOOSE = re.compile(r"StrictHostKeyChecking\s*[= ]\s*(no|off|accept-new)$", re.IGNORECASE)
_CLEAR_PASSWORD = re.compile(
    r"""ansible_(?:ssh_)?pass(?:word)?["']?\s*[:=]\s*["']?(?!\s*["']?(?:!vault|\{\{|\$ANSIBLE_VAULT))[^\s"'{!]"""
)

Key = TypeVar("Key")


def _names_by(pairs: Iterable[tuple[Key, str]]) -> dict[Key, list[str]]:
    """The names that have the same key, by that key."""
    found: dict[Key, list[str]] = {}
    for key, name in pairs:
        found.setdefault(key, []).append(name)
    return found


# -- secrets -----------------------------------------------------------------------------------------------------------


def check_vault(examined: Examined) -> Iterator[Result]:
    """Check that the Vault can be read, and no password is clear text."""
    texts = {path: _text_of(path) for path in _inventory_files(examined)}
    vaulted = [path for path, text in texts.items() if "$ANSIBLE_VAULT;" in text]
    if any("vault" in problem.lower() for problem in examined.problems):
        return  # Reported already.
    if examined.is_read:
        counted = f"{count(len(vaulted), 'file')} with vaulted values, and all of them can be read"
        yield fine(f"Vault: {counted if vaulted else 'nothing is vaulted'}")
    for path, text in texts.items():
        if _CLEAR_PASSWORD.search(text) and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield warning(
                f"{path} holds a password in clear, and others on this machine may read it",
                f"chmod 600 {path}, or better: ansible-vault encrypt_string",
            )


def _inventory_files(examined: Examined) -> Iterator[Path]:
    """The files of the inventory that may hold variables."""
    for source in examined.source.paths:
        folders = [source] if source.is_dir() else [source.parent / "group_vars", source.parent / "host_vars"]
        if source.is_file():
            yield source
        for folder in folders:
            for place, inner, names in os.walk(folder):
                inner[:] = [name for name in inner if not name.startswith(".")]
                yield from (Path(place) / name for name in names if not name.startswith("."))


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace") if path.stat().st_size <= _LARGEST_FILE else ""
    except OSError:
        return ""


def check_keys(examined: Examined) -> Iterator[Result]:
    """Check that every key file exists, is private, and needs no typed passphrase."""
    users = _names_by((key_file, name) for name in examined.by_ssh if (key_file := examined.hosts[name].key_file))
    good = 0
    for key_file, names in users.items():
        path = examined.inventory.base / key_file
        results = list(check_key(path, names))
        good += not results
        yield from results
    if good:
        yield fine(f"{count(good, 'private key file')} can be used")
    hosts = ((name, examined.hosts[name]) for name in examined.by_ssh)
    keyless = [name for name, host in hosts if not host.key_file and not host.password]
    defaults = sorted((Path.home() / ".ssh").glob("id_*[!b]"))
    if keyless and not defaults and not (Path.home() / ".ssh/config").exists():
        yield warning(
            f"{_names(keyless)}: neither a key file nor a password is set, and there is no key in ~/.ssh",
            "set ansible_ssh_private_key_file, or make a key: ssh-keygen -t ed25519",
        )


def check_key(path: Path, names: Sequence[str]) -> Iterator[Result]:
    """Check that this private key exists, is private, and needs no passphrase; empty if so."""
    whose = f"the key {path} (for {_names(names)})"
    try:
        found = path.stat()
        path.open("rb").close()
    except FileNotFoundError:
        yield wrong(f"{whose} does not exist", f"make it: ssh-keygen -t ed25519 -f {path}, or correct the path")
        return
    except OSError as error:
        yield wrong(
            f"{whose} cannot be read: {error.strerror}", f"chown it to the user who runs rounds, and chmod 600 {path}"
        )
        return
    if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        yield wrong(f"{whose} has mode {mode}: others may read it, so ssh refuses it", f"chmod 600 {path}")
        return
    code, output = run("ssh-keygen", "-y", "-P", "", "-f", str(path))
    if code == 0:
        return
    if "incorrect passphrase" not in output:
        yield wrong(f"{whose} is no usable private key: {one_line(output, 150)}", "name the private key, not the .pub")
    elif _in_agent(path):
        yield warning(
            f"{whose} has a passphrase; your ssh-agent holds it, but a timer has no agent",
            "give rounds a key of their own without a passphrase",
        )
    else:
        yield wrong(
            f"{whose} has a passphrase, and nobody is there to type it",
            f"give rounds a key of their own without a passphrase, or: ssh-add {path}",
        )


def _in_agent(path: Path) -> bool:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return False
    _, held = run("ssh-add", "-l")
    code, output = run("ssh-keygen", "-l", "-f", str(path))
    words = output.split()
    return code == 0 and len(words) > 1 and words[1] in held.split()


# -- host keys ---------------------------------------------------------------------------------------------------------


def check_host_keys(examined: Examined) -> Iterator[Result]:
    """Every remote and proxy has a host key that is trusted."""
    path = examined.inventory.known_hosts
    if not examined.by_ssh:
        return
    if path.exists() and not os.access(path, os.W_OK):
        yield warning(f"{path} cannot be written, so `remotestatus trust` cannot add to it", f"chmod u+w {path}")
    try:
        unknown = find_untrusted(path, examined.by_ssh, "\n".join(map(_text_of, _GLOBAL_KNOWN_HOSTS)))
    except RoundError as error:
        yield wrong(f"the file of trusted host keys {error}", f"chmod 644 {path}")
        return
    if unknown:
        few = len(unknown) <= _NAMED and path.exists()
        missing = "" if path.exists() else f" (there is no file {path} yet)"
        yield wrong(
            f"the host key of {_names(unknown)} is not known{missing}: a round will not log in there",
            " ".join(["remotestatus trust", *(unknown if few else ())]),
        )
    else:
        yield fine(f"the host keys of all {len(examined.by_ssh)} hosts are known")


def check_strictness(examined: Examined) -> Iterator[Result]:
    """Check that hosts verify host keys."""
    loose = [name for name in examined.by_ssh if any(map(_LOOSE.match, examined.hosts[name].ssh_options))]
    if loose:
        yield warning(
            f"{_names(loose)}: the inventory switches host key checking off, so anybody may answer in its place",
            "take StrictHostKeyChecking out of ansible_ssh_common_args, and: remotestatus trust",
        )


def check_ignored(examined: Examined) -> Iterator[Result]:
    """Check for Ansible settings that have no effect here, for all hosts or for one."""
    hosts = [(name, host) for name, host in examined.hosts.items() if name in examined.inventory.limited_to]
    named = _names_by((variable, name) for name, host in hosts for variable in host.ignored)
    if everywhere := read_configuration(examined.playbooks.source.base).without_effect:
        yield warning(
            f"in an ansible.cfg or the environment, without effect here: {', '.join(everywhere)}",
            "docs/connections.md says what takes their place",
        )
    for variable, names in named.items():
        yield warning(
            f"{variable} (of {_names(names)}) means something to Ansible, and nothing here",
            "docs/connections.md says what takes its place",
        )


# -- connections -----------------------------------------------------------------------------------------------------


def check_configuration(examined: Examined) -> Iterator[Result]:
    """Check that socket paths are short enough, and that ssh accepts a round's configuration."""
    length = len(os.fsencode(examined.playbooks.workdir)) + len("/") + SOCKET_NAME
    if length > SOCKET_PATH:
        yield wrong(
            f"paths of shared connections would have {length} bytes, and {SOCKET_PATH} is the most",
            "export TMPDIR=/tmp",
        )
    configurations = {str(examined.playbooks.ssh_config): "host.invalid"}
    # Hosts with their own file (-F) have a separate configuration.
    reached = (*examined.inventory.ssh.proxies.items(), *examined.inventory.ssh.hosts.items())
    configurations |= {arguments[1]: name for name, arguments in reached if arguments[0] == "-F"}
    refused = False
    for configuration, host in configurations.items():
        code, output = run("ssh", "-F", configuration, "-G", host)
        if code != 0:
            refused = True
            yield wrong(
                f"ssh does not take its configuration: {one_line(output, 250)}",
                "correct ~/.ssh/config or /etc/ssh/ssh_config, which are read too, or what the inventory names with -F",
            )
    if not refused:
        yield fine("ssh takes the configuration that a round writes for it, together with your own")


def check_programs(examined: Examined) -> Iterator[Result]:
    """List what is reached by a ProxyCommand other than `ssh`, and the drawbacks."""
    remotes = [remote for remote in examined.inventory.fleet.remotes if remote.program and not remote.path]
    for program, names in _names_by((remote.program, remote.name) for remote in remotes).items():
        verb = "is reached by its" if len(names) == 1 else "are reached by their"
        yield warning(
            f"{_names(names)} {verb} own ProxyCommand ({program}): each makes a connection of its own, and what fails "
            "in that program reads as a failure of the remote",
            "if it leads to an SSH server, name that in a ProxyJump, or in a ProxyCommand with ssh -W %h:%p",
        )
    for proxy in examined.inventory.fleet.proxies:
        if proxy.program:
            yield fine(
                f"the proxy {proxy.name} is reached by its own ProxyCommand ({proxy.program}), once a round for all "
                "that is behind it; what fails in that program reads as a failure of the proxy"
            )


def check_ports(examined: Examined) -> Iterator[Result]:
    """Check that no two remotes have the same address or virtual port."""
    remotes = examined.inventory.fleet.remotes
    places = _names_by(
        ((one.path, one.address, one.port or 22), one.name) for one in remotes if one.connection == "ssh"
    )
    virtual = _names_by((port, one.name) for one in remotes if (port := one.settings.forwarded_port))
    for (path, address, port), names in places.items():
        if len(names) > 1:
            through = f" behind {path[-1]}" if path else ""
            yield warning(
                f"{_names(names)} are the same place: {address} port {port}{through}",
                "give each its own ansible_port, the remote port of its tunnel",
            )
    for port, names in virtual.items():
        if len(names) > 1:
            yield warning(
                f"{_names(names)} share the virtual port {port}: only one of them can be mapped at a time",
                "give each its own remotestatus_forwarded_port",
            )


def check_proxies(examined: Examined) -> Iterator[Result]:
    """Log in to every proxy."""
    fleet, limited_to = examined.inventory.fleet, examined.inventory.limited_to
    wanted = {proxy for remote in fleet.remotes if remote.name in limited_to for proxy in remote.path}
    wanted |= {name for name in limited_to if PROXIES in examined.hosts[name].groups}
    proxies = [proxy for proxy in fleet.proxies if proxy.name in wanted]
    if not proxies:
        yield fine("no remote is behind a proxy")
        return
    if examined.offline:
        yield skipped(f"{_names([proxy.name for proxy in proxies])}: not connected to (--offline)")
        return
    answers = examined.playbooks.probe(Order(names=tuple(sorted(limited_to)), proxies_only=True))
    if answers.trouble:
        yield wrong(answers.trouble)
    for proxy in proxies:
        result = read_proxy(proxy, answers.proxies.get(proxy.alias), examined.now)
        if result.trouble is None:
            took = f" ({result.connect_ms} ms)" if result.connect_ms is not None else ""
            yield fine(f"the proxy {proxy.name} lets us in{took}")
        else:
            yield wrong(f"the proxy {proxy.name}: {say_trouble(result.trouble)}", result.trouble.hint)
    yield fine(
        "a round opens one connection to each proxy and sends everything through it, so a stock sshd's MaxStartups and "
        "MaxSessions are enough; forwarding has to be allowed there (AllowTcpForwarding)"
    )


def check_tunnels(examined: Examined) -> Iterator[Result]:
    """Report the last round's advice on the tunnels of remotes."""
    fleet = examined.inventory.fleet
    results = examined.ask_history(History.check_results) or {}
    seen = [remote for remote in fleet.remotes if remote.name in results and results[remote.name].tunnels]
    by_sentence = _names_by((sentence, one.name) for one in seen for sentence in advise(one, fleet, results))
    for sentence, names in by_sentence.items():
        yield warning(f"{join_names(names, 6)}: {sentence}", "docs/tunnel.md shows a tunnel that keeps itself up")
    if seen and not by_sentence:
        yield fine(f"the tunnels of {count(len(seen), 'remote')} are kept as they should be")


def check_looks(examined: Examined) -> Iterator[Result]:
    """Report what the last round found on probed proxies, and on their tunnels' ports."""
    fleet = examined.inventory.fleet
    if not fleet.looked_at:
        return
    results = examined.ask_history(History.check_results) or {}
    dead = dead_tunnels(examined.ask_history(History.states) or {})
    for proxy in fleet.looked_at:
        result = results.get(proxy.name)
        if result is None:
            continue
        for note in result.facts.notes:
            yield warning(f"{proxy.name}: {note}", "docs/limits.md says what account it needs")
        advice = advise_proxy(fleet, result, dead)
        for sentence in advice:
            yield warning(f"{proxy.name}: {sentence}", "docs/limits.md explains what is looked for on a proxy")
        if not advice and not result.facts.notes:
            yield fine(f"the ports of the tunnels to {proxy.name} are as they should be")
