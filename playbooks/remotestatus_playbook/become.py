"""
Finds out how a host's user is changed after the log-in (`ansible_become*`).

It returns a Become, or None if the user stays. Ansible's plugin makes the command, so every plugin works as in a task.
A plugin that needs a password or a terminal also needs Ansible's own connection. All others only add a prefix to the
shell command, at no further cost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remotestatus_playbook.host_variables import HostVariables, say_error
from remotestatus_playbook.protocol import TRUE_WORDS

SHELL = "exec /bin/sh -s"
"""The shell that reads the probe on standard input."""

SECONDS = "@seconds@"
"""Placeholder of the probe's time limit, in seconds, in a Become's command for this machine."""

_PASSWORD = "become_pass"  # noqa: S105 - the name of an option


@dataclass(frozen=True)  # with slots it is pickled ten times as slowly
class Become:
    """
    A change of user: the plugin's name and the user that it leads to.

    `command` starts the shell as that user, and prints `marker` first when that was allowed; it is empty if the plugin
    is interactive, as one that asks for a password.
    """

    method: str
    user: str
    command: str = ""
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Plugins:
    """
    Ansible's plugins and settings.

    `chosen` are the options for all hosts from ansible.cfg, environment or command line. `connection` gives the class
    of a connection plugin by its name, or None, and `connection_variables` the variables that this class's options come
    from. `become` gives a new become plugin by its name, or None; `shell` is the shell plugin that its commands are
    written for, `keywords` its options from the command line, and `same_user` whether become also runs for the same
    user. With `any_password` hosts without a password of their own have one from the command line.
    """

    chosen: Mapping[str, Any]
    connection: Callable[[str], Any]
    connection_variables: Callable[[Any], Sequence[str]]
    become: Callable[[str], Any]
    shell: Any
    keywords: Mapping[str, Any]
    same_user: bool = False
    any_password: bool = False


def become_of(variables: HostVariables, plugins: Plugins, user: str | None, *, local: bool) -> Become | None:
    """Return the Become of this host, if any; `user` is who logs in. An error is a problem of the host."""
    wanted = variables.last_of(("ansible_become",), "become")
    if not (wanted if isinstance(wanted, bool) else str(wanted or "").strip().lower() in TRUE_WORDS):
        return None
    method = variables.text_of(("ansible_become_method",), "become_method") or "sudo"
    try:
        return _become_by(method, variables, plugins, user, local=local)
    except Exception as error:
        variables.problems.append(("ansible_become_method", say_error(error)))
        return None


def _become_by(
    method: str, variables: HostVariables, plugins: Plugins, user: str | None, *, local: bool
) -> Become | None:
    plugin = plugins.become(method)
    if plugin is None:
        sentence = f"Ansible has no become plugin {method!r}; correct it, or install the collection that has it"
        variables.problems.append(("ansible_become_method", sentence))
        return None
    # The options come from the plugin itself: by the plugin's name, Ansible finds none of a collection's.
    named = {option: [one["name"] for one in of.get("vars") or ()] for option, of in plugin.option_definitions.items()}
    secrets = named.pop(_PASSWORD, None)
    names = [name for option in named.values() for name in option if name in variables.raw]
    values = {name: value for name in names if (value := variables.evaluate(name)) is not None}
    plugin.set_options(task_keys=dict(plugins.keywords), var_options=values)
    target = str(plugin.get_option("become_user") or "")
    if target and target == user and not plugins.same_user:
        return None
    # The plugin may have one of the command line, the environment or an ansible.cfg. run0 cannot be given a password,
    # and uses a terminal only for colours.
    if secrets is not None and (
        variables.has_secret(secrets, prove=False)
        or plugin.get_option(_PASSWORD)
        or getattr(plugin, "require_tty", False)
    ):
        return Become(method, target)
    # We cannot kill another user's process on this machine.
    shell = f"exec timeout -k 2 {SECONDS} /bin/sh -s" if local else SHELL
    command = plugin.build_become_command(shell, plugins.shell)
    return Become(method, target, str(command), str(plugin.success))
