"""
`remotestatus watch`: one round after another in the foreground, for a terminal or a container.

The inventory is read anew for each round. What goes wrong with a round is said, and the next one is tried all the
same. Rounds begin at fixed distances by a clock that nobody sets, however long each takes; one that takes longer than
the distance leaves out those it ran over.
"""

import os
import time
import traceback
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import click
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from remotestatus.cli.options import now, with_inventory
from remotestatus.cli.progress import say_troubles
from remotestatus.cli.signals import Stop, stop_on_signal
from remotestatus.cli.table import problem_head, problems_lines, table_lines, verdict_lines
from remotestatus.cli.terminal import Screen, make_console
from remotestatus.model.durations import parse_duration, say_duration
from remotestatus.model.errors import RemotestatusError, RoundGivenUp
from remotestatus.model.text import one_line
from remotestatus.model.times import write_time
from remotestatus.probe import AnsibleSource, PlaybookRunner, Progress
from remotestatus.report import Report
from remotestatus.round import FinishedRound, RoundOptions, run_round

FIRST_RETRY = timedelta(minutes=1)
"""When nothing is known yet of how often to look, because no inventory could be read: until then."""


@click.command("watch")
@with_inventory
@click.option(
    "--every",
    metavar="DURATION",
    help="From one round to the next, such as 5m; the page still expects remotestatus_every.  [default: that]",
)
@click.option(
    "--templates",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of templates of your own.",
)
@click.option("--plain", is_flag=True, help="One line for each round, on a terminal too.")
def command(source: AnsibleSource, every: str | None, templates: Path | None, plain: bool) -> None:
    """
    Run a round at once and then every so often, in the foreground.

    On a terminal it shows the fleet and counts down to the next round; elsewhere it prints a line for each round. The
    inventory is read anew each time, and a round that fails does not end it.

    SIGTERM and Ctrl-C end it with exit code 0, also in the middle of a round, which is then given up: nothing of it is
    recorded. A second one ends it at once.
    """
    try:
        given = parse_duration(every) if every else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--every") from None
    console = make_console()
    with stop_on_signal() as stop:
        view: View
        if plain or not console.is_terminal or console.is_dumb_terminal:
            view = Lines()
            _watch(source, given, templates, view, stop)
        else:
            view = Picture(Screen(console.width, console.encoding.startswith("utf")))
            with Live(view, console=console, screen=True, refresh_per_second=4):
                _watch(source, given, templates, view, stop)
            if view.report:
                click.echo(_line(view.report))


def _watch(source: AnsibleSource, given: timedelta | None, templates: Path | None, view: "View", stop: Stop) -> None:
    """Run rounds until somebody asks to stop."""
    every = given or FIRST_RETRY
    begun = _clock()
    while not stop.asked():
        view.begin()
        order = RoundOptions(clock=now, templates=templates, progress=view.progress, cancel=stop.asked)
        try:
            with PlaybookRunner(source) as playbooks:
                finished = run_round(playbooks, order)
            every = given or finished.inventory.fleet.settings.every
            view.show(finished)
        except RoundGivenUp as given_up:
            view.fail(f"stopped: {given_up}")
            return
        except RemotestatusError as error:
            view.fail(str(error))
        except Exception as error:
            # A mistake of ours in one round must not end the watch over the fleet.
            view.fail(f"{type(error).__name__}: {one_line(error)}\n{traceback.format_exc()}")
        _reap()
        begun = next_start(begun, every.total_seconds(), _clock())
        while not stop.asked() and (left := begun - _clock()) > 0:
            view.wait(left)
            # Not in one piece: the clock goes on while the machine sleeps, and sleeping does not.
            stop.wait(min(1.0, left))
            _reap()


def next_start(last: float, every: float, now: float) -> float:
    """
    When the next round begins: a whole number of distances after the last began, and not in the past.

    All in seconds of the same clock.
    """
    missed = max(0.0, now - last) // every
    return last + every * (missed + 1)


def _clock() -> float:
    """Seconds that nobody sets, and that go on while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _reap() -> None:
    """Collect every child that has ended: between rounds nobody else waits for one, and process 1 inherits orphans."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _line(report: Report) -> str:
    """A round in one line."""
    counts = ", ".join(f"{number} {word}" for word, number in report.summary.items() if number)
    return (
        f"{write_time(report.round.finished_at)} round {report.round.id}: {report.verdict}"
        f"{f' ({counts})' if counts else ''}, {report.round.seconds:.1f} s"
    )


# -- views -------------------------------------------------------------------------------------------------------------


class View:
    """What somebody sees of the rounds."""

    def begin(self) -> None:
        """A round begins."""

    def progress(self, looked: Progress) -> None:
        """A remote was looked at."""

    def show(self, finished: FinishedRound) -> None:
        """A round was done and recorded."""

    def fail(self, reason: str) -> None:
        """A round was not."""

    def wait(self, seconds: float) -> None:
        """The next round begins in so many seconds."""


class Lines(View):
    """A line for each round, what went wrong on standard error."""

    def show(self, finished: FinishedRound) -> None:
        if finished.report:
            click.echo(_line(finished.report))
        for trouble in say_troubles(finished):
            click.echo(f"{write_time(now())} remotestatus: {trouble}", err=True)

    def fail(self, reason: str) -> None:
        click.echo(f"{write_time(now())} remotestatus: {reason}", err=True)


@dataclass
class Picture(View):
    """The fleet on a terminal: verdict, what happens now, problems, table, as much as there is room for."""

    screen: Screen
    report: Report | None = None
    failed: str = ""
    troubles: list[str] = field(default_factory=list)
    activity: str = ""
    began_at: datetime | None = None

    def begin(self) -> None:
        self.began_at, self.activity = now(), "reading the inventory"

    def progress(self, looked: Progress) -> None:
        again = "looking again" if looked.attempt > 1 else "looking"
        failing = f", {looked.failing} failing" if looked.failing else ""
        self.activity = f"{again}: {looked.done} of {looked.total}{failing}"

    def show(self, finished: FinishedRound) -> None:
        self.report, self.failed, self.troubles = finished.report or self.report, "", say_troubles(finished)

    def fail(self, reason: str) -> None:
        self.failed = reason

    def wait(self, seconds: float) -> None:
        self.began_at = None
        self.activity = f"next round in {say_duration(timedelta(seconds=max(1, round(seconds))))}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        screen = Screen(options.max_width, self.screen.unicode)
        height = options.height or console.height
        yield from self.lines(screen, height)

    def lines(self, screen: Screen, height: int) -> list[Text]:
        """What fits into so many lines: of the problems their heads if not all, of the table the first rows."""
        head = self._head(screen)
        report = self.report
        if report is None:
            return head[:height]
        table = table_lines(report, screen, fold=True, fold_up=False)
        problems = problems_lines(report, screen)
        room = height - len(head) - 1
        if len(problems) + len(table) > room:
            problems = [line for problem in report.problems for line in problem_head(report, screen, problem)]
            problems = _cut(problems, max(3, room // 2), screen, "problems")
            problems += [Text()] if problems else []
        if len(problems) + len(table) > room:
            table = table_lines(report, screen, fold=True, fold_up=True)
        return [*head, Text(), *problems, *_cut(table, room - len(problems), screen, "lines")][:height]

    def _head(self, screen: Screen) -> list[Text]:
        title = self.report.title if self.report else "remotestatus"
        since = f", {say_duration(now() - self.began_at)}" if self.began_at else ""
        lines = screen.paragraph((title, "bold"), f" · {self.activity}{since}", (" · Ctrl-C ends it", "dim"))
        if self.report:
            lines += list(verdict_lines(self.report, screen))
        if self.failed:
            first = self.failed.splitlines()
            lines += [line for text in first[:8] for line in screen.paragraph((text, "red"), hang=2)]
        for trouble in self.troubles:
            lines += screen.paragraph((trouble, "red"), hang=2)
        return lines


def _cut(lines: list[Text], most: int, screen: Screen, noun: str) -> list[Text]:
    if len(lines) <= most:
        return lines
    kept = max(0, most - 1)
    return [*lines[:kept], screen.text((f"… and {len(lines) - kept} more {noun}: `remotestatus status`", "dim"))]
