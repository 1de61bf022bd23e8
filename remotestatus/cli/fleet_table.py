"""
Renders a Report for a terminal: a table by root cause, each problem with its hint, and a summary.

The summary comes last, because the end of the output stays visible. A proxy that does not answer is one entry with the
number of remotes behind it, as on the page.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.console import Console, RenderableType
from rich.text import Text

from remotestatus.cli.terminal import Column, Paragraph, Part, RowTable, paragraph, print_lines, status_text, text_of
from remotestatus.model.check_result import Trouble
from remotestatus.model.durations import say_duration, say_seconds
from remotestatus.model.status_words import APPEARANCES, Status
from remotestatus.model.text import count, join_names, say_percent
from remotestatus.report import RemoteView, Report, RootCause
from remotestatus.round import FinishedRound

FOLDED_FROM = 4
"""From this many remotes with one cause, the table has one line for all."""

NAMED = 7
"""How many names an entry lists before it counts the rest."""

UP_LISTED = 30
"""`run` lists up to this many remotes that are up; `status` lists them all."""


def print_summary(finished: FinishedRound, console: Console) -> None:
    """Print a finished round: table, problems, summary, and the page's path."""
    inventory, report = finished.inventory, finished.report
    if report is None:
        return
    print_lines(console, fleet_lines(report, fold=True, fold_up=report.summary["up"] > UP_LISTED))
    round_ = finished.round
    print_lines(
        console,
        [text_of(f"Round {round_.id} took {say_seconds(round_.seconds)}. Page: {inventory.site / 'index.html'}")],
    )


def fleet_lines(report: Report, *, fold: bool, fold_up: bool = False) -> Iterator[RenderableType]:
    """Table, problems and summary."""
    yield fleet_table(report, fold=fold, fold_up=fold_up)
    yield Text()
    yield from problems_lines(report)
    yield from summary_lines(report)


# -- the table ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One line of the table: a remote, a proxy that does not answer, or many remotes that share one cause."""

    word: str
    name: Part
    why: str = ""
    lasted: str = ""
    remote: RemoteView | None = None


def say_processes(remote: RemoteView) -> str:
    """How many of its processes run: `2 of 3`, `all 3`, `unknown`, or nothing when none are asked for."""
    return f"all {len(remote.latest.processes)}" if remote.running == "all" else remote.running


def say_uptime(remote: RemoteView, span: str) -> str:
    """Its uptime over a span (`30d`); empty when it is not known."""
    percent = remote.uptime[span].percent
    return "" if percent is None else say_percent(percent)


def _of_remote(cell: Callable[[RemoteView], object]) -> Callable[[FleetRow], str]:
    """Make the cell function of a column that is empty for other rows than remotes."""
    return lambda row: str(cell(row.remote) or "") if row.remote else ""


COLUMNS: tuple[Column[FleetRow], ...] = (
    Column("Status", lambda row: status_text(row.word)),
    Column("Remote", lambda row: row.name, shrinks=True),
    Column("Why", lambda row: row.why, rank=1),
    Column("Processes", _of_remote(say_processes), rank=2),
    Column("Nickname", _of_remote(lambda remote: remote.nickname), rank=3, widest=30),
    Column("Remote\nport", _of_remote(lambda remote: remote.remote_port), rank=4, right=True),
    Column("Virtual\nport", _of_remote(lambda remote: remote.virtual_port), rank=5, right=True),
    Column("Location", _of_remote(lambda remote: remote.location), rank=6, widest=30),
    Column("For", lambda row: row.lasted, rank=7, right=True),
    Column("Uptime\n30 d", _of_remote(lambda remote: say_uptime(remote, "30d")), rank=8, right=True),
)


def fleet_table(report: Report, *, fold: bool, fold_up: bool = False) -> RowTable[FleetRow]:
    """
    A line for each remote, those with problems first, and one for each proxy that does not answer.

    `fold` joins many remotes with one cause into a line, `fold_up` those that are up.
    """
    rows: list[FleetRow] = []
    wrong: set[str] = set()
    for problem in report.problems:
        rows += _problem_rows(report, problem, fold=fold)
        wrong.update(remote.name for remote in problem.affected)
        if problem.kind != "worker":  # its host may well be up
            wrong.add(problem.name)
    others = [remote for remote in report.remotes if remote.name not in wrong]
    rows += [_remote_row(report, remote) for remote in others if remote.maintenance is not None]
    up = [remote for remote in others if remote.maintenance is None]
    if fold_up and len(up) >= FOLDED_FROM:
        rows.append(FleetRow("up", count(len(up), "remote")))
    else:
        rows += [_remote_row(report, remote) for remote in up]
    return RowTable(COLUMNS, rows)


def _problem_rows(report: Report, problem: RootCause, *, fold: bool) -> Iterator[FleetRow]:
    if problem.kind in ("proxy", "worker"):
        lasted = _say_lasted(report, problem.since)
        name = f"{problem.name} ({problem.kind})"
        yield FleetRow(problem.status.value, (name, "bold"), _cause(problem.trouble), lasted)
    elif problem.kind == "remote":
        yield from (_remote_row(report, remote) for remote in report.remotes if remote.name == problem.name)
    affected = problem.affected
    if fold and len(affected) >= FOLDED_FROM:
        first = affected[0]
        path = f"behind {first.proxy}" if first.proxy else "without a proxy"
        where = "behind it" if problem.kind == "proxy" else path
        yield FleetRow(first.word, f"{count(len(affected), 'remote')} {where}", _cause(first.trouble))
    else:
        yield from (_remote_row(report, remote) for remote in affected)


def _remote_row(report: Report, remote: RemoteView) -> FleetRow:
    why = _cause(remote.trouble)
    if remote.maintenance is not None:
        why = f"{remote.status.label} · {why}" if why else Status.UP.label
    elif remote.acknowledged:
        why = f"{why}, known"
    name = (remote.name, "bold" if remote.needs_attention else "")
    return FleetRow(remote.word, name, why, _say_lasted(report, remote.since), remote)


def _cause(trouble: Trouble | None) -> str:
    return trouble.cause.value if trouble else ""


def _say_lasted(report: Report, since: datetime) -> str:
    return "new" if since >= report.round.started_at else say_duration(report.generated_at - since)


# -- problems ----------------------------------------------------------------------------------------------------------


_AFFECTED = {"proxy": "Behind it, and so not checked", "worker": "Looked at by nobody else, and so not checked"}


def problems_lines(report: Report) -> Iterator[RenderableType]:
    """Each problem: subject, since when, message, hint, detail, and the remotes it affects."""
    for problem in report.problems:
        yield problem_head(report, problem)
        for trouble in problem.troubles:
            yield from trouble_lines(trouble)
        if problem.affected:
            names = join_names([remote.name for remote in problem.affected], NAMED)
            what = _AFFECTED.get(problem.kind, "These")
            yield paragraph(f"{what}: {names}", indent=2, hang=4)
        if problem.acknowledged:
            note = f": {problem.acknowledged.note}" if problem.acknowledged.note else ""
            yield paragraph(f"Acknowledged{note}", indent=2, hang=4)
        yield Text()


def problem_head(report: Report, problem: RootCause) -> Paragraph:
    """A problem in one sentence."""
    appearance = problem.status.appearance
    who = problem.name if problem.name and problem.kind not in ("proxy", "worker") else problem.subject
    title = problem.subject if problem.kind == "remote" and problem.subject != problem.name else ""
    about = ", ".join(filter(None, (title, problem.location)))
    is_new = problem.since >= report.round.started_at
    lasted = "since this round" if is_new else f"for {say_duration(report.generated_at - problem.since)}"
    behind = (
        f", and {count(len(problem.affected), 'remote')} behind it"
        if problem.kind == "proxy" and problem.affected
        else ""
    )
    unconfirmed = f" ({problem.unconfirmed})" if problem.unconfirmed else ""
    verb = "are" if problem.kind == "group" else "is"
    return paragraph(
        (f"{appearance.sign} {who}", f"bold {appearance.style}"),
        f" ({about})" if about else "",
        f" {verb} {appearance.label} {lasted}{behind}{unconfirmed}",
        hang=2,
    )


def trouble_lines(trouble: Trouble) -> Iterator[Paragraph]:
    """One trouble: message, hint and detail."""
    yield paragraph(trouble.message, indent=2)
    if trouble.hint:
        yield paragraph(("Try: ", "bold"), trouble.hint, indent=2, hang=4)
    if trouble.detail:
        yield paragraph((f"Seen: {trouble.detail}", "dim"), indent=2, hang=4)
    for line in trouble.log:
        yield paragraph((f"Logged: {line}", "dim"), indent=2, hang=4)


# -- the fleet in a sentence -------------------------------------------------------------------------------------------


def summary_lines(report: Report) -> Iterator[Paragraph]:
    """The summary sentence, the number of remotes by status, and what went wrong with the round itself."""
    style = APPEARANCES[report.worst if report.problems else "up"].style
    yield paragraph((report.verdict, f"bold {style}"), f" ({report.aside})" if report.aside else "")
    if counts := say_counts(report):
        yield paragraph(counts)
    for trouble in report.round.troubles:
        yield paragraph(("The round itself: ", "bold"), trouble, hang=2)
    for failing in report.failing:
        since = say_duration(report.generated_at - failing.since)
        yield paragraph(("Messages: ", "bold"), f"{failing.name} has taken none for {since}: {failing.error}", hang=2)


def say_counts(report: Report) -> str:
    """How many remotes have which status: `1 down, 3 up`."""
    return ", ".join(f"{number} {APPEARANCES[word].label}" for word, number in report.summary.items() if number)


def is_overdue(report: Report) -> bool:
    """Whether the next round should have come by now."""
    return report.generated_at > report.overdue_at


def overdue_lines(report: Report) -> list[RenderableType]:
    """How old the last round is and what to do, and a blank line, if the next one is overdue; else nothing."""
    if not is_overdue(report):
        return []
    age = say_duration(report.generated_at - report.round.finished_at)
    sentence = (
        f"OUT OF DATE: the last round ended {age} ago, and there should be one every {say_duration(report.every)}. "
        "What follows may no longer be true. `remotestatus schedule` says whether a timer runs, `remotestatus doctor` "
        "what is wrong."
    )
    return [paragraph((sentence, "bold red")), Text()]


def round_sentence(report: Report) -> str:
    """Which round this is about, and when the next is due."""
    age = max(timedelta(), report.generated_at - report.round.finished_at)
    left = report.next_expected_at - report.generated_at
    due = f"the next is due in {say_duration(left)}" if left > timedelta() else "the next is due now"
    return f"Round {report.round.id} ended {say_duration(age)} ago and took {say_seconds(report.round.seconds)}; {due}."


def unseen_lines(names: Iterable[str]) -> Iterator[Paragraph]:
    """The remotes that no round has checked yet, by name."""
    found = list(names)
    if found:
        verb = "was" if len(found) == 1 else "were"
        yield paragraph(
            f"{count(len(found), 'remote')} of the inventory {verb} not checked yet: {join_names(found, NAMED)}", hang=2
        )
