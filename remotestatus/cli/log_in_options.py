"""
Ansible's connection options, for the commands that log in to hosts.

`with_log_in` adds them on top of `with_inventory`. Passwords are asked for here, before anything starts. Without a
terminal that is an error, so nothing waits for ever.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from remotestatus.cli.options import ask, with_inventory
from remotestatus.probe import AnsibleSource, TypedPasswords, read_configuration

_DECLARED: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option("-u", "--remote-user", metavar="NAME", help="Log in as this user, where the inventory names none."),
    click.option("--private-key", type=click.Path(path_type=Path), help="Log in with this key, if none is named."),
    click.option("-k", "--ask-pass", is_flag=True, help="Ask for the password of hosts without their own."),
    click.option("-b", "--become", is_flag=True, help="Change the user after the log-in, as for a task of Ansible."),
    click.option("--become-user", metavar="NAME", help="Who to become.  [default: root]"),
    click.option("--become-method", metavar="PLUGIN", help="The become plugin.  [default: sudo]"),
    click.option("-K", "--ask-become-pass", is_flag=True, help="Ask for the password of the change of user."),
    click.option("-e", "--extra-vars", multiple=True, metavar="VARS", help="More variables: key=value, YAML, @file."),
)
_PASSED = {
    "remote_user": "--user",
    "become_user": "--become-user",
    "become_method": "--become-method",
    "private_key": "--private-key",
}


def with_log_in(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the inventory is and how hosts are logged in to; gives them as `source`."""

    @with_inventory
    @functools.wraps(command)
    def wrapped(source: AnsibleSource, ask_pass: bool, ask_become_pass: bool, **others: Any) -> Any:
        if key := others.pop("private_key"):
            others["private_key"] = key.expanduser().absolute()
        given = [f"{option}={value}" for name, option in _PASSED.items() if (value := others.pop(name, None))]
        given += ["--become"] if others.pop("become") else []
        given += [f"--extra-vars={_absolute(text)}" for text in others.pop("extra_vars")]
        configured = read_configuration(source.base)
        connection = change = ""
        if ask_pass or configured.ask_connection_password:
            connection = ask("the password of log-ins", "--ask-pass")
        if ask_become_pass or configured.ask_become_password:
            change = ask("the password of the change of user", "--ask-become-pass") or connection
        typed = TypedPasswords(connection, change, source.typed.vault)
        return command(source=replace(source, options=tuple(given), typed=typed), **others)

    for declare in reversed(_DECLARED):
        wrapped = declare(wrapped)
    return wrapped


def _absolute(text: str) -> str:
    """Make an `@file` absolute: Ansible runs in another folder."""
    return f"@{Path(text[1:]).expanduser().absolute()}" if text.startswith("@") else text
