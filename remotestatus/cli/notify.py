"""`remotestatus notify`: lists destinations, and tests them."""

import sys
from collections.abc import Mapping, Sequence

import click
from rich.table import Table

from remotestatus.cli.opened_inventory import open_inventory
from remotestatus.cli.options import now, with_inventory
from remotestatus.cli.progress import say_refused
from remotestatus.cli.terminal import make_console
from remotestatus.cli.time_options import say_local
from remotestatus.history import History, outbox, taken_replies
from remotestatus.model.errors import ConfigurationError
from remotestatus.model.fleet import Inventory
from remotestatus.model.receiver_memory import FailingDestination
from remotestatus.model.replies import Refusal
from remotestatus.notify import Destination, Sending, load_destinations, problems_of_tags, send_test
from remotestatus.probe import AnsibleSource
from remotestatus.templates import Templates


@click.command("notify")
@click.argument("tag", required=False)
@with_inventory
@click.option("--test", is_flag=True, help="Send a test message to each destination (with this TAG).")
def command(source: AnsibleSource, tag: str | None, *, test: bool) -> None:
    """
    List the destinations of messages; with --test, send each (that has the TAG) a test message.

    Exit code 3 when one of them did not take it. No URL is ever printed.
    """
    inventory = open_inventory(source)
    destinations = load_destinations(inventory.fleet.settings.apprise, inventory.base)
    if not destinations:
        raise ConfigurationError(
            "nobody is told: remotestatus_apprise is not set; write an Apprise URL into group_vars/all, for example "
            "mailto://… (see https://appriseit.com/services/)"
        )
    for problem in problems_of_tags(inventory.fleet, destinations):
        click.echo(f"remotestatus: {problem}", err=True)
    if tag and not any(tag in destination.tags for destination in destinations):
        tags = sorted({known for destination in destinations for known in destination.tags})
        raise ConfigurationError(f'no destination has the tag "{tag}"; there is {", ".join(tags) or "none"}')
    if test:
        _test(destinations, tag, Sending(inventory.fleet.settings, Templates(), now()))
    else:
        _show([one for one in destinations if not tag or tag in one.tags], inventory)


def _test(destinations: Sequence[Destination], tag: str | None, sending: Sending) -> None:
    outcomes = send_test(destinations, tag, sending)
    for destination, attempt in outcomes:
        if attempt.taken:
            click.echo(f"sent    {destination.name}")
        else:
            hint = " Trying again will hardly help: correct its URL." if attempt.permanent else ""
            click.echo(f"FAILED  {destination.name}: {attempt.error}.{hint}")
    if not all(attempt.taken for _, attempt in outcomes):
        sys.exit(3)


def _show(destinations: Sequence[Destination], inventory: Inventory) -> None:
    failing: dict[str, FailingDestination] = {}
    refused: dict[Refusal, int] = {}
    if inventory.database.exists():
        with History.open(inventory.database) as history:
            failing = {one.key: one for one in outbox.failing_destinations(history)}
            refused = taken_replies.refused_so_far(history)
    _list(destinations, failing)
    for answers in inventory.fleet.settings.answers:
        click.echo(f"Answers are read from {answers.place}.")
    for sentence in say_refused(refused):
        click.echo(f"So far, {sentence}.")


def _list(destinations: Sequence[Destination], failing: Mapping[str, FailingDestination]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Destination", "Service", "Tags", "From", "State"):
        table.add_column(heading, overflow="fold")
    for destination in destinations:
        problem = failing.get(destination.key)
        state = f"fails since {say_local(problem.since)}: {problem.error}" if problem else "-"
        tags = ", ".join(destination.tags) or "(everything)"
        table.add_row(destination.name, destination.service_name, tags, destination.least.value, state)
    make_console().print(table)
