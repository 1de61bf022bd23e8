"""`remotestatus demo`: starts a small real fleet on loopback, checks it, shows the result and stops it."""

import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.text import Text

from remotestatus.cli.fleet_table import print_summary
from remotestatus.cli.options import FOLDER, now, own_program
from remotestatus.cli.progress import run_with_progress
from remotestatus.cli.terminal import make_console, paragraph, print_lines, text_of
from remotestatus.demo import DemoFleet, Fault, ReceivedMessage, make_up_history
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.round import RoundOptions

_DIRECTORY = click.argument("directory", type=FOLDER)
_FAULTS = click.Choice([fault.value for fault in Fault])


@click.command()
@_DIRECTORY
@click.argument("name")
@click.argument("fault", type=_FAULTS)
def break_down(directory: Path, name: str, fault: str) -> None:
    """
    Break something of the remote or proxy NAME of the fleet that runs in DIRECTORY.

    Of a remote: its tunnel, a process, its sshd, or its tunnel so that it leads nowhere (stale). Of the proxy: proxy.
    """
    DemoFleet.find(directory).break_down(name, Fault(fault))


@click.command()
@_DIRECTORY
@click.argument("name")
@click.argument("fault", type=_FAULTS, required=False)
def mend(directory: Path, name: str, fault: str | None) -> None:
    """Mend one FAULT of the remote or proxy NAME of the fleet that runs in DIRECTORY, or all."""
    DemoFleet.find(directory).mend(name, Fault(fault) if fault else None)


@click.command()
@_DIRECTORY
def stop(directory: Path) -> None:
    """Stop the fleet that runs in DIRECTORY."""
    DemoFleet.find(directory).stop()


class _Demo(click.Command):
    """`demo [DIRECTORY]` starts a fleet; `demo break|mend|stop` is a command for a running fleet."""

    orders: Mapping[str, click.Command] = {"break": break_down, "mend": mend, "stop": stop}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        order = self.orders.get(args[0]) if args else None
        if order is None:
            return super().make_context(info_name, args, parent, **extra)
        return order.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)


@click.command(cls=_Demo)
@click.argument("directory", required=False, type=FOLDER)
@click.option(
    "--keep", is_flag=True, help="Leave the fleet running, and say how to run further rounds and break things."
)
def command(directory: Path | None, keep: bool) -> None:
    """
    Start a small real SSH fleet on loopback, check it, and show what came of it.

    One proxy and five remotes that each keep a reverse tunnel to it: one lacks a process, one has lost its tunnel. The
    ninety days before are made up, and the page says so.
    Needs no privileges, only the `ssh` client and the `demo` extra. Everything stays in DIRECTORY (default: a new
    temporary one). A fleet that was left running takes orders:

    \b
      remotestatus demo break DIRECTORY NAME FAULT    # tunnel, process, sshd, stale, proxy
      remotestatus demo mend DIRECTORY NAME [FAULT]
      remotestatus demo stop DIRECTORY
    """
    console = make_console()
    place = directory or Path(tempfile.mkdtemp(prefix="remotestatus-demo-"))
    console.print(f"Starting a proxy and five remotes on loopback, in {place}", highlight=False, soft_wrap=True)
    fleet = DemoFleet.start(place, keep=keep)
    try:
        make_up_history(fleet.database, now())
        with PlaybookRunner(AnsibleSource((fleet.inventory,))) as playbooks:
            finished = run_with_progress(playbooks, RoundOptions(clock=now), make_console(stderr=True))
        console.print()
        print_summary(finished, console)
        for message in fleet.messages:
            print_lines(console, _lines(message))
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


def _lines(message: ReceivedMessage) -> Iterator[RenderableType]:
    yield text_of()
    yield paragraph(("The message that was sent: ", "bold"), message.title)
    for line in message.body.strip().splitlines():
        yield paragraph(line, indent=2, hang=4)
    yield text_of()


def _say_what_next(fleet: DemoFleet, console: Console) -> None:
    """Commands that work in any folder: the program as it was started, and absolute paths."""
    found = shutil.which("remotestatus")
    program = "remotestatus" if found and found == own_program()[0] else shlex.join(own_program())
    place, inventory = shlex.quote(str(fleet.directory)), shlex.quote(str(fleet.inventory))
    console.print("The fleet keeps running. Now try:", style="bold")
    for line, meaning in (
        (f"{program} demo break {place} capture-1 tunnel", "or: process, sshd, stale"),
        (f"{program} demo break {place} tunnel-proxy proxy", "the proxy goes down"),
        (f"{program} run -i {inventory}", "the next round"),
        (f"{program} status -i {inventory}", "what it found"),
        (f"{program} demo mend {place} capture-1", "mend it again"),
        (f"{program} demo stop {place}", "stop the fleet"),
    ):
        console.print(Text(f"  {line}"), Text(f"    # {meaning}", style="dim"), sep="\n", soft_wrap=True)
