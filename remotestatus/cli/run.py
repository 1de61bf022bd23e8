"""`remotestatus run`: one round. Prints what needs attention; exits 0 when the round was done and recorded."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from remotestatus.cli.options import now, with_inventory
from remotestatus.cli.summary import print_summary
from remotestatus.playbook import AnsibleSource
from remotestatus.playbook import Progress as Looked
from remotestatus.round import Finished, Order, run_round


@click.command()
@with_inventory
@click.option(
    "--templates",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of templates of your own.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only what went wrong with the round itself.")
def command(source: AnsibleSource, templates: Path | None, quiet: bool) -> None:
    """
    Run one round: look at every remote, record, make the page, tell people.

    Exit code 0: the round was done and recorded, whatever it found. 2: the inventory or the usage is wrong, and
    nothing was connected to. 3: the round could not be done.
    """
    console = Console(stderr=True)
    finished = run_with_progress(Order(source=source, clock=now, templates=templates), console, quiet=quiet)
    if not quiet:
        print_summary(finished, Console())
    for trouble in finished.troubles:
        click.echo(f"remotestatus: {trouble}", err=True)
    for attempt in finished.delivery.failed:
        click.echo(f"remotestatus: a message was not taken and is tried again: {attempt.error}", err=True)
    if finished.troubles:
        sys.exit(3)


def run_with_progress(order: Order, console: Console, *, quiet: bool) -> Finished:
    """Run a round with a progress bar when somebody looks at a terminal."""
    if quiet or not console.is_terminal:
        return run_round(order)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failing]} failing"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("looking", total=None, failing=0)

        def show(looked: Looked) -> None:
            bar.update(task, total=looked.total, completed=looked.done, failing=looked.failing)

        return run_round(Order(order.source, order.clock, order.templates, show, order.cancel))
