"""
What a command needs that runs a round: a progress bar while it goes on, its summary, and what went wrong with it.
"""

from collections.abc import Callable
from dataclasses import replace

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from remotestatus.probe import PlaybookRunner
from remotestatus.probe import Progress as Looked
from remotestatus.round import FinishedRound, RoundOptions, run_round


def say_troubles(finished: FinishedRound) -> list[str]:
    """What went wrong with a round itself, a sentence each."""
    return [
        *finished.troubles,
        *(
            f"{attempt.name or 'a destination'} refuses a message in every form, and it was given up: {attempt.error}"
            if attempt.dropped
            else f"{attempt.name or 'a destination'} did not take its message, which is tried again: {attempt.error}"
            for attempt in finished.delivery.failed
        ),
        *finished.heartbeat_failures,
    ]


def run_with_progress(playbooks: PlaybookRunner, order: RoundOptions, console: Console) -> FinishedRound:
    """Run a round with a progress bar when somebody looks at a terminal."""
    if not console.is_terminal or console.is_dumb_terminal:
        return run_round(playbooks, order)
    columns = (
        SpinnerColumn("line" if not console.encoding.startswith("utf") else "dots", finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=max(10, min(40, console.width - 60))),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failing]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("Reading the inventory", total=None, failing="")
        return run_round(playbooks, replace(order, progress=_follow(bar, task)))


def _follow(bar: Progress, task: TaskID) -> Callable[[Looked], None]:
    attempt = 0

    def show(looked: Looked) -> None:
        nonlocal attempt
        if looked.attempt != attempt:
            attempt = looked.attempt
            # An attempt begins with the proxies; until the first remote has answered there is nothing to count.
            bar.reset(task, total=looked.total, description="Looking" if attempt == 1 else "Looking again")
        description = "Looking" if attempt == 1 else "Looking again"
        bar.update(
            task,
            description=description if looked.done else f"{description}: proxies first",
            total=looked.total,
            completed=looked.done,
            failing=f"{looked.failing} failing" if looked.failing else "",
        )

    return show
