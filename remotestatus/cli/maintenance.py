"""`remotestatus maintenance`: opens and ends windows in which nobody is notified of a remote."""

from collections.abc import Iterable
from datetime import datetime

import click

from remotestatus.cli.opened_inventory import open_inventory
from remotestatus.cli.options import now, remote_argument, with_inventory
from remotestatus.cli.time_options import read_end, read_moment, say_local
from remotestatus.evaluate import EVERYTHING, planned_windows
from remotestatus.history import History, acks_windows_notes
from remotestatus.model.errors import ConfigurationError
from remotestatus.model.fleet import Fleet
from remotestatus.model.text import count, did_you_mean
from remotestatus.model.untrusted_text import one_line
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

    In it nobody is told of new problems, and uptime is not counted. What is still wrong when it ends is told then.
    That a problem from before the window is over is told at once.

    Windows that come again and again belong in the inventory: remotestatus_maintenance.
    """
    moment = now()
    start = read_moment(begins, moment) if begins else moment
    end = read_end(lasting, until, moment, start)
    if not listing and not target:
        raise click.UsageError("write for what: a remote, a proxy, a group or all; or --list")
    if not listing and not ending and end is None:
        raise click.UsageError("write how long: --for 2h, or --until 22:30")
    inventory = open_inventory(source)
    fleet = inventory.fleet
    said = say_target(fleet, target) if target else ""
    with History.open(inventory.database) as history:
        if listing or not target:
            click.echo("\n".join(window_lines(fleet, acks_windows_notes.command_windows(history, moment), moment)))
        elif ending:
            ended = acks_windows_notes.end_windows(history, target, moment)
            click.echo(f"Ended: {target} is out of maintenance." if ended else f"{target} has no window by command.")
        else:
            assert end is not None
            acks_windows_notes.open_window(history, target, start, end, one_line(note, 300))
            click.echo(f"In maintenance: {said}, from {say_local(start)} until {say_local(end)}.")


def say_target(fleet: Fleet, target: str) -> str:
    """
    Write a target: its name, and for a group the number of its remotes.

    Raises ConfigurationError, with the nearest right name, for a target that nothing of the fleet has.
    """
    names = {*fleet.proxies_by_name, *fleet.remotes_by_name, *(worker.name for worker in fleet.workers)}
    groups = {**fleet.remotes_by_group, EVERYTHING: fleet.remotes_by_name}
    if target in names:
        return target
    if target in groups:
        return f"{target} ({count(len(groups[target]), 'remote')})"
    guess = did_you_mean(target, {*names, *groups})
    raise ConfigurationError(f'"{target}" is no remote, proxy, worker or group of the inventory{guess}')


def window_lines(fleet: Fleet, commands: Iterable[CommandWindow], moment: datetime) -> list[str]:
    """A line for each window that is open or to come, those given by command first."""
    by_command = [(one.starts, one.until, one.target, one.note, "") for one in commands]
    by_inventory = [
        (one.starts, one.until, one.title, one.note, " by the inventory") for one in planned_windows(fleet, (), moment)
    ]
    lines = []
    for starts, until, target, note, whose in (*by_command, *by_inventory):
        state = "open" if starts <= moment else "to come"
        why = f": {note}" if note else ""
        lines.append(f"{target}, {state}{whose}, {say_local(starts)} to {say_local(until)}{why}")
    return lines or ["No maintenance window is open or to come."]
