"""
`remotestatus watch`: one round after another in the foreground, for a terminal or a container.

The inventory is read anew for each round. An error in a round is printed, and the next round is run all the same.
Rounds begin at a fixed interval, however long each takes; the starts that a longer round misses are skipped. A
monotonic clock measures the interval.
"""

import os
import time
import traceback
from datetime import timedelta
from pathlib import Path

import click
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live

from remotestatus.cli.fleet_table import fleet_table, problems_lines, say_counts, summary_lines
from remotestatus.cli.log_in_options import with_log_in
from remotestatus.cli.options import EXISTING_FOLDER, now
from remotestatus.cli.progress import say_troubles
from remotestatus.cli.signals import Stop, stop_on_signal
from remotestatus.cli.terminal import Part, make_console, paragraph, text_of
from remotestatus.model.durations import parse_duration, say_duration, say_seconds
from remotestatus.model.errors import RemotestatusError, RoundGivenUp, say_os_error
from remotestatus.model.times import write_time
from remotestatus.model.untrusted_text import one_line
from remotestatus.probe import AnsibleSource, PlaybookRunner, Progress
from remotestatus.report import Report
from remotestatus.round import FinishedRound, RoundOptions, run_round

FIRST_RETRY = timedelta(minutes=1)
"""The interval until an inventory was read."""

_PAINTED_EVERY = 0.25
"""Seconds between two redraws while remotes are checked."""


@click.command("watch")
@with_log_in
@click.option(
    "--every",
    metavar="DURATION",
    help="From one round to the next, such as 5m; the page still expects remotestatus_every, the default.",
)
@click.option("--templates", type=EXISTING_FOLDER, help="Folder of templates of your own.")
@click.option("--plain", is_flag=True, help="One line for each round, on a terminal too.")
def command(source: AnsibleSource, every: str | None, templates: Path | None, plain: bool) -> None:
    """
    Run a round at once and then every so often, in the foreground.

    On a terminal it shows the fleet and counts down to the next round; elsewhere it prints a line for each round. The
    inventory is read anew each time, and a round that fails does not end it.

    SIGTERM and Ctrl-C end it with exit code 0, also in the middle of a round, which is then given up: nothing of it is
    recorded. A second signal ends it at once.
    """
    try:
        given = parse_duration(every) if every else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--every") from None
    console = make_console()
    with stop_on_signal() as stop:
        if plain or not console.is_terminal or console.is_dumb_terminal:
            _watch(source, given, templates, LineOutput(), stop)
            return
        output = ScreenOutput(console)
        with Live(output, console=console, screen=True, auto_refresh=False) as live:
            output.live = live
            _watch(source, given, templates, output, stop)
        if output.report:
            click.echo(_line(output.report))


def _watch(
    source: AnsibleSource, given: timedelta | None, templates: Path | None, out: "LineOutput | ScreenOutput", stop: Stop
) -> None:
    """Run rounds until a signal asks to stop."""
    every = given or FIRST_RETRY
    begun = _clock()
    while not stop.asked():
        out.begin()
        options = RoundOptions(clock=now, templates=templates, progress=out.progress, cancel=stop.asked)
        try:
            with PlaybookRunner(source, for_round=True) as runner:
                finished = run_round(runner, options)
            every = given or finished.inventory.fleet.settings.every
            out.show(finished)
        except RoundGivenUp as given_up:
            out.fail(f"stopped: {given_up}")
            return
        except RemotestatusError as error:
            out.fail(str(error))
        except OSError as error:
            out.fail(say_os_error(error))
        except Exception as error:
            # A programming error in one round must not end the watch.
            out.fail(f"{type(error).__name__}: {one_line(error)}\n{traceback.format_exc()}")
        _collect_children()
        begun = next_start(begun, every.total_seconds(), _clock())
        while not stop.asked() and (left := begun - _clock()) > 0:
            out.wait(left)
            # In steps: this clock runs on while the machine is suspended, but sleep does not.
            stop.wait(min(1.0, left))
            _collect_children()


def next_start(last: float, every: float, now: float) -> float:
    """
    When the next round begins: a whole number of intervals after the last began, and later than now.

    All in seconds of the same clock.
    """
    missed = max(0.0, now - last) // every
    return last + every * (missed + 1)


def _clock() -> float:
    """Seconds of a monotonic clock; where there is one, of one that counts suspension."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _collect_children() -> None:
    """Collect children that have ended. As process 1 of a container this process inherits orphans, too."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _line(report: Report) -> str:
    counts = say_counts(report)
    return (
        f"{write_time(report.round.finished_at)} round {report.round.id}: {report.verdict}"
        f"{f' ({counts})' if counts else ''}, {say_seconds(report.round.seconds)}"
    )


# -- outputs -----------------------------------------------------------------------------------------------------------


class LineOutput:
    """A line for each round, and errors on standard error; nothing while a round goes on, or between two."""

    def ignore(self, *what: object) -> None:
        pass

    begin = progress = wait = ignore

    def show(self, finished: FinishedRound) -> None:
        if finished.report:
            click.echo(_line(finished.report))
        for trouble in say_troubles(finished):
            click.echo(f"{write_time(now())} remotestatus: {trouble}", err=True)

    def fail(self, reason: str) -> None:
        click.echo(f"{write_time(now())} remotestatus: {reason}", err=True)


class ScreenOutput:
    """
    The fleet in full screen: summary, activity, table and problems, as far as there is room.

    It is redrawn only when something has changed.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live: Live | None = None
        self.report: Report | None = None
        self._errors: list[str] = []
        self._activity = ""
        self._painted: tuple[object, ...] = ()
        self._painted_at = 0.0

    def begin(self) -> None:
        self._activity = f"reading the inventory, since {now().astimezone():%H:%M:%S}"
        self._paint()

    def progress(self, progress: Progress) -> None:
        doing = "retrying" if progress.attempt > 1 else "checking"
        failing = f", {progress.failing} failing" if progress.failing else ""
        self._activity = f"{doing}: {progress.done} of {progress.total}{failing}"
        if progress.done in (0, progress.total) or time.monotonic() - self._painted_at >= _PAINTED_EVERY:
            self._paint()

    def show(self, finished: FinishedRound) -> None:
        self.report, self._errors = finished.report or self.report, say_troubles(finished)

    def fail(self, reason: str) -> None:
        self._errors = reason.splitlines()[:8]

    def wait(self, seconds: float) -> None:
        self._activity = f"next round in {say_duration(timedelta(seconds=max(1, round(seconds))))}"
        self._paint()

    def _paint(self) -> None:
        seen = (self._activity, self.report, self._errors, self.console.size)
        if seen != self._painted and self.live:
            self._painted, self._painted_at = seen, time.monotonic()
            self.live.refresh()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report = self.report
        title: Part = (report.title if report else "remotestatus", "bold")
        yield paragraph(title, f" · {self._activity}", (" · Ctrl-C ends it", "dim"))
        yield from summary_lines(report) if report else ()
        yield from (paragraph((error, "red"), hang=2) for error in self._errors)
        if report:
            yield text_of()
            yield fleet_table(report, fold=True, fold_up=len(report.remotes) > console.height // 2)
            yield text_of()
            yield from problems_lines(report)
