"""`remotestatus ssh`: a shell, or one command, on a remote. It execs `ssh`, so all else is ssh's own behaviour."""

import os

import click

from remotestatus.cli.opened_inventory import open_inventory
from remotestatus.cli.options import remote_argument, with_inventory
from remotestatus.cli.ssh_session import find, must_be_ssh, say_before_ssh, ssh_target, write_config
from remotestatus.model.errors import RoundError
from remotestatus.probe import AnsibleSource


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("-t", "--tty", is_flag=True, help="Give COMMAND a terminal, as `ssh -t` does: for top, less, sudo.")
@remote_argument(proxies=True)
@click.argument("command_line", metavar="[COMMAND]...", nargs=-1, type=click.UNPROCESSED)
@with_inventory
def command(source: AnsibleSource, name: str, tty: bool, command_line: tuple[str, ...]) -> None:
    """
    Log in to REMOTE (or a proxy) through its proxy, or run COMMAND there.

    \b
      remotestatus ssh capture-1
      remotestatus ssh capture-1 df -h
      remotestatus ssh -t capture-1 top

    Address, user, key, proxy and trusted host key are the inventory's. Where the inventory has a password, ssh asks
    for it: it is not handed over. Options stand before REMOTE; what follows it belongs to COMMAND. The exit code is
    COMMAND's, or 255 if ssh failed.
    """
    inventory = open_inventory(source)
    subject = find(inventory, name)
    must_be_ssh(subject)
    say_before_ssh(inventory, subject)
    options = ["-F", str(write_config(source, inventory)), *(["-t"] if tty else [])]
    try:
        os.execvp("ssh", ["ssh", *options, *ssh_target(inventory, subject), *command_line])  # noqa: S606
    except OSError as error:
        raise RoundError(f"ssh could not be started: {error.strerror}; install openssh-client") from error
