"""`remotestatus run`: one round. Prints what needs attention; exits 0 when the round was done and recorded."""

import sys
from pathlib import Path

import click

from remotestatus.cli.options import now, with_inventory
from remotestatus.cli.stop import stop_on_signal
from remotestatus.errors import RoundGivenUp
from remotestatus.playbook import AnsibleSource, Playbooks
from remotestatus.text import one_line


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
    with stop_on_signal() as stop, Playbooks(source) as playbooks:
        playbooks.begin()
        # Ansible takes as long to start as everything else does to load: so both at once.
        from remotestatus.cli.one_round import run_with_progress, say_troubles
        from remotestatus.cli.screen import make_console
        from remotestatus.cli.summary import print_summary
        from remotestatus.round import Order, run_round

        order = Order(clock=now, templates=templates, cancel=stop.asked)
        try:
            if quiet:
                finished = run_round(playbooks, order)
            else:
                finished = run_with_progress(playbooks, order, make_console(stderr=True))
        except RoundGivenUp as given_up:
            click.echo(f"remotestatus: stopped: {given_up}", err=True)
            sys.exit(stop.exit_code)
    if not quiet:
        try:
            print_summary(finished, make_console())
        except Exception as error:
            # The round is done, and its exit code has to say how it went.
            summary = f"the summary could not be made: {type(error).__name__}: {one_line(error)}; please report this"
            click.echo(f"remotestatus: {summary}", err=True)
    for trouble in say_troubles(finished):
        click.echo(f"remotestatus: {trouble}", err=True)
    if finished.troubles:
        sys.exit(3)
