"""
Finds the ansible.cfg that Ansible would use, and makes Ansible's environment.

It returns the few settings that are needed before Ansible starts, and environment variables that are added to ours.
Ansible reads everything else itself.
"""

import configparser
import locale
import os
import stat
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from remotestatus_playbook.protocol import BASE, ORDER, ROOT, TMPDIR, TRUE_WORDS, WORKDIR

_WITHOUT_EFFECT = (
    ("ANSIBLE_HOST_KEY_CHECKING", "host_key_checking", "defaults"),
    ("ANSIBLE_SSH_HOST_KEY_CHECKING", "host_key_checking", "ssh_connection"),
    ("ANSIBLE_SSH_RETRIES", "retries", "ssh_connection"),
    ("ANSIBLE_SSH_CONTROL_PATH", "control_path", "ssh_connection"),
    ("ANSIBLE_SSH_CONTROL_PATH_DIR", "control_path_dir", "ssh_connection"),
    ("ANSIBLE_SSH_PASSWORD_MECHANISM", "password_mechanism", "ssh_connection"),
    ("ANSIBLE_SSH_AGENT", "ssh_agent", "connection"),
    ("ANSIBLE_STRATEGY", "strategy", "defaults"),
    ("ANSIBLE_FORKS", "forks", "defaults"),
    ("ANSIBLE_TASK_TIMEOUT", "task_timeout", "defaults"),
    ("ANSIBLE_RUN_TAGS", "run", "tags"),
    ("ANSIBLE_SKIP_TAGS", "skip", "tags"),
)
"""Variable, key and section of settings without effect (docs/connections.md)."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """
    The inventory that Ansible would read, and the passwords that it would ask for.

    `without_effect` are the names of settings that are set but have no effect here. `inventory_plugins` are the enabled
    inventory plugins in their order, if configured.
    """

    inventory: tuple[str, ...] = ()
    ask_connection_password: bool = False
    ask_become_password: bool = False
    ask_vault_password: bool = False
    vault_ids: tuple[str, ...] = ()
    without_effect: tuple[str, ...] = ()
    inventory_plugins: tuple[str, ...] = ()


def find_configuration(base: Path | None = None) -> Path | None:
    """The ansible.cfg: of the environment, here, or beside the inventory; not in a world-writable folder."""
    if "ANSIBLE_CONFIG" in os.environ:
        return Path(os.environ["ANSIBLE_CONFIG"]).expanduser().absolute()
    for folder in (Path.cwd(), *([base] if base else [])):
        candidate = folder / "ansible.cfg"
        if _can_be_read(candidate) and not folder.stat().st_mode & stat.S_IWOTH:
            return candidate
    return None


def read_configuration(base: Path | None = None) -> Configuration:
    """
    Read the environment, and where it says nothing the ansible.cfg; `base` is the inventory's folder, if one is named.

    Errors in an ansible.cfg are left to Ansible.
    """
    candidates = (find_configuration(base), Path("~/.ansible.cfg").expanduser(), Path("/etc/ansible/ansible.cfg"))
    path = next((one for one in candidates if one and _can_be_read(one)), None)
    parser = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
    try:
        parser.read_string(path.read_text("utf-8", "replace") if path else "")
    except (OSError, configparser.Error):
        parser.clear()

    def value(variable: str, key: str, section: str = "defaults") -> str:
        return os.environ.get(variable) or str(parser.get(section, key, fallback=""))

    def yes(variable: str, key: str, section: str = "defaults") -> bool:
        return value(variable, key, section).strip().lower() in TRUE_WORDS

    if inventory := os.environ.get("ANSIBLE_INVENTORY"):
        sources = _sources(inventory, Path.cwd())
    else:
        sources = _sources(parser.get("defaults", "inventory", fallback=""), path.parent if path else Path.cwd())
    return Configuration(
        inventory=tuple(sources),
        ask_connection_password=yes("ANSIBLE_ASK_PASS", "ask_pass"),
        ask_become_password=yes("ANSIBLE_BECOME_ASK_PASS", "become_ask_pass", "privilege_escalation"),
        ask_vault_password=yes("ANSIBLE_ASK_VAULT_PASS", "ask_vault_pass"),
        vault_ids=tuple(_words(value("ANSIBLE_VAULT_IDENTITY_LIST", "vault_identity_list"))),
        without_effect=tuple(
            variable if variable in os.environ else f"{key} of [{section}]"
            for variable, key, section in _WITHOUT_EFFECT
            if variable in os.environ or parser.has_option(section, key)
        ),
        inventory_plugins=tuple(_words(value("ANSIBLE_INVENTORY_ENABLED", "enable_plugins", "inventory"))),
    )


def _can_be_read(path: Path) -> bool:
    """Whether this is a file that we can read, as Ansible tests it: after `sudo -u` it may not be."""
    return os.access(path, os.R_OK) and path.is_file()


def _sources(text: str, folder: Path) -> Sequence[str]:
    """The sources of an inventory; relative paths start at the folder of the ansible.cfg."""
    if text.rstrip().endswith(","):
        return [text.strip()]  # hosts, and no path
    return [str(folder / Path(one).expanduser()) for one in _words(text)]


def _words(text: str) -> Sequence[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


_INVENTORY_PLUGINS = "host_list,script,remotestatus_yaml,auto,ini,toml"
"""Ansible's own, but YAML before `auto`, which would read all of each YAML file in vain."""

ALWAYS = {
    # Ansible cannot ask for passwords here: the command line has done it.
    "ANSIBLE_ASK_PASS": "False",
    "ANSIBLE_BECOME_ASK_PASS": "False",
    "ANSIBLE_ASK_VAULT_PASS": "False",
    "ANSIBLE_HOST_KEY_CHECKING": "True",
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
    "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "error",
    "ANSIBLE_STRATEGY": "linear",
    "ANSIBLE_TASK_TIMEOUT": "0",
    "ANSIBLE_ENABLE_TASK_DEBUGGER": "False",
    "ANSIBLE_RUN_TAGS": "all",
    "ANSIBLE_SKIP_TAGS": "alone",
    # Most Ansible workers; the order says how many remotes are probed at the same time.
    "ANSIBLE_FORKS": "100",
    "ANSIBLE_RETRY_FILES_ENABLED": "False",
    "ANSIBLE_DEPRECATION_WARNINGS": "False",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_VERBOSITY": "0",
}
"""Settings that a round needs, which override Ansible's configuration."""


def ansible_environment(workdir: Path, order_file: Path, base: Path) -> Mapping[str, str]:
    """Return the variables; `base` is the folder that holds the inventory."""
    scripts = sysconfig.get_path("scripts")
    environment = {
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        WORKDIR: str(workdir),
        ORDER: str(order_file),
        ROOT: str(os.getpid()),
        BASE: str(base),
        # What a killed Ansible leaves there is removed with the round.
        "TMPDIR": str(workdir),
        TMPDIR: os.environ.get("TMPDIR", ""),
        "ANSIBLE_LOCAL_TEMP": str(workdir / "tmp"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(workdir / "cp"),
        **ALWAYS,
    }
    if not read_configuration(base).inventory_plugins:
        environment["ANSIBLE_INVENTORY_ENABLED"] = _INVENTORY_PLUGINS
    if not locale_is_utf8():
        environment["LC_ALL"] = "C.UTF-8"
    configuration = find_configuration(base)
    if configuration is not None:
        environment["ANSIBLE_CONFIG"] = str(configuration)
    return environment


def locale_is_utf8() -> bool:
    """Whether Ansible would start here: it refuses a locale that is not UTF-8, or that is not installed."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
        return locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8"
    except locale.Error:
        return False
    finally:
        locale.setlocale(locale.LC_ALL, before)
