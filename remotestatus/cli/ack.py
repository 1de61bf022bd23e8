"""`remotestatus ack`: acknowledges a problem, which stops its reminders and its escalation."""

import click

from remotestatus.cli.opened_inventory import open_inventory
from remotestatus.cli.options import now, remote_argument, with_inventory
from remotestatus.cli.time_options import read_end, say_local
from remotestatus.history import History, acks_windows_notes
from remotestatus.model.errors import ConfigurationError, RoundError
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.status_words import Status
from remotestatus.model.text import did_you_mean
from remotestatus.model.untrusted_text import one_line
from remotestatus.probe import AnsibleSource


@click.command("ack")
@remote_argument(required=False, proxies=True)
@with_inventory
@click.option("--note", default="", help="Who takes care, and what is known; shown on the page.")
@click.option("--for", "lasting", metavar="DURATION", help="For so long, for example 2h.")
@click.option("--until", metavar="TIME", help='Until then: 22:30, or "2026-01-31 22:30".')
@click.option("--clear", is_flag=True, help="Take it back: reminders go on.")
@click.option("--list", "listing", is_flag=True, help="List what is acknowledged.")
def command(
    source: AnsibleSource,
    name: str | None,
    note: str,
    lasting: str | None,
    until: str | None,
    *,
    clear: bool,
    listing: bool,
) -> None:
    """
    Acknowledge the problem of a REMOTE (or proxy, or worker): no reminders and no escalation until it is over.

    It is shown on the page with its note. You are still told when it gets worse, and when it is over: that ends the
    acknowledgement.
    """
    moment = now()
    end = read_end(lasting, until, moment)
    if not name and not listing:
        raise click.UsageError("write which remote, or --list")
    database = open_inventory(source).database
    if not database.exists():
        raise RoundError("no round was recorded yet, so there is nothing to acknowledge; begin with `remotestatus run`")
    with History.open(database) as history:
        if listing or not name:
            _list(history)
            return
        subject, state = find(history, name)
        if clear:
            was = acks_windows_notes.clear_acknowledgement(history, subject)
            click.echo(f"{name} is no longer acknowledged." if was else f"{name} was not acknowledged.")
            return
        if state.is_well:
            raise ConfigurationError(f"{name} is up: there is nothing to acknowledge")
        acks_windows_notes.acknowledge(history, subject, moment, end, one_line(note, 300))
    lasts = f" until {say_local(end)}" if end else ""
    click.echo(
        f"Acknowledged: {name} is {state.status.spoken}; no reminders and no escalation{lasts or ' until it is over'}."
    )


def find(history: History, name: str) -> tuple[Subject, State]:
    """
    Find the remote, proxy or worker of this name and its state; of several, one that is not up.

    Raises ConfigurationError with the nearest right name.
    """
    states = history.states()
    order = (Kind.REMOTE, Kind.WORKER, Kind.PROXY)
    if found := [one for one in states.items() if one[0][1] == name]:
        return min(found, key=lambda one: (one[1].status is Status.UP, order.index(one[0][0])))
    guess = did_you_mean(name, [known for _, known in states])
    raise ConfigurationError(f'no remote or proxy "{name}" was checked so far{guess}')


def _list(history: History) -> None:
    found = acks_windows_notes.acknowledgements(history)
    if not found:
        click.echo("Nothing is acknowledged.")
    for (_, name), one in sorted(found.items(), key=lambda item: item[0][1]):
        until = f" until {say_local(one.until)}" if one.until else ""
        note = f": {one.note}" if one.note else ""
        click.echo(f"{name}, since {say_local(one.at)}{until}{note}")
