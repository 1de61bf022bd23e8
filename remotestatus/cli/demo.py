"""`remotestatus demo`: a small real fleet on loopback, checked like any other; shows what came of it and stops it."""

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from remotestatus.cli.options import now
from remotestatus.cli.progress import run_with_progress
from remotestatus.cli.table import print_summary
from remotestatus.demo import Fleet, Message
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.round import RoundOptions


@click.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--keep", is_flag=True, help="Leave the fleet running, and say how to run further rounds and break things."
)
def command(directory: Path | None, keep: bool) -> None:
    """
    Start a small real SSH fleet on loopback, check it, and show what came of it.

    One proxy and five remotes that each keep a reverse tunnel to it: one lacks a process, one has lost its tunnel.
    Needs no privileges, only the `ssh` client and the `demo` extra. Everything stays in DIRECTORY (default: a new
    temporary one).
    """
    console = Console()
    place = directory or Path(tempfile.mkdtemp(prefix="remotestatus-demo-"))
    console.print(f"Starting a proxy and five remotes on loopback, in {place}", highlight=False, soft_wrap=True)
    fleet = Fleet.start(place, keep=keep)
    try:
        with PlaybookRunner(AnsibleSource((fleet.inventory,))) as playbooks:
            finished = run_with_progress(playbooks, RoundOptions(clock=now), Console(stderr=True))
        console.print()
        print_summary(finished, console)
        for message in fleet.messages:
            console.print(_panel(message))
    except BaseException:
        fleet.stop()
        raise
    if keep:
        _say_what_next(fleet, console)
    else:
        fleet.stop()
        console.print("The fleet is stopped; its inventory, page and history are left to look at.")
        console.print("`remotestatus demo --keep` leaves it running.", highlight=False)
    if finished.troubles:
        for trouble in finished.troubles:
            click.echo(f"remotestatus: {trouble}", err=True)
        sys.exit(3)


def _panel(message: Message) -> Panel:
    return Panel(
        Text(message.body.strip()), title=Text(f"The message that was sent: {message.title}"), title_align="left"
    )


def _say_what_next(fleet: Fleet, console: Console) -> None:
    program = "remotestatus" if shutil.which("remotestatus") else shlex.join([sys.executable, "-m", "remotestatus"])
    python = shlex.quote(os.path.relpath(sys.executable) if sys.prefix.startswith(str(Path.cwd())) else sys.executable)
    place, inventory = shlex.quote(str(fleet.directory)), shlex.quote(str(fleet.inventory))
    console.print("The fleet keeps running. Now try:", style="bold")
    for line, meaning in (
        (f"{python} -m remotestatus.demo break {place} capture-1 tunnel", "or: process, sshd, stale"),
        (f"{python} -m remotestatus.demo break {place} tunnel-proxy proxy", "the proxy goes down"),
        (f"{program} run -i {inventory}", "the next round"),
        (f"{program} status -i {inventory}", "what it found"),
        (f"{python} -m remotestatus.demo mend {place} capture-1", "mend it again"),
        (f"{python} -m remotestatus.demo stop {place}", "stop the fleet"),
    ):
        console.print(Text(f"  {line}"), Text(f"    # {meaning}", style="dim"), sep="\n", soft_wrap=True)
