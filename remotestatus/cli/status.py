"""`remotestatus status`: what the last round found, from the history; connects to nothing."""

import json
import sys
from datetime import datetime
from pathlib import Path

import click
from rich.text import Text

from remotestatus.cli.last_report import LastReport, fleet_of, open_history, recall_from
from remotestatus.cli.options import choose, now, open_inventory, remote_argument, with_inventory
from remotestatus.cli.show import Dossier, dossier_lines, dossier_values
from remotestatus.cli.table import fleet_lines, is_overdue, overdue_sentence, round_sentence, unseen_lines
from remotestatus.cli.terminal import make_console, print_lines, screen_of
from remotestatus.history import History, outbox
from remotestatus.model.durations import say_duration
from remotestatus.model.errors import RemotestatusError, RoundError
from remotestatus.model.fleet import Inventory
from remotestatus.model.states import Kind
from remotestatus.model.statuses import APPEARANCES, NagiosState, Status
from remotestatus.probe import AnsibleSource
from remotestatus.report import ProxyView, RemoteView, Report
from remotestatus.report.formats import write_status


@click.command()
@remote_argument(required=False, proxies=True)
@with_inventory
@click.option(
    "--database",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read this history and no inventory: faster, and names only.",
)
@click.option(
    "--why", is_flag=True, help="With REMOTE: each decision to tell or not to tell somebody, with its reason."
)
@click.option("-a", "--all", "everything", is_flag=True, help="Fold nothing: one line for each remote.")
@click.option("--json", "as_json", is_flag=True, help="JSON: the same document as the page's status.json.")
@click.option("--nagios", is_flag=True, help="Only one line, as a Nagios (Icinga, Checkmk) plugin prints it.")
def command(
    source: AnsibleSource,
    name: str | None,
    database: Path | None,
    why: bool,
    everything: bool,
    as_json: bool,
    nagios: bool,
) -> None:
    """
    Show what the last round found; with REMOTE (or a proxy's name) everything about that one.

    Connects to nothing and reads only the history. Remotes that share one cause, for example a proxy that does not
    answer, are one line.

    \b
    Exit codes, as Nagios plugins have them; of several the lowest line counts:
      0  everything is up, or in maintenance
      1  something is degraded: reachable, but a process, limit or check is wrong
      3  something is unknown: it could not be looked at
      2  something is down, a proxy too
      3  the last round is overdue, or there is nothing to tell: always
    """
    if why and not name:
        raise click.UsageError("--why needs the name of a remote or proxy")
    if as_json and nagios:
        raise click.UsageError("--json and --nagios exclude each other")
    try:
        code = _show(source, name, database, why=why, everything=everything, as_json=as_json, nagios=nagios)
    except RemotestatusError as error:
        # What cannot be told is unknown, whatever the reason; 2 would say that something is down.
        error.exit_code = NagiosState.UNKNOWN
        if not nagios:
            raise
        click.echo(f"REMOTESTATUS UNKNOWN: {_one_line(str(error))}")
        code = NagiosState.UNKNOWN
    except Exception as error:
        # A plugin's traceback would be taken for a warning: Python exits with 1.
        if not nagios:
            raise
        click.echo(f"REMOTESTATUS UNKNOWN: {_one_line(f'{type(error).__name__}: {error}')}")
        code = NagiosState.UNKNOWN
    sys.exit(code)


def _show(
    source: AnsibleSource,
    name: str | None,
    database: Path | None,
    *,
    why: bool,
    everything: bool,
    as_json: bool,
    nagios: bool,
) -> int:
    moment = now()
    inventory: Inventory | None = None
    if database is None:
        inventory = open_inventory(source)
        database = inventory.database
    with open_history(database) as history:
        fleet = inventory.fleet if inventory else fleet_of(history)
        limit = inventory.limited_to if inventory and not name else None
        recalled = recall_from(history, fleet, moment, limit)
        if name:
            dossier = _dossier(history, recalled, name, moment)
            return _show_one(dossier, why=why, as_json=as_json, nagios=nagios)
    code = exit_code(recalled.report)
    if not recalled.report.remotes:
        code = NagiosState.UNKNOWN
    if as_json:
        sys.stdout.write(write_status(recalled.report))
    elif nagios:
        click.echo(nagios_line(recalled.report, code))
    else:
        _print_fleet(recalled, everything=everything)
    return code


def exit_code(report: Report) -> NagiosState:
    """The worst that applies: overdue, then down, unknown, degraded, up."""
    if is_overdue(report):
        return NagiosState.UNKNOWN
    statuses = {remote.status for remote in report.remotes if remote.maintenance is None}
    for proxy in report.proxies:
        behind = [remote for remote in report.remotes if proxy.name in remote.path]
        if not behind or any(remote.maintenance is None for remote in behind):
            statuses.add(proxy.status)
    return max(statuses, key=lambda status: status.severity, default=Status.UP).appearance.nagios


def nagios_line(report: Report, code: NagiosState) -> str:
    """The fleet in one line: status, what is wrong, and performance data."""
    verdict = report.verdict
    if is_overdue(report):
        age = say_duration(report.generated_at - report.round.finished_at)
        verdict = f"the last round ended {age} ago, one is due every {say_duration(report.every)}; then: {verdict}"
    counts = " ".join(f"{word}={report.summary[word]}" for word in ("up", "degraded", "down", "unknown", "maintenance"))
    return f"REMOTESTATUS {code.name}: {_one_line(verdict)} | {counts}"


def _one_line(text: str) -> str:
    # A bar would begin the performance data.
    return " ".join(text.replace("|", "/").split())


def _print_fleet(recalled: LastReport, *, everything: bool) -> None:
    console = make_console()
    screen, report = screen_of(console), recalled.report
    stale = screen.paragraph((overdue_sentence(report), "bold red")) if is_overdue(report) else []
    print_lines(console, [*stale, *([Text()] if stale else [])])
    print_lines(console, fleet_lines(report, screen, fold=not everything))
    print_lines(console, unseen_lines(recalled.unseen, screen))
    print_lines(console, stale or screen.paragraph(round_sentence(report)))


# -- one remote or proxy -----------------------------------------------------------------------------------------------


def _dossier(history: History, recalled: LastReport, name: str, moment: datetime) -> Dossier:
    report = recalled.report
    subject = _find(recalled, name)
    kind = Kind.REMOTE if isinstance(subject, RemoteView) else Kind.PROXY
    known = outbox.acknowledgements(history).get((kind, subject.name))
    return Dossier(
        report=report,
        state=recalled.report_input.states[kind, subject.name],
        subject=subject,
        incidents=(
            subject.incidents
            if isinstance(subject, RemoteView)
            else tuple(one for one in report.incidents if (one.kind, one.name) == (kind, subject.name))
        ),
        messages=tuple(outbox.messages_about(history, (kind, subject.name))),
        decisions=tuple(outbox.decisions_about(history, (kind, subject.name))),
        acknowledgement=known if known and known.holds(moment) else None,
    )


def _find(recalled: LastReport, name: str) -> RemoteView | ProxyView:
    report = recalled.report
    known = [
        *((remote.name, remote.nickname) for remote in report.remotes),
        *((proxy.name, "") for proxy in report.proxies),
        *((unseen, "") for unseen in recalled.unseen),
    ]
    (chosen,) = choose([name], known)
    if chosen in recalled.unseen:
        raise RoundError(f"{chosen} was not looked at yet; `remotestatus run --limit {chosen}` looks at it")
    everyone: tuple[RemoteView | ProxyView, ...] = (*report.remotes, *report.proxies)
    return next(one for one in everyone if one.name == chosen)


def _show_one(dossier: Dossier, *, why: bool, as_json: bool, nagios: bool) -> int:
    report, subject = dossier.report, dossier.subject
    code = APPEARANCES[dossier.word].nagios
    if is_overdue(report):
        code = NagiosState.UNKNOWN
    if as_json:
        click.echo(json.dumps(dossier_values(dossier), ensure_ascii=False, indent=1))
    elif nagios:
        said = (
            f"{subject.name} is {APPEARANCES[dossier.word].label} for {say_duration(dossier.now - dossier.state.since)}"
        )
        if subject.trouble:
            said += f": {subject.trouble.message}"
        if is_overdue(report):
            said = f"the last round ended {say_duration(dossier.now - report.round.finished_at)} ago; then: {said}"
        click.echo(f"REMOTESTATUS {code.name}: {_one_line(said)}")
    else:
        console = make_console()
        screen = screen_of(console)
        stale = screen.paragraph((overdue_sentence(report), "bold red")) if is_overdue(report) else []
        print_lines(console, [*stale, *([Text()] if stale else []), *dossier_lines(dossier, screen, why=why)])
    return code
