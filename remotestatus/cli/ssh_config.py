"""`remotestatus ssh-config`: prints what plain ssh, scp and rsync need to reach every remote by its name."""

import click

from remotestatus.cli.opened_inventory import open_inventory
from remotestatus.cli.options import choose, remote_argument, with_inventory
from remotestatus.cli.ssh_session import find, known_names, must_be_ssh, ssh_config_text
from remotestatus.probe import AnsibleSource


@click.command("ssh-config")
@remote_argument("names", nargs=-1, required=False, proxies=True)
@with_inventory
def command(source: AnsibleSource, names: tuple[str, ...]) -> None:
    """
    Print an SSH configuration for all remotes (or for these), and for the proxies on the way.

    With it, plain ssh, scp, rsync and editors reach every remote by its inventory name, through its proxy and with
    its host key checked:

    \b
      remotestatus ssh-config > ~/.ssh/remotes.conf
      # the first line of ~/.ssh/config:  Include ~/.ssh/remotes.conf
      rsync -a capture-1:/srv/videos .

    The Include has to stand first: further down it would only belong to the Host above it. No password is ever
    printed. Print it again when the inventory has changed.
    """
    inventory = open_inventory(source)
    if names:
        chosen = choose(names, known_names(inventory))
        for name in chosen:
            must_be_ssh(find(inventory, name))
    elif source.limit:
        chosen = [remote.name for remote in inventory.fleet.remotes if remote.name in inventory.limited_to]
    else:
        chosen = None
    click.echo(
        f"# Written by `remotestatus ssh-config` from the inventory {source}; write it anew when that changes.\n"
    )
    click.echo(ssh_config_text(inventory, chosen), nl=False)
