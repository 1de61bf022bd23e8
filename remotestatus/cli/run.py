"""`remotestatus run`: one round. Prints what needs attention; exits 0 when the round was done and recorded."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from remotestatus.cli.options import now, with_inventory
from remotestatus.cli.screen import make_console
from remotestatus.cli.stop import stop_on_signal
from remotestatus.cli.summary import print_summary
from remotestatus.errors import RoundGivenUp
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
    nothing was connected to. 3: the round could not be done. Stopped by a signal while it looks, a round records
    nothing and ends with 128 and the signal's number.
    """
    console = make_console(stderr=True)
    with stop_on_signal() as stop:
        order = Order(source=source, clock=now, templates=templates, cancel=stop.asked)
        try:
            finished = run_with_progress(order, console, quiet=quiet)
        except RoundGivenUp as given_up:
            click.echo(f"remotestatus: stopped: {given_up}", err=True)
            sys.exit(stop.exit_code)
    if not quiet:
        print_summary(finished, make_console())
    for trouble in say_troubles(finished):
        click.echo(f"remotestatus: {trouble}", err=True)
    if finished.troubles:
        sys.exit(3)


def say_troubles(finished: Finished) -> list[str]:
    """What went wrong with a round itself, a sentence each."""
    return [
        *finished.troubles,
        *(
            f"{attempt.name or 'a destination'} did not take its message, which is tried again: {attempt.error}"
            for attempt in finished.delivery.failed
        ),
        *finished.unheard,
    ]


def run_with_progress(order: Order, console: Console, *, quiet: bool) -> Finished:
    """Run a round with a progress bar when somebody looks at a terminal."""
    if quiet or not console.is_terminal or console.is_dumb_terminal:
        return run_round(order)
    columns = (
        SpinnerColumn("line" if not console.encoding.startswith("utf") else "dots", finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=max(10, min(40, console.width - 60))),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failing]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("Reading the inventory", total=None, failing="")
        return run_round(replace(order, progress=_follow(bar, task)))


def _follow(bar: Progress, task: TaskID) -> Callable[[Looked], None]:
    look = 0

    def show(looked: Looked) -> None:
        nonlocal look
        if looked.look != look:
            look = looked.look
            # A look begins with the proxies; until the first remote has answered there is nothing to count.
            bar.reset(task, total=looked.total, description="Looking" if look == 1 else "Looking again")
        description = "Looking" if look == 1 else "Looking again"
        bar.update(
            task,
            description=description if looked.done else f"{description}: proxies first",
            total=looked.total,
            completed=looked.done,
            failing=f"{looked.failing} failing" if looked.failing else "",
        )

    return show
