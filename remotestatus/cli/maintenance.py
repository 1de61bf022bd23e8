"""`remotestatus maintenance`: a window in which a remote is still checked and shown, and nobody is told."""

from datetime import datetime

import click

from remotestatus.cli.options import now, open_inventory, remote_argument, with_inventory
from remotestatus.cli.time_options import read_end, read_moment, say_local
from remotestatus.evaluate import EVERYTHING, open_now, window_of_remote
from remotestatus.history import History, outbox
from remotestatus.model.errors import ConfigurationError
from remotestatus.model.fleet import Fleet
from remotestatus.model.text import count, did_you_mean, one_line
from remotestatus.model.windows import CommandWindow
from remotestatus.probe import AnsibleSource


@click.command("maintenance")
@remote_argument("target", required=False, proxies=True, metavar="REMOTE|GROUP|all")
@with_inventory
@click.option("--for", "lasting", metavar="DURATION", help="How long, for example 2h.")
@click.option("--until", metavar="TIME", help='Until when: 22:30, or "2026-01-31 22:30".')
@click.option("--from", "begins", metavar="TIME", help="From when; now, if not given.")
@click.option("--note", default="", help="Why; shown on the page.")
@click.option("--end", "ending", is_flag=True, help="End the windows that were given by command for this target.")
@click.option("--list", "listing", is_flag=True, help="List the windows that are open or to come.")
def command(
    source: AnsibleSource,
    target: str | None,
    lasting: str | None,
    until: str | None,
    begins: str | None,
    note: str,
    *,
    ending: bool,
    listing: bool,
) -> None:
    """
    Open a maintenance window for a remote, a proxy, a group, or all.

    In it nobody is told of problems and uptime is not counted. What is still wrong when it ends is told then; what was
    told before is told recovered in it. Windows that come again and again belong into the inventory:
    remotestatus_maintenance.
    """
    moment = now()
    start = read_moment(begins, moment) if begins else moment
    end = read_end(lasting, until, moment, start)
    if not listing and not target:
        raise click.UsageError("write for what: a remote, a proxy, a group or all; or --list")
    if not listing and not ending and end is None:
        raise click.UsageError("write how long: --for 2h, or --until 22:30")
    inventory = open_inventory(source)
    if target:
        check_target(inventory.fleet, target)
    with History.open(inventory.database) as history:
        if listing or not target:
            _list(inventory.fleet, outbox.command_windows(history, moment), moment)
        elif ending:
            ended = outbox.end_windows(history, target, moment)
            click.echo(f"Ended: {target} is out of maintenance." if ended else f"{target} has no window by command.")
        else:
            assert end is not None
            outbox.open_window(history, target, start, end, one_line(note, 300))
            names = affected(inventory.fleet, target)
            who = target if names == (target,) else f"{target} ({count(len(names), 'remote')})"
            click.echo(f"In maintenance: {who}, from {say_local(start)} until {say_local(end)}.")


def check_target(fleet: Fleet, target: str) -> None:
    """Raise ConfigurationError, with the nearest right name, for a target that nothing of the fleet has."""
    known = {EVERYTHING, *(proxy.name for proxy in fleet.proxies), *(worker.name for worker in fleet.workers)}
    for remote in fleet.remotes:
        known |= {remote.name, *remote.groups}
    if target not in known:
        guess = did_you_mean(target, known)
        raise ConfigurationError(f'"{target}" is no remote, proxy, worker or group of the inventory{guess}')


def affected(fleet: Fleet, target: str) -> tuple[str, ...]:
    """The names that a window of this target is for."""
    if target in {*(proxy.name for proxy in fleet.proxies), *(worker.name for worker in fleet.workers)}:
        return (target,)
    return tuple(
        remote.name for remote in fleet.remotes if target in (EVERYTHING, remote.name) or target in remote.groups
    )


def _list(fleet: Fleet, windows: tuple[CommandWindow, ...], moment: datetime) -> None:
    for window in windows:
        note = f": {window.note}" if window.note else ""
        state = "open" if window.starts <= moment else "to come"
        click.echo(f"{window.target}, {state}, {say_local(window.starts)} to {say_local(window.until)}{note}")
    from_inventory = [
        (remote.name, found) for remote in fleet.remotes if (found := window_of_remote(remote, (), moment)) is not None
    ]
    for name, open_window in from_inventory:
        note = f": {open_window.note}" if open_window.note else ""
        click.echo(f"{name}, open by the inventory, to {say_local(open_window.until)}{note}")
    if not windows and not from_inventory:
        waiting = sum(
            open_now(window, moment) is None for remote in fleet.remotes for window in remote.settings.maintenance
        )
        more = f"; {waiting} of the inventory are not open now" if waiting else ""
        click.echo(f"No maintenance window is open or to come{more}.")
