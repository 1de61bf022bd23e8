"""
Runs a round with a progress bar, and says what went wrong with the round itself.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from remotestatus.model.replies import Refusal
from remotestatus.model.text import count
from remotestatus.probe import PlaybookRunner, Progress
from remotestatus.round import FinishedRound, RoundOptions, run_round


def say_troubles(finished: FinishedRound) -> list[str]:
    """What went wrong with a round itself, a sentence each."""
    return [
        *finished.troubles,
        *(
            f"{attempt.name or 'a destination'} refuses a message in every form, and it was given up: {attempt.error}"
            if attempt.dropped
            else f"{attempt.name or 'a destination'} did not take its message, which is tried again: {attempt.error}"
            for attempt in finished.attempts
            if attempt.failed
        ),
        *(
            f"{count(queue.messages, 'message')} to {queue.name} will never be sent, because it is no longer in "
            f"remotestatus_apprise; the last one: {queue.newest}"
            for queue in finished.orphans
        ),
        *say_refused(Counter(finished.replies.refused)),
        *finished.heartbeat_failures,
    ]


def say_refused(refused: Mapping[Refusal, int]) -> list[str]:
    """How many replies were refused and why, as a sentence; empty if there were none."""
    if not refused:
        return []
    kinds = ", ".join(f"{number} {why}" for why, number in sorted(refused.items()))
    return [f"{count(sum(refused.values()), 'answer')} to messages changed nothing: {kinds}"]


def run_with_progress(runner: PlaybookRunner, options: RoundOptions, console: Console) -> FinishedRound:
    """Run a round, with a progress bar if the console is a terminal."""
    if not console.is_terminal or console.is_dumb_terminal:
        return run_round(runner, options)
    columns = (
        SpinnerColumn("line" if not console.encoding.startswith("utf") else "dots", finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=max(10, min(40, console.width - 60))),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failing]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Bar(*columns, console=console, transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("Reading the inventory", total=None, failing="")

        def show(progress: Progress) -> None:
            failing = f"{progress.failing} failing" if progress.failing else ""
            doing = "Checking" if progress.attempt == 1 else "Retrying"
            bar.update(task, description=doing, total=progress.total, completed=progress.done, failing=failing)

        return run_round(runner, replace(options, progress=show))
