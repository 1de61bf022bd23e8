"""
Writes the text of a new inventory: commented, pretty, and safe for any input.

Answers come in (from `remotestatus init`, from an SSH configuration, or from the old Django app); file texts go out,
by their path below the inventory's folder. Nothing is written or asked here. Every value is quoted when YAML could
take it for something else, and marked `!unsafe` when Ansible could take it for a template.
"""

import hashlib
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

import yaml

from remotestatus.model.durations import write_duration

REMOTES_FILE = "inventory/remotes.yml"
VARIABLES_FILE = "inventory/group_vars/all/vars.yml"
VAULT_FILE = "inventory/group_vars/all/vault.yml"
KNOWN_HOSTS_FILE = "known_hosts"

_WIDTH = 110
_HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)
_RESERVED = frozenset({"all", "ungrouped", "proxies", "localhost"})
_PLAIN = re.compile(r"[A-Za-z/~][A-Za-z0-9 _./~@+-]*", re.ASCII)


class PasswordStore(StrEnum):
    """Where passwords are kept."""

    VAULT = "vault"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class NewProxy:
    """A jump host to be. `via` names the proxies passed before it, checker's side first."""

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    via: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewRemote:
    """A remote to be. `via` names the proxies passed, checker's side first; `gaps` are sentences on what is missing."""

    name: str
    address: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = None
    wants_password: bool = False
    key_file: str | None = None
    via: tuple[str, ...] = ()
    nickname: str = ""
    description: str = ""
    location: str = ""
    forwarded_port: int | None = None
    processes: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """All that a new inventory says. `apprise` are destinations' URLs; `secrets` further vaulted variables."""

    proxies: tuple[NewProxy, ...] = ()
    remotes: tuple[NewRemote, ...] = ()
    title: str = "remotestatus"
    every: timedelta = timedelta(minutes=10)
    apprise: tuple[str, ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Where something is reached, as people write it: `user@address:port`, each part but one optional."""

    user: str | None
    address: str | None
    port: int | None


def read_target(text: str) -> Target:
    """
    Read `[user@]address[:port]`, `[user@]port` or an `ssh://` address; an IPv6 address stands in brackets.

    Raises ValueError, whose text says how to write one.
    """
    cure = f"{text!r} is not an address; write for example user@proxy.example.com:22"
    user, at, rest = text.strip().removeprefix("ssh://").rstrip("/").rpartition("@")
    if at and not user:
        raise ValueError(cure)
    if rest.isascii() and rest.isdecimal():
        return Target(user or None, None, _read_port(rest))
    if rest.startswith("["):
        address, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(cure)
        port = port[1:]
    elif rest.count(":") > 1:
        address, port = rest, ""
    else:
        address, colon, port = rest.partition(":")
        if colon and not port:
            raise ValueError(cure)
    if not re.fullmatch(r"[^\s\x00-\x1f,;'\"\\@\[\]-][^\s\x00-\x1f,;'\"\\@\[\]]*", address):
        raise ValueError(cure)
    if re.search(r"[\s\x00-\x1f]", user) or user.startswith("-"):
        raise ValueError(cure)
    return Target(user or None, address, _read_port(port) if port else None)


def _read_port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535 and len(text) < 6):
        raise ValueError(f"{text!r} is not a port; write a number between 1 and 65535")
    return int(text)


def name_host(wanted: str, taken: Iterable[str], otherwise: str = "") -> str:
    """
    Make an inventory host name from what people call it: safe, unique among `taken`, and the same each time.

    A name that is already safe stays. `otherwise` (a port, a user) tells twins apart before a hash does.
    """
    forbidden = {name.casefold() for name in taken} | _RESERVED
    name = wanted
    if not _HOST_NAME.fullmatch(name) or name.isdecimal():
        plain = unicodedata.normalize("NFKD", wanted).encode("ascii", "ignore").decode("ascii").lower()
        name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-")
        name = "" if name.isdecimal() else name
    suffix = re.sub(r"[^a-z0-9]+", "-", otherwise.lower()).strip("-")
    digest = hashlib.sha256(wanted.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    base = name or "remote"
    tries = [name] if name else []
    tries += [f"{base}-{suffix}"] if suffix else []
    tries += [f"{base}-{digest}"]
    tries += [f"{base}-{digest}-{count}" for count in range(2, len(forbidden) + 3)]
    return next(name for name in tries if name.casefold() not in forbidden)


def vault_variable(host: str) -> str:
    """The name of the variable that keeps a host's password: `vault_capture_1`."""
    return f"vault_{re.sub(r'[^A-Za-z0-9_]', '_', host)}"


def write_inventory(answers: Answers, store: PasswordStore = PasswordStore.NONE) -> dict[str, str]:
    """
    The files' texts by their path below the folder that is to hold `inventory/`.

    With PasswordStore.VAULT the text of VAULT_FILE still has to be encrypted before it is written.
    """
    files = {
        REMOTES_FILE: _remotes_text(answers, store),
        VARIABLES_FILE: _variables_text(answers, store),
    }
    secrets = _secrets(answers)
    if store is PasswordStore.VAULT:
        head = _comment(
            "The secrets of this inventory, encrypted with Ansible Vault. Edit with: ansible-vault edit "
            f"{VAULT_FILE}. Other files name them as {{{{ vault_... }}}}."
        )
        files[VAULT_FILE] = _document([*head, *(_secret_lines(secrets) or ["{}"])])
    return files


def _secrets(answers: Answers) -> dict[str, str]:
    names = _password_variables(answers)
    found = {names[remote.name]: remote.password for remote in answers.remotes if remote.password is not None}
    return found | dict(answers.secrets)


def _password_variables(answers: Answers) -> dict[str, str]:
    """One variable per remote; names that differ only in signs (`a.b`, `a-b`) get a count behind them."""
    names: dict[str, str] = {}
    taken = {name for name, _ in answers.secrets}
    for remote in answers.remotes:
        name = base = vault_variable(remote.name)
        count = 2
        while name in taken:
            name, count = f"{base}_{count}", count + 1
        taken.add(name)
        names[remote.name] = name
    return names


def _secret_lines(secrets: Mapping[str, str]) -> list[str]:
    return [f"{name}: {write_scalar(value)}" for name, value in secrets.items()]


def _document(lines: Iterable[str]) -> str:
    return "\n".join(["---", *lines]) + "\n"


# -- remotes.yml


def _remotes_text(answers: Answers, store: PasswordStore) -> str:
    lines = _comment(
        "The remotes that are checked, and the proxies that they are reached through. This is an ordinary Ansible "
        "inventory: groups, group_vars/, host_vars/ and Vault work as always. All our own variables begin with "
        "remotestatus_; `remotestatus schema --markdown` lists them."
    )
    lines += ["all:", "  children:"]
    if answers.proxies:
        lines += _comment("SSH jump hosts. They are looked at first, and are no remotes themselves.", 4)
        lines += ["    proxies:", "      hosts:"]
        for proxy in answers.proxies:
            lines += _host(proxy.name, _proxy_values(proxy), proxy.gaps)
    names = {proxy.name for proxy in answers.proxies} | {remote.name for remote in answers.remotes}
    variables = _password_variables(answers)
    groups: dict[tuple[str, ...], list[NewRemote]] = {}
    for remote in answers.remotes:
        groups.setdefault(remote.via, []).append(remote)
    for via, remotes in groups.items():
        wanted = "remotes" if len(groups) == 1 else f"behind_{'_'.join(via)}" if via else "direct"
        group = _name_group(wanted, names)
        names.add(group)
        lines += _group(group, via, remotes, variables, store)
    if not answers.remotes:
        lines += _comment("GAP: no remotes yet. Add them as in this example.", 4)
        via_example = answers.proxies[0].name if answers.proxies else "tunnel-proxy"
        lines += [f"    {line}" for line in _EXAMPLE.format(proxy=via_example).splitlines()]
        if not answers.proxies:
            lines[lines.index("  children:")] = "  children: {}"
    return _document(lines)


_EXAMPLE = """\
# remotes:
#   vars:
#     ansible_host: 127.0.0.1  # as seen from the proxy
#     ansible_ssh_common_args: -o ProxyJump={proxy}
#   hosts:
#     capture-1:
#       ansible_port: 8001
#       ansible_user: camera"""


def _name_group(wanted: str, hosts: Iterable[str]) -> str:
    """A group's name that Ansible takes without a warning: letters, digits and underscores, unlike any host's."""
    name = base = re.sub(r"[^A-Za-z0-9_]", "_", wanted)[:80]
    taken = set(hosts) | _RESERVED
    count = 2
    while name in taken:
        name, count = f"{base}_{count}", count + 1
    return name


def _group(
    group: str, via: tuple[str, ...], remotes: Sequence[NewRemote], variables: Mapping[str, str], store: PasswordStore
) -> list[str]:
    lines = [f"    {group}:"]
    shared = _shared(remotes)
    common = _without_none(
        {"ansible_host": shared.address, "ansible_user": shared.user, "ansible_ssh_private_key_file": shared.key_file}
    )
    if via:
        common["ansible_ssh_common_args"] = f"-o ProxyJump={','.join(via)}"
    if common:
        lines.append("      vars:")
        for name, value in common.items():
            remark = "  # as seen from the proxy" if name == "ansible_host" and via else ""
            lines.append(f"        {name}: {write_scalar(value)}{remark}")
    lines.append("      hosts:")
    for remote in remotes:
        own = replace(
            remote,
            address=None if shared.address else remote.address,
            user=None if shared.user else remote.user,
            key_file=None if shared.key_file else remote.key_file,
        )
        lines += _host(
            remote.name, _remote_values(own, variables[remote.name], store), _remote_gaps(own, variables, store)
        )
    return lines


def _shared(remotes: Sequence[NewRemote]) -> NewRemote:
    """What all remotes of a group have alike, worth saying once."""
    if len(remotes) < 2:
        return NewRemote(name="")
    addresses, users, keys = ({getattr(r, name) for r in remotes} for name in ("address", "user", "key_file"))
    return NewRemote(
        name="",
        address=addresses.pop() if len(addresses) == 1 else None,
        user=users.pop() if len(users) == 1 else None,
        key_file=keys.pop() if len(keys) == 1 else None,
    )


def _proxy_values(proxy: NewProxy) -> dict[str, str]:
    values: dict[str, object] = {
        "ansible_host": proxy.address,
        "ansible_port": proxy.port,
        "ansible_user": proxy.user,
        "ansible_ssh_private_key_file": proxy.key_file,
        "ansible_ssh_common_args": f"-o ProxyJump={','.join(proxy.via)}" if proxy.via else None,
    }
    return {name: write_scalar(value) for name, value in _without_none(values).items()}


def _remote_values(remote: NewRemote, variable: str, store: PasswordStore) -> dict[str, str]:
    values: dict[str, object] = {
        "ansible_host": remote.address,
        "ansible_port": remote.port,
        "ansible_user": remote.user,
        "ansible_ssh_private_key_file": remote.key_file,
        "ansible_password": "",
        "remotestatus_nickname": remote.nickname or None,
        "remotestatus_description": remote.description or None,
        "remotestatus_location": remote.location or None,
        "remotestatus_forwarded_port": remote.forwarded_port,
    }
    written = {name: write_scalar(value) for name, value in _without_none(values).items()}
    if remote.password is not None and store is not PasswordStore.NONE:
        written["ansible_password"] = f'"{{{{ {variable} }}}}"'
    else:
        del written["ansible_password"]
    if remote.processes:
        written["remotestatus_processes"] = "".join(f"\n  - {write_scalar(process)}" for process in remote.processes)
    return written


def _remote_gaps(remote: NewRemote, variables: Mapping[str, str], store: PasswordStore) -> tuple[str, ...]:
    missing = remote.wants_password and remote.password is None
    if missing or (remote.password is not None and store is PasswordStore.NONE):
        variable = variables[remote.name]
        gap = (
            f"its password. Put `{variable}: ...` into {VAULT_FILE} (ansible-vault create {VAULT_FILE}) and add here: "
            f'ansible_password: "{{{{ {variable} }}}}"'
        )
        return (*remote.gaps, gap)
    return remote.gaps


def _without_none(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _host(name: str, values: Mapping[str, str], gaps: Sequence[str]) -> list[str]:
    lines = [line for gap in gaps for line in _comment(f"GAP: {gap}", 10)]
    if not values:
        return (
            [*lines, f"        {write_scalar(name)}: {{}}"] if not lines else [f"        {write_scalar(name)}:", *lines]
        )
    written = []
    for variable, value in values.items():
        first, *rest = value.split("\n")
        written.append(f"          {variable}:{' ' if first else ''}{first}")
        written += [f"          {line}" for line in rest]
    return [f"        {write_scalar(name)}:", *lines, *written]


# -- vars.yml


def _variables_text(answers: Answers, store: PasswordStore) -> str:
    lines = _comment(
        "What holds for the whole inventory. Relative paths start at the folder that holds inventory/: the page, the "
        "history and the host keys lie outside of it, because Ansible reads every file in it as inventory."
    )
    lines += [
        "",
        f"remotestatus_title: {write_scalar(answers.title)}",
        f"remotestatus_every: {write_scalar(write_duration(answers.every))}  # how often a round is run",
        "remotestatus_site: site  # the folder that the page is written to",
        "remotestatus_database: history.sqlite3",
        f"remotestatus_known_hosts: {KNOWN_HOSTS_FILE}  # trusted host keys; `remotestatus trust` collects them",
        "",
        *_comment(
            "Who is told, as Apprise URLs (mail, SMS, Telegram, Matrix, ...; see https://appriseit.com). A URL with a "
            "password in it belongs into the vault."
        ),
    ]
    for gap in answers.gaps:
        lines += _comment(f"GAP: {gap}")
    if answers.apprise:
        lines.append("remotestatus_apprise:")
        for url in answers.apprise:
            # A vaulted URL comes as a template of our own making; everything else is data.
            value = f'"{url}"' if re.fullmatch(r"\{\{ vault_\w+ \}\}", url) else write_scalar(url)
            lines += [f"  - url: {value}", "    tags: [admins]"]
    else:
        lines += [
            "# remotestatus_apprise:",
            '#   - url: "{{ vault_mail }}"  # mailtos://user:password@mail.example.com?to=admin@example.com',
            "#     tags: [admins]",
        ]
    if store is not PasswordStore.VAULT:
        lines += [
            "",
            *_comment(
                f"Passwords belong into {VAULT_FILE}: ansible-vault create {VAULT_FILE}, with a line such as "
                'vault_capture_1: "..." in it; the host then says ansible_password: "{{ vault_capture_1 }}".'
            ),
        ]
    return _document(lines)


# -- YAML


def write_scalar(value: object) -> str:
    """One value in YAML, on one line; text stays text, and is never taken for a template."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    # YAML has no way to write half of a surrogate pair, which a broken command line can hold.
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    if _PLAIN.fullmatch(text) and not text.endswith(" ") and " #" not in text and yaml.safe_load(text) == text:
        return text
    if re.fullmatch(r"-o ProxyJump=[A-Za-z0-9_.,-]+", text):
        return text
    if re.fullmatch(r"[0-9]+(\.[0-9]+){3}", text) or re.fullmatch(r"([0-9]+[wdhms])+", text):
        return text
    quoted: str = yaml.dump(text, default_style='"', allow_unicode=True, width=10**9).rstrip("\n")
    return f"!unsafe {quoted}" if re.search(r"\{[{%#]", text) else quoted


def _comment(text: str, indent: int = 0) -> list[str]:
    """A comment of any text: what could end the line, or what YAML forbids, is left out."""
    plain = "".join(char if char.isprintable() else " " for char in text).replace("\ufeff", " ")
    lead = " " * indent
    return [
        f"{lead}# {line}"
        for line in textwrap.wrap(
            " ".join(plain.split()), _WIDTH - indent, break_long_words=False, break_on_hyphens=False
        )
    ]


# -- the user's SSH configuration


def list_ssh_hosts(text: str, read_included: Callable[[str], Iterable[str]], depth: int = 0) -> tuple[str, ...]:
    """
    The names that an `ssh_config` text has `Host` entries for, in order, without patterns.

    What an entry means is for `ssh -G` to say. `read_included` gives the texts that an `Include` argument stands for.
    Includes are followed 16 deep, as ssh_config(5) has it.
    """
    names: list[str] = []
    for line in text.splitlines():
        words = re.findall(r'"([^"]*)"|([^\s="]+)', line.strip())
        keyword, *arguments = [quoted or plain for quoted, plain in words] or [""]
        if keyword.startswith("#"):
            continue
        if keyword.lower() == "host":
            names += [name for name in arguments if not re.search(r"[*?!]", name)]
        elif keyword.lower() == "include" and depth < 16:
            for argument in arguments:
                for included in read_included(argument):
                    names += list_ssh_hosts(included, read_included, depth + 1)
    return tuple(dict.fromkeys(names))


def read_ssh_answer(text: str) -> dict[str, str]:
    """What `ssh -G` says about one host: the first value of each keyword, in lower case."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), value.strip())
    return found


def fleet_from_ssh(
    entries: Mapping[str, Mapping[str, str]], default_key: str | None, chosen: Iterable[str] | None = None
) -> tuple[tuple[NewProxy, ...], tuple[NewRemote, ...], tuple[str, ...]]:
    """
    Proxies and remotes from what `ssh -G` said about each name, and sentences on what was left out.

    Without `chosen`, every entry with a ProxyJump that is no jump host of another becomes a remote. `default_key` is
    the key file that ssh names for a host without any of its own.
    """
    jumps = {name: _hops(entry) for name, entry in entries.items()}
    used = {hop for name, hops in jumps.items() for hop in hops}
    wanted = tuple(chosen) if chosen is not None else tuple(n for n, hops in jumps.items() if hops and n not in used)
    proxies: dict[str, NewProxy] = {}
    names: dict[str, str] = {}
    notes: list[str] = []

    def add_proxy(hop: str, seen: tuple[str, ...]) -> str:
        if hop in names:
            return names[hop]
        entry = entries.get(hop)
        if entry is not None:
            before = tuple(add_proxy(h, (*seen, hop)) for h in jumps[hop] if h not in seen and h != hop)
            address, port, user = entry.get("hostname", hop), _port_of(entry), entry.get("user")
            key = _key_of(entry, default_key)
        else:
            target = read_target(hop)
            before, key = (), None
            address, port, user = target.address or hop, target.port, target.user
        name = name_host(hop if entry is not None else address, [*proxies, *wanted], user or "")
        names[hop] = name
        proxies[name] = NewProxy(name, address, port, user, key, before)
        return name

    remotes: dict[str, NewRemote] = {}
    for wish in wanted:
        entry = entries[wish]
        if entry.get("proxycommand", "none") != "none":
            notes.append(f"{wish}: left out, it uses ProxyCommand; give it a ProxyJump instead")
            continue
        try:
            via = tuple(add_proxy(hop, (wish,)) for hop in jumps[wish])
        except ValueError as error:
            notes.append(f"{wish}: left out, {error}")
            continue
        name = name_host(wish, [*proxies, *remotes], entry.get("user", ""))
        remotes[name] = NewRemote(
            name=name,
            address=entry.get("hostname", wish),
            port=_port_of(entry),
            user=entry.get("user"),
            key_file=_key_of(entry, default_key),
            via=via,
            nickname=wish if wish != name else "",
        )
    return (*_link_chains(proxies, remotes), tuple(notes))


def _link_chains(
    proxies: dict[str, NewProxy], remotes: dict[str, NewRemote]
) -> tuple[tuple[NewProxy, ...], tuple[NewRemote, ...]]:
    """
    Write `ProxyJump a,b` as b behind a, and the remote behind b: then b itself can be looked at too.

    If some proxy is reached in two ways, the chains stay as they are.
    """
    ways: dict[str, set[tuple[str, ...]]] = {}
    chains = [proxy.via for proxy in proxies.values()] + [remote.via for remote in remotes.values()]
    for chain in chains:
        for place, name in enumerate(chain):
            ways.setdefault(name, set()).add(chain[:place] or proxies[name].via)
    if any(len(found) > 1 for found in ways.values()):
        return tuple(proxies.values()), tuple(remotes.values())
    before = {name: next(iter(found))[-1:] for name, found in ways.items()}
    return (
        tuple(replace(proxy, via=before.get(proxy.name, proxy.via)) for proxy in proxies.values()),
        tuple(replace(remote, via=remote.via[-1:]) for remote in remotes.values()),
    )


def _hops(entry: Mapping[str, str]) -> tuple[str, ...]:
    jump = entry.get("proxyjump", "none")
    return () if jump == "none" else tuple(hop.strip() for hop in jump.split(","))


def _port_of(entry: Mapping[str, str]) -> int | None:
    return _read_port(entry["port"]) if "port" in entry else None


def _key_of(entry: Mapping[str, str], default_key: str | None) -> str | None:
    key = entry.get("identityfile")
    return None if key == default_key else key
