"""
The environment in which Ansible runs: what the playbook is told, and settings that a round depends on.

Takes the round's directory and where the order will be; returns environment variables that go on top of our own.
"""

import locale
import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from remotestatus_playbook.protocol import BASE, ORDER, ROOT, TMPDIR, WORKDIR

from remotestatus.probe.ansible_configuration import find_configuration, read_configuration

_INVENTORY_PLUGINS = "host_list,script,remotestatus_yaml,auto,ini,toml"
"""Ansible's own, but YAML before `auto`, which reads all of such a file only to find that it is no plugin's."""

ALWAYS = {
    # Nobody is there whom Ansible could ask: the command line has done it.
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
    # So many workers at most; the order says how many remotes are probed at the same time.
    "ANSIBLE_FORKS": "100",
    "ANSIBLE_RETRY_FILES_ENABLED": "False",
    "ANSIBLE_DEPRECATION_WARNINGS": "False",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_VERBOSITY": "0",
}
"""What a round depends on, whatever the configuration of Ansible says."""


def ansible_environment(workdir: Path, order_file: Path, base: Path) -> Mapping[str, str]:
    """Return the variables; `base` is the folder that holds the inventory."""
    scripts = sysconfig.get_path("scripts")
    environment = {
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        WORKDIR: str(workdir),
        ORDER: str(order_file),
        ROOT: str(os.getpid()),
        BASE: str(base),
        # What Ansible leaves there when it is killed goes with the round.
        "TMPDIR": str(workdir),
        TMPDIR: os.environ.get("TMPDIR", ""),
        "ANSIBLE_LOCAL_TEMP": str(workdir / "tmp"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(workdir / "cp"),
        **ALWAYS,
    }
    if not read_configuration(base).inventory_plugins:
        environment["ANSIBLE_INVENTORY_ENABLED"] = _INVENTORY_PLUGINS
    if not _locale_is_utf8():
        environment["LC_ALL"] = "C.UTF-8"
    configuration = find_configuration(base)
    if configuration is not None:
        environment["ANSIBLE_CONFIG"] = str(configuration)
    return environment


def _locale_is_utf8() -> bool:
    """Whether Ansible would start here: it refuses a locale that is not UTF-8, or that is not installed."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
        return locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8"
    except locale.Error:
        return False
    finally:
        locale.setlocale(locale.LC_ALL, before)
