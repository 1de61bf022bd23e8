"""`remotestatus status`: what the last round found, from the history; connects to nothing."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from remotestatus.cli.fleet_table import fleet_lines, is_overdue, overdue_lines, round_sentence, unseen_lines
from remotestatus.cli.last_report import LastReport, read_last_report
from remotestatus.cli.opened_inventory import open_inventory
from remotestatus.cli.options import FILE, choose, now, remote_argument, with_inventory_options
from remotestatus.cli.status_of_one import Details, details_lines, details_values
from remotestatus.cli.terminal import make_console, paragraph, print_lines
from remotestatus.history import History, outbox
from remotestatus.model.durations import say_duration
from remotestatus.model.errors import RemotestatusError, RoundError
from remotestatus.model.fleet import Inventory
from remotestatus.model.states import Kind
from remotestatus.model.status_words import APPEARANCES, NagiosState, Severity, Status
from remotestatus.model.text import join_names
from remotestatus.probe import AnsibleSource
from remotestatus.report import ProxyView, RemoteView, Report
from remotestatus.report.formats import write_status


@click.command()
@remote_argument(required=False, proxies=True)
@with_inventory_options
@click.option("--database", type=FILE, help="Read this history and no inventory: faster, and names only.")
@click.option("--why", is_flag=True, help="With REMOTE: each decision to notify somebody or not, with its reason.")
@click.option("-a", "--all", "everything", is_flag=True, help="Fold nothing: one line for each remote.")
@click.option("--json", "as_json", is_flag=True, help="JSON: the same document as the page's status.json.")
@click.option("--nagios", is_flag=True, help="Only one line, as a Nagios (Icinga, Checkmk) plugin prints it.")
def command(
    read_source: Callable[[], AnsibleSource],
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
         (with --nagios 2, when that is critical)
      3  something is unknown: it could not be checked
      2  something is down, a proxy too
      3  the last round is overdue, or nothing is known yet: always
    """
    if why and not name:
        raise click.UsageError("--why needs the name of a remote or proxy")
    if as_json and nagios:
        raise click.UsageError("--json and --nagios exclude each other")
    try:
        code = _show(read_source, name, database, why=why, everything=everything, as_json=as_json, nagios=nagios)
    except Exception as error:
        # Without a result the status is unknown, whatever the reason; 2 would mean that something is down.
        code = NagiosState.UNKNOWN
        if ours := isinstance(error, RemotestatusError):
            error.exit_code = code
        if not nagios:
            raise
        # After a traceback Python exits with 1, which means WARNING.
        click.echo(f"REMOTESTATUS UNKNOWN: {_one_line(str(error) if ours else f'{type(error).__name__}: {error}')}")
    sys.exit(code)


def _show(
    read_source: Callable[[], AnsibleSource],
    name: str | None,
    database: Path | None,
    *,
    why: bool,
    everything: bool,
    as_json: bool,
    nagios: bool,
) -> int:
    inventory: Inventory | None = None
    option = ""
    if database is None:
        source = read_source()
        inventory, option = open_inventory(source), source.option
        database = inventory.database
    if not database.exists():
        raise RoundError(f"no round was run yet: there is no history {database}; `remotestatus run` makes it")
    with History.open(database, read_only=True) as history:
        last = read_last_report(history, inventory, now(), whole=name is not None, inventory_option=option)
        if name:
            details = _read_details(history, last, name)
            return _show_one(details, why=why, as_json=as_json, nagios=nagios)
    code = exit_code(last.report, by_severity=nagios)
    if not last.report.remotes:
        code = NagiosState.UNKNOWN
    if as_json:
        sys.stdout.write(write_status(last.report))
    elif nagios:
        click.echo(nagios_line(last.report, code))
    else:
        _print_fleet(last, everything=everything)
    return code


_NAMED = 6
"""Most problems that the plugin's line names."""


def exit_code(report: Report, *, by_severity: bool = False) -> NagiosState:
    """
    The worst that applies: overdue, then down, unknown, degraded, up.

    With `by_severity` what is degraded and critical is CRITICAL, as it is for a Nagios plugin.
    """
    if is_overdue(report):
        return NagiosState.UNKNOWN
    counted: list[RemoteView | ProxyView] = [remote for remote in report.remotes if remote.maintenance is None]
    counted += [proxy for proxy in report.proxies if not _rests(proxy, report)]
    if by_severity and any(one.status is Status.DEGRADED and one.severity is Severity.CRITICAL for one in counted):
        return NagiosState.CRITICAL
    return max((one.status for one in counted), key=lambda status: status.rank, default=Status.UP).appearance.nagios


def _rests(proxy: ProxyView, report: Report) -> bool:
    """Whether everything behind a proxy is in maintenance."""
    behind = [remote for remote in report.remotes if proxy.name in remote.path]
    return bool(behind) and all(remote.maintenance is not None for remote in behind)


def nagios_line(report: Report, code: NagiosState) -> str:
    """The fleet in one line: status, what is wrong, and performance data."""
    sentence = ", ".join(filter(None, (report.verdict, report.aside)))
    wrong = [
        f"{one.name or one.subject} {one.trouble.cause if one.trouble else one.status.label}" for one in report.problems
    ]
    sentence += f" ({join_names(wrong, _NAMED)})" if wrong else ""
    if is_overdue(report):
        age = say_duration(report.generated_at - report.round.finished_at)
        sentence = f"the last round ended {age} ago, one is due every {say_duration(report.every)}; then: {sentence}"
    counts = " ".join(f"{word}={report.summary[word]}" for word in ("up", "degraded", "down", "unknown", "maintenance"))
    return f"REMOTESTATUS {code.name}: {_one_line(sentence)} | {counts}"


def _one_line(text: str) -> str:
    # In a plugin's line a bar begins the performance data.
    return " ".join(text.replace("|", "/").split())


def _print_fleet(last: LastReport, *, everything: bool) -> None:
    report = last.report
    overdue = overdue_lines(report)
    lines = [*overdue, *fleet_lines(report, fold=not everything)]
    lines += [*unseen_lines(last.unseen), *(overdue[:1] or [paragraph(round_sentence(report))])]
    print_lines(make_console(), lines)


# -- one remote or proxy -----------------------------------------------------------------------------------------------


def _read_details(history: History, last: LastReport, name: str) -> Details:
    report = last.report
    subject = _find(last, name)
    kind = Kind.REMOTE if isinstance(subject, RemoteView) else Kind.PROXY
    return Details(
        report=report,
        state=last.report_input.states[kind, subject.name],
        subject=subject,
        incidents=(
            subject.incidents
            if isinstance(subject, RemoteView)
            else tuple(one for one in report.incidents if (one.kind, one.name) == (kind, subject.name))
        ),
        messages=tuple(outbox.messages_about(history, (kind, subject.name))),
        decisions=tuple(outbox.decisions_about(history, (kind, subject.name))),
        acknowledgement=last.report_input.acknowledgements.get((kind, subject.name)),
    )


def _find(last: LastReport, name: str) -> RemoteView | ProxyView:
    report = last.report
    known = dict.fromkeys([*last.unseen, *(proxy.name for proxy in report.proxies)], "")
    known |= {remote.name: remote.nickname for remote in report.remotes}
    (chosen,) = choose([name], known)
    if chosen in last.unseen:
        raise RoundError(f"{chosen} was not checked yet; `remotestatus run --limit {chosen}` checks it")
    everyone: tuple[RemoteView | ProxyView, ...] = (*report.remotes, *report.proxies)
    return next(one for one in everyone if one.name == chosen)


def _show_one(details: Details, *, why: bool, as_json: bool, nagios: bool) -> int:
    report, subject = details.report, details.subject
    code = APPEARANCES[details.word].nagios
    if nagios and details.word == Status.DEGRADED and subject.severity:
        code = subject.severity.nagios
    if is_overdue(report):
        code = NagiosState.UNKNOWN
    if as_json:
        click.echo(json.dumps(details_values(details), ensure_ascii=False, indent=1))
    elif nagios:
        sentence = (
            f"{subject.name} is {APPEARANCES[details.word].label} for {say_duration(details.now - details.state.since)}"
        )
        if subject.trouble:
            sentence += f": {subject.trouble.message}"
        if is_overdue(report):
            age = say_duration(details.now - report.round.finished_at)
            sentence = f"the last round ended {age} ago; then: {sentence}"
        click.echo(f"REMOTESTATUS {code.name}: {_one_line(sentence)}")
    else:
        overdue = overdue_lines(report)
        print_lines(make_console(), [*overdue, *details_lines(details, why=why)])
    return code
