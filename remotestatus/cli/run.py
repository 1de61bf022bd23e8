"""`remotestatus run`: runs one round and prints what needs attention."""

import shlex
import sys
from pathlib import Path

import click

from remotestatus.cli.log_in_options import with_log_in
from remotestatus.cli.options import EXISTING_FOLDER, now
from remotestatus.cli.signals import stop_on_signal
from remotestatus.model.errors import RoundGivenUp
from remotestatus.probe import AnsibleSource, PlaybookRunner


@click.command(context_settings={"allow_extra_args": True})
@with_log_in
@click.option("--templates", type=EXISTING_FOLDER, help="Folder of templates of your own.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what went wrong with the round itself.")
def command(source: AnsibleSource, templates: Path | None, quiet: bool) -> None:
    """
    Run one round: check every remote, record the results, make the page, notify people.

    Exit code 0: the round was done and recorded, whatever it found. 2: the inventory or the usage is wrong, and
    nothing was connected to. 3: the round could not be done, or a part of it failed (the page, for example). A round
    that is stopped by a signal while it checks remotes records nothing and ends with 128 and the signal's number.
    """
    if names := click.get_current_context().args:
        limit = shlex.quote(",".join(names))
        raise click.UsageError(f"a round takes no names; to check only some: remotestatus run --limit {limit}")
    if source.warning:
        click.echo(f"remotestatus: {source.warning}", err=True)
    with stop_on_signal() as stop, PlaybookRunner(source, for_round=True) as runner:
        runner.begin()
        # Ansible starts first: loading the rest of the program takes as long.
        from remotestatus.cli.fleet_table import print_summary
        from remotestatus.cli.progress import run_with_progress, say_troubles
        from remotestatus.cli.terminal import make_console
        from remotestatus.round import RoundOptions, run_round

        options = RoundOptions(clock=now, templates=templates, cancel=stop.asked)
        try:
            if quiet:
                finished = run_round(runner, options)
            else:
                finished = run_with_progress(runner, options, make_console(stderr=True))
        except RoundGivenUp as given_up:
            click.echo(f"remotestatus: stopped: {given_up}", err=True)
            sys.exit(stop.exit_code)
    if not quiet:
        print_summary(finished, make_console())
    for trouble in say_troubles(finished):
        click.echo(f"remotestatus: {trouble}", err=True)
    if finished.troubles:
        sys.exit(3)
