"""
What `ssh`, `tunnel` and `ssh-config` share: which remote or proxy a name means, and the configuration for `ssh`.

The playbook's own code writes the blocks of the configuration. The file lies in the user's cache folder and not in a
temporary one, because `ssh` reads it again for each jump, and this process is replaced by `ssh`.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

from remotestatus.cli.options import choose
from remotestatus.model.errors import ConfigurationError, RoundError
from remotestatus.model.fleet import Inventory, Proxy, Remote
from remotestatus.probe import AnsibleSource
from remotestatus.setup import find_untrusted


def find(inventory: Inventory, name: str) -> Remote | Proxy:
    """The remote or proxy of this name. Raises ConfigurationError, with the nearest name, when there is none."""
    (found,) = choose([name], known_names(inventory))
    if problem := inventory.problems.get(found):
        raise ConfigurationError(f"the inventory does not say how to reach {found}: {problem}")
    fleet = inventory.fleet
    return fleet.remotes_by_name.get(found) or next(proxy for proxy in fleet.proxies if proxy.name == found)


def find_remote(inventory: Inventory, name: str) -> Remote:
    """The remote of this name. Raises ConfigurationError for a proxy's, and when there is none."""
    found = find(inventory, name)
    if isinstance(found, Proxy):
        behind = inventory.fleet.behind(found.name)
        example = f", for example {behind[0].name}" if behind else ""
        raise ConfigurationError(f"{name} is a proxy; name a remote{example}")
    return found


def known_names(inventory: Inventory) -> dict[str, str]:
    """All names of remotes and proxies, with the remotes' nicknames."""
    names = {proxy.name: "" for proxy in inventory.fleet.proxies}
    return names | {remote.name: remote.settings.nickname for remote in inventory.fleet.remotes}


def must_be_ssh(subject: Remote | Proxy) -> None:
    """Raise ConfigurationError for a remote that is not reached by SSH."""
    if isinstance(subject, Remote) and subject.connection != "ssh":
        where = "it is this machine itself" if subject.connection == "local" else f"it uses {subject.connection}"
        raise ConfigurationError(
            f"{subject.name} is not reached by SSH: {where} (ansible_connection: {subject.connection})"
        )


def ssh_target(inventory: Inventory, subject: Remote | Proxy) -> list[str]:
    """The arguments of `ssh` that mean this remote or proxy under the configuration of `write_config`."""
    if isinstance(subject, Remote):
        return [subject.name]
    jumps = inventory.ssh.jumps
    way = ["-J", ",".join(jumps[name] for name in subject.path)] if subject.path else []
    return [*way, inventory.ssh.destination(subject.name)]


def write_config(source: AnsibleSource, inventory: Inventory) -> Path:
    """Write the configuration for `ssh -F`; the same inventory always gives the same file."""
    text = "\n".join([ssh_config_text(inventory), inventory.ssh.end])
    paths = "\0".join(str(path.absolute()) for path in source.paths)
    name = hashlib.sha256(paths.encode("utf-8", "surrogateescape")).hexdigest()[:16] + ".conf"
    given = os.environ.get("XDG_CACHE_HOME", "")
    cache = (Path(given) if given.startswith("/") else Path.home() / ".cache") / "remotestatus"
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _write(cache, name, text)
    except OSError:
        pass
    try:
        return _write(Path(tempfile.mkdtemp(prefix="remotestatus-ssh-")), name, text)
    except OSError as error:
        raise RoundError(f"no configuration for ssh could be written: {error.strerror}; is TMPDIR writable?") from error


def _write(folder: Path, name: str, text: str) -> Path:
    descriptor, unfinished = tempfile.mkstemp(prefix=f".{name}", dir=folder)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return Path(unfinished).rename(folder / name)


def ssh_config_text(inventory: Inventory, names: Iterable[str] | None = None) -> str:
    """The Host blocks of these names and of their proxies; without names, all blocks."""
    blocks = inventory.ssh.blocks
    wanted: dict[str, None] = dict.fromkeys(blocks if names is None else ())
    for name in names or ():
        subject = find(inventory, name)
        wanted |= dict.fromkeys([*subject.path, name])
    return "\n".join(dict.fromkeys(blocks[name] for name in wanted if name in blocks))


def say_before_ssh(inventory: Inventory, subject: Remote | Proxy) -> None:
    """Say on standard error which host keys are missing and which passwords `ssh` will ask for."""
    names = [inventory.ssh.key_names.get(name, name) for name in (*subject.path, subject.name)]
    hosts = [name for name in names if name in inventory.ssh.hosts]
    unknown = find_untrusted(inventory.known_hosts, hosts)
    if unknown:
        note(
            f"no host key is trusted yet for {', '.join(unknown)}; `remotestatus trust {' '.join(unknown)}` collects "
            "and shows it"
        )
    asked = [name for name in hosts if name in inventory.passwords]
    if asked and sys.stdin.isatty():
        note(f"ssh will ask for the password of {' and of '.join(asked)}; the inventory's is not handed to it")


def note(sentence: str) -> None:
    """Print a sentence on standard error, where it does not mix with results."""
    click.echo(f"remotestatus: {sentence}", err=True)
