"""
What the terminal shows of a fleet: a table by root cause, each problem with what to try, and a verdict.

A Report comes in, lines for a Screen come out; what was printed last stands at the bottom of a terminal, so the
verdict does. A dead proxy is one entry with the number of remotes behind it, as on the page.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.text import Text

from remotestatus.cli.last_report import recall
from remotestatus.cli.options import now
from remotestatus.cli.terminal import Column, Part, Screen, print_lines, screen_of
from remotestatus.model.check_result import Trouble
from remotestatus.model.durations import say_duration
from remotestatus.model.statuses import Status
from remotestatus.report import RemoteView, Report, RootCause
from remotestatus.round import FinishedRound

COLUMNS = (
    Column("Status"),
    Column("Remote", widest=40, shrinks=True),
    Column("Why", rank=1),
    Column("Processes", rank=2),
    Column("Nickname", rank=3, widest=30),
    Column("Remote\nport", rank=4, right=True),
    Column("Virtual\nport", rank=5, right=True),
    Column("Location", rank=6, widest=30),
    Column("For", rank=7, right=True),
    Column("Uptime\n30 d", rank=8, right=True),
)

FOLDED_FROM = 4
"""From so many remotes that share one cause, the table has one line for all of them."""

NAMED = 8
"""How many names an entry lists before it counts the rest."""

UP_LISTED = 30
"""`run` lists remotes that are up as long as they are no more; `status` lists them all."""


def print_summary(finished: FinishedRound, console: Console) -> None:
    """Print a finished round: its table, its problems, the verdict, and where the page is."""
    inventory, report = finished.inventory, finished.report
    if report is None:
        return
    if len(inventory.limited_to) < len(inventory.fleet.remotes):
        report = recall(inventory.fleet, inventory.database, now(), inventory.limited_to).report
    screen = screen_of(console)
    print_lines(console, fleet_lines(report, screen, fold=True, fold_up=report.summary["up"] > UP_LISTED))
    round_ = finished.round
    page = screen.text(f"Round {round_.id} took {round_.seconds:.1f} s. Page: {inventory.site / 'index.html'}")
    print_lines(console, [page])


def fleet_lines(report: Report, screen: Screen, *, fold: bool, fold_up: bool = False) -> list[Text]:
    """The whole summary: table, problems, verdict."""
    return [
        *table_lines(report, screen, fold=fold, fold_up=fold_up),
        Text(),
        *problems_lines(report, screen),
        *verdict_lines(report, screen),
    ]


# -- the table ---------------------------------------------------------------------------------------------------------


def table_lines(report: Report, screen: Screen, *, fold: bool, fold_up: bool = False) -> list[Text]:
    """
    A line for each remote, those with problems first, and one for each proxy that does not answer.

    With `fold` many remotes that share one cause are one line, with `fold_up` so are those that are up.
    """
    rows: list[Sequence[Part]] = []
    wrong: set[str] = set()
    for problem in report.problems:
        rows += _problem_rows(report, screen, problem, fold=fold)
        wrong.update(remote.name for remote in problem.affected)
        wrong.add(problem.name)
    others = [remote for remote in report.remotes if remote.name not in wrong]
    resting = [remote for remote in others if remote.maintenance is not None]
    up = [remote for remote in others if remote.maintenance is None]
    rows += [_row(report, screen, remote) for remote in resting]
    if fold_up and len(up) >= FOLDED_FROM:
        rows.append(_folded(screen, "up", f"{len(up)} remotes", ""))
    else:
        rows += [_row(report, screen, remote) for remote in up]
    return screen.table(COLUMNS, rows) if rows else []


def _problem_rows(report: Report, screen: Screen, problem: RootCause, *, fold: bool) -> Iterator[Sequence[Part]]:
    cause = problem.trouble.cause.value if problem.trouble else ""
    if problem.kind == "proxy":
        since = _lasted(report, problem.since)
        ends = (cause, "", "", "", "", "", since, "")
        yield (screen.status(problem.status.value), (f"{problem.name} (proxy)", "bold"), *ends)
    elif problem.kind == "remote":
        yield from (_row(report, screen, remote) for remote in report.remotes if remote.name == problem.name)
    affected = problem.affected
    if fold and len(affected) >= FOLDED_FROM:
        place = "behind it" if problem.kind == "proxy" else _place(affected[0])
        why = affected[0].trouble.cause.value if affected[0].trouble else ""
        yield _folded(screen, affected[0].word, f"{len(affected)} remotes {place}", why)
    else:
        yield from (_row(report, screen, remote) for remote in affected)


def _place(remote: RemoteView) -> str:
    return f"behind {remote.proxy}" if remote.proxy else "without a proxy"


def _folded(screen: Screen, word: str, who: str, why: str) -> Sequence[Part]:
    return (screen.status(word), who, why, *("" for _ in COLUMNS[3:]))


def _row(report: Report, screen: Screen, remote: RemoteView) -> Sequence[Part]:
    month = remote.uptime["30d"].percent
    why = remote.trouble.cause.value if remote.trouble else ""
    if remote.maintenance is not None:
        why = f"{remote.status} {screen.plain('·')} {why}" if why else "up"
    elif remote.acknowledged:
        why = f"{why}, known"
    return (
        screen.status(remote.word),
        (remote.name, "bold" if remote.needs_attention else ""),
        why,
        processes_text(remote),
        remote.nickname,
        str(remote.remote_port or ""),
        str(remote.virtual_port or ""),
        remote.location,
        _lasted(report, remote.since),
        "" if month is None else say_percent(month),
    )


def _lasted(report: Report, since: datetime) -> str:
    return "new" if since >= report.round.started_at else say_duration(report.generated_at - since)


def processes_text(remote: RemoteView) -> str:
    """How many of its processes run: `2 of 3`, `all 3`, `unknown`, or nothing when none are asked for."""
    return f"all {len(remote.processes)}" if remote.running == "all" else remote.running


def say_percent(share: float) -> str:
    """A share in percent that never rounds a failure away: 99.999 is not 100."""
    if share in (0, 100):
        return f"{share:.0f} %"
    return f"{min(max(share, 0.01), 99.99):.2f} %"


# -- problems ----------------------------------------------------------------------------------------------------------


def problems_lines(report: Report, screen: Screen) -> list[Text]:
    """Each problem: what it is, since when, why, what to try, what was seen, and whom it affects."""
    return [line for problem in report.problems for line in (*problem_lines(report, screen, problem), Text())]


def problem_lines(report: Report, screen: Screen, problem: RootCause) -> Iterator[Text]:
    """One problem, its head first."""
    yield from problem_head(report, screen, problem)
    for trouble in problem.troubles:
        yield from trouble_lines(screen, trouble)
    if problem.affected:
        names = [remote.name for remote in problem.affected]
        what = "Behind it, and so not checked" if problem.kind == "proxy" else "These"
        yield from screen.paragraph(f"{what}: {list_names(names)}", indent=2, hang=4)
    if problem.acknowledged:
        note = f": {problem.acknowledged.note}" if problem.acknowledged.note else ""
        yield from screen.paragraph(f"Acknowledged{note}", indent=2, hang=4)


def problem_head(report: Report, screen: Screen, problem: RootCause) -> list[Text]:
    """A problem in one sentence."""
    word = problem.status.value
    who = problem.subject if problem.subject == problem.name or not problem.name else f"{problem.name}"
    if problem.kind == "proxy":
        who = problem.subject
    title = problem.subject if problem.kind == "remote" and problem.subject != problem.name else ""
    place = ", ".join(filter(None, (title, problem.location)))
    is_new = problem.since >= report.round.started_at
    ends = " since this round" if is_new else f" for {say_duration(report.generated_at - problem.since)}"
    if problem.kind == "proxy" and problem.affected:
        ends += f", and {_count(len(problem.affected))} behind it"
    if problem.unconfirmed:
        ends += f" ({problem.unconfirmed})"
    verb = "are" if problem.kind == "group" else "is"
    return screen.paragraph(
        (f"{screen.sign(word)} {who}", f"bold {_style(problem.status)}"),
        f" ({place})" if place else "",
        f" {verb} {word}{ends}",
        hang=2,
    )


def trouble_lines(screen: Screen, trouble: Trouble) -> Iterator[Text]:
    """One trouble: the sentence, what to try, and the evidence."""
    yield from screen.paragraph(trouble.message, indent=2)
    if trouble.hint:
        yield from screen.paragraph(("Try: ", "bold"), trouble.hint, indent=2, hang=4)
    if trouble.detail:
        yield from screen.paragraph((f"Seen: {trouble.detail}", "dim"), indent=2, hang=4)


def list_names(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    if len(names) <= NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: NAMED - 1])} and {len(names) - NAMED + 1} more"


def _count(remotes: int) -> str:
    return "1 remote" if remotes == 1 else f"{remotes} remotes"


def _style(status: Status) -> str:
    return {"up": "green", "degraded": "yellow", "down": "red", "unknown": "magenta"}[status.value]


# -- the verdict -------------------------------------------------------------------------------------------------------


def verdict_lines(report: Report, screen: Screen) -> Iterator[Text]:
    """The gist in a sentence, how the remotes are counted, and what else is to be said of the round."""
    word = report.worst if report.problems else "up"
    yield from screen.paragraph(
        (report.verdict, f"bold {_style(Status(word))}"), f" ({report.aside})" if report.aside else ""
    )
    counts = [f"{number} {name}" for name, number in report.summary.items() if number]
    yield from screen.paragraph(", ".join(counts)) if counts else ()
    for trouble in report.round.troubles:
        yield from screen.paragraph(("The round itself: ", "bold"), trouble, hang=2)
    for failing in report.failing:
        since = say_duration(report.generated_at - failing.since)
        yield from screen.paragraph(
            ("Messages: ", "bold"), f"{failing.name} has taken none for {since}: {failing.error}", hang=2
        )


def is_overdue(report: Report) -> bool:
    """Whether the next round should have come by now."""
    return report.generated_at > report.overdue_at


def overdue_sentence(report: Report) -> str:
    """How old the last round is, and what to do."""
    age = say_duration(report.generated_at - report.round.finished_at)
    return (
        f"OUT OF DATE: the last round ended {age} ago, and there should be one every {say_duration(report.every)}. "
        "What follows may no longer be true. `remotestatus schedule` says whether a timer runs, `remotestatus doctor` "
        "what is wrong."
    )


def round_sentence(report: Report) -> str:
    """Which round this is about, and when the next is due."""
    age = max(timedelta(), report.generated_at - report.round.finished_at)
    left = report.next_expected_at - report.generated_at
    due = f"the next is due in {say_duration(left)}" if left > timedelta() else "the next is due now"
    return f"Round {report.round.id} ended {say_duration(age)} ago and took {report.round.seconds:.1f} s; {due}."


def unseen_lines(names: Iterable[str], screen: Screen) -> list[Text]:
    """What to say of remotes that no round has looked at yet."""
    found = list(names)
    if not found:
        return []
    verb = "was" if len(found) == 1 else "were"
    return screen.paragraph(
        f"{_count(len(found))} of the inventory {verb} not looked at yet: {list_names(found)}", hang=2
    )
