"""
Writes the text of a new inventory from the templates in `report_templates/setup/`.

A NewFleet becomes file texts, by their path below the parent of `inventory/`. Nothing is written or asked here. Two
filters make input safe: `yaml` quotes text that is not plain YAML, and marks what looks like a template `!unsafe`;
`comment` keeps a text inside its comment.
"""

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import yaml

from remotestatus.model.durations import write_duration
from remotestatus.setup.new_fleet import RESERVED, NewFleet, NewHost
from remotestatus.templates import Templates

REMOTES_FILE = "inventory/remotes.yml"
VARIABLES_FILE = "inventory/group_vars/all/vars.yml"
VAULT_FILE = "inventory/group_vars/all/vault.yml"
KNOWN_HOSTS_FILE = "known_hosts"

_WIDTH = 110
_SHARED = ("ansible_host", "ansible_user", "ansible_ssh_private_key_file")
"""Variables that are written once per group if all are equal."""


class AnsibleTemplate(str):
    """A text that Ansible is to take for a template; it takes no other one for that."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    via: tuple[str, ...]
    values: Mapping[str, object]
    hosts: tuple[NewHost, ...]


def write_inventory(answers: NewFleet, *, vaulted: bool = False) -> dict[str, str]:
    """
    The files' texts, by their path below the parent of `inventory/`.

    With `vaulted`, passwords are in VAULT_FILE; the caller has to encrypt its text.
    """
    templates = Templates(filters={"yaml": write_value, "comment": write_comment})
    variables = _name_variables(answers)
    secrets = {variables[remote.name]: remote.password for remote in answers.remotes if remote.password is not None}
    secrets |= dict(answers.secrets)
    proxies = [_host(replace(one, variables=_jump(one.via)), "", vaulted=vaulted) for one in answers.proxies]
    hosts = {"proxies": proxies, "groups": _groups(answers, variables, vaulted=vaulted)}
    fleet = {
        "answers": answers,
        "every": write_duration(answers.every),
        "apprise": [_destination(url) for url in answers.apprise],
        "known_hosts": KNOWN_HOSTS_FILE,
        "vault": VAULT_FILE,
        "has_vault": vaulted,
    }
    files = {
        REMOTES_FILE: _render(templates, "remotes.yml.j2", hosts),
        VARIABLES_FILE: _render(templates, "vars.yml.j2", fleet),
    }
    if vaulted:
        files[VAULT_FILE] = _render(templates, "vault.yml.j2", {"path": VAULT_FILE, "secrets": secrets})
    return files


def _render(templates: Templates, name: str, values: Mapping[str, object]) -> str:
    return templates.render(f"setup/{name}", values).rstrip("\n") + "\n"


def _name_variables(answers: NewFleet) -> dict[str, str]:
    """The variable of each remote's password: `vault_capture_1`. Equal variable names get a number."""
    names: dict[str, str] = {}
    taken = {name for name, _ in answers.secrets}
    for remote in answers.remotes:
        names[remote.name] = _free_name(f"vault_{re.sub(r'[^A-Za-z0-9_]', '_', remote.name)}", taken)
        taken.add(names[remote.name])
    return names


def _free_name(base: str, taken: Iterable[str]) -> str:
    taken = set(taken)
    return next(name for name in (base, *map(f"{base}_{{}}".format, range(2, len(taken) + 3))) if name not in taken)


def _groups(answers: NewFleet, variables: Mapping[str, str], *, vaulted: bool) -> list[_Group]:
    """One group for all remotes that are reached through the same proxies."""
    by_path: dict[tuple[str, ...], list[NewHost]] = {}
    for remote in answers.remotes:
        by_path.setdefault(remote.via, []).append(remote)
    taken = {proxy.name for proxy in answers.proxies} | {remote.name for remote in answers.remotes} | RESERVED
    groups = []
    for via, remotes in by_path.items():
        wanted = "remotes" if len(by_path) == 1 else f"behind_{'_'.join(via)}" if via else "direct"
        # Ansible accepts only letters, digits and underscores without a warning.
        name = _free_name(re.sub(r"[^A-Za-z0-9_]", "_", wanted)[:80], taken)
        taken.add(name)
        hosts = [_host(remote, variables[remote.name], vaulted=vaulted) for remote in remotes]
        shared = _shared_values(hosts)
        own = ({k: v for k, v in host.variables.items() if k not in shared} for host in hosts)
        hosts = [replace(host, variables=variables) for host, variables in zip(hosts, own, strict=True)]
        groups.append(_Group(name, via, shared | _jump(via), tuple(hosts)))
    return groups


def _shared_values(hosts: list[NewHost]) -> dict[str, object]:
    candidates = {name: value for name, value in hosts[0].variables.items() if name in _SHARED and len(hosts) > 1}
    return {name: value for name, value in candidates.items() if all(one.variables.get(name) == value for one in hosts)}


def _host(host: NewHost, variable: str, *, vaulted: bool) -> NewHost:
    """The host with all that is written of it in its variables, in their order. `variable` is that of its password."""
    password = AnsibleTemplate(f"{{{{ {variable} }}}}") if vaulted and host.password is not None else None
    gaps = host.gaps
    if password is None and (host.wants_password or host.password is not None):
        gaps += (
            f"its password. Put `{variable}: ...` into {VAULT_FILE} (ansible-vault create {VAULT_FILE}) and add here: "
            f'ansible_password: "{{{{ {variable} }}}}"',
        )
    values = {
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": host.user,
        "ansible_ssh_private_key_file": host.key_file,
        "ansible_password": password,
        **host.variables,
    }
    values = {name: value for name, value in values.items() if value not in (None, "", ())}
    return replace(host, variables=values, gaps=gaps)


def _jump(via: tuple[str, ...]) -> dict[str, object]:
    return {"ansible_ssh_common_args": f"-o ProxyJump={','.join(via)}"} if via else {}


def _destination(url: str) -> str:
    """A URL as it was given; only our own templates of vaulted variables stay templates."""
    return AnsibleTemplate(url) if re.fullmatch(r"\{\{ vault_\w+ \}\}", url) else url


def write_value(value: object) -> str:
    """
    A value in YAML: texts and numbers on one line, lists and mappings on a line for each entry.

    Text stays text, and is never taken for a template.
    """
    written: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10**9)
    return written.removesuffix("\n...\n").removesuffix("\n")


class _Dumper(yaml.SafeDumper):
    """Indents a list more than its key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, indentless=False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # YAML cannot represent lone surrogates, which a broken command line can contain.
    text = text.encode("utf-8", "replace").decode("utf-8")
    is_template = re.search(r"\{[{%#]", text) is not None
    style = '"' if is_template or not text.isprintable() else None  # with line breaks, for one, it needs escapes
    return dumper.represent_scalar("!unsafe" if is_template else _TEXT, text, style)


_TEXT = "tag:yaml.org,2002:str"
_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(AnsibleTemplate, lambda dumper, text: dumper.represent_scalar(_TEXT, text, '"'))


def write_comment(text: str, indent: int = 0) -> str:
    """Make a comment of any text, without line breaks and characters that YAML forbids."""
    plain = "".join(char if char.isprintable() else " " for char in text).replace("\ufeff", " ")
    lead = " " * indent + "# "
    return textwrap.fill(
        " ".join(plain.split()),
        _WIDTH,
        initial_indent=lead,
        subsequent_indent=lead,
        break_long_words=False,
        break_on_hyphens=False,
    )
