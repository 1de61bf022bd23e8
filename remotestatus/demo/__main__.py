"""
`python -m remotestatus.demo`: the fleet's own process, and orders to a fleet that was kept running.

    python -m remotestatus.demo serve DIRECTORY [--keep]
    python -m remotestatus.demo break DIRECTORY NAME tunnel|process|sshd|stale|proxy
    python -m remotestatus.demo mend DIRECTORY NAME [FAULT]
    python -m remotestatus.demo stop DIRECTORY
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import click

from remotestatus.demo.demo_fleet import APPRISE_VARIABLE, READY, Fleet, FleetError
from remotestatus.demo.layout import Layout
from remotestatus.demo.members import Fault

_DIRECTORY = click.argument("directory", type=click.Path(path_type=Path))
_FAULTS = click.Choice([fault.value for fault in Fault])


@click.group()
def main() -> None:
    """Run a demo fleet, and break and mend it."""


@main.command()
@_DIRECTORY
@click.option("--keep", is_flag=True, help="Run in the background until stopped, for a day at most.")
def serve(directory: Path, *, keep: bool) -> None:
    """Run a fleet in DIRECTORY until standard input closes."""
    from remotestatus.demo.fleet_process import serve as run_fleet

    if keep:
        if os.fork():
            os._exit(0)
        os.setsid()

    apprise = json.loads(os.environ.pop(APPRISE_VARIABLE, "[]"))

    def say_ready() -> None:
        sys.stdout.write(READY + "\n")
        sys.stdout.flush()
        # Whoever reads our standard output has read all there is, and need not stay.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    asyncio.run(run_fleet(Layout(directory.resolve()), apprise, say_ready, keep=keep))


@main.command("break")
@_DIRECTORY
@click.argument("name")
@click.argument("fault", type=_FAULTS)
def break_down(directory: Path, name: str, fault: str) -> None:
    """Break something of the remote or proxy NAME."""
    Fleet.find(directory).break_down(name, Fault(fault))


@main.command()
@_DIRECTORY
@click.argument("name")
@click.argument("fault", type=_FAULTS, required=False)
def mend(directory: Path, name: str, fault: str | None) -> None:
    """Mend one FAULT of the remote or proxy NAME, or all."""
    Fleet.find(directory).mend(name, Fault(fault) if fault else None)


@main.command()
@_DIRECTORY
def stop(directory: Path) -> None:
    """Stop the fleet that runs in DIRECTORY."""
    Fleet.find(directory).stop()


if __name__ == "__main__":
    try:
        main(prog_name="python -m remotestatus.demo")
    except FleetError as problem:
        sys.stderr.write(f"remotestatus: {problem}\n")
        sys.exit(problem.exit_code)
