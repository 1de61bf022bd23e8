"""
Measures what a round costs as the fleet grows: seconds of each stage, peak memory, and bytes written to the site.

Run by `make bench-scale`. The remotes are behind a proxy that refuses, so nothing is connected to and all that is left
is our own work. Each figure comes from a process of its own. The exponent says how a figure grows from one size of
fleet to the next: 1 is as fast as the fleet, 2 is quadratic. Asserts nothing about time.
"""

import json
import math
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import click
import psutil

from remotestatus import round as round_module
from remotestatus.history.past import read_past
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.report import build_report
from remotestatus.report.publish import publish
from remotestatus.round import RoundOptions, run_round
from tests.made_fleet import Made, make_report_input

STAGES: Mapping[str, Sequence[str]] = {
    "inventory": ("PlaybookRunner.describe_inventory", "read_inventory"),
    "evaluation": ("check_fleet", "evaluate_fleet", "current_states", "time_in_each_status"),
    "deciding": ("plan_for_each", "compose_each"),
    "history": ("History.states", "History.check_results", "History.record", "outbox.read_memory", "outbox.add"),
    "report": ("read_past",),
    "pages": ("make_sites",),
}
"""Each stage, and the functions of a round that belong to it."""

Figures = dict[str, float]


@click.group(invoke_without_command=True)
@click.option("-s", "--size", "sizes", type=int, multiple=True, help="How many remotes; 100, 1,000 and 10,000.")
@click.pass_context
def main(context: click.Context, sizes: tuple[int, ...]) -> None:
    """Measure, and print a table for each kind of round."""
    if context.invoked_subcommand:
        return
    chosen = sizes or (100, 1000, 10_000)
    rounds: dict[str, list[Figures]] = {"first round": [], "second round": [], "ninety days": []}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for size in chosen:
            place = Path(folder) / str(size)
            write_inventory(place, size)
            rounds["first round"].append(_measure("one-round", place))
            rounds["second round"].append(_measure("one-round", place))
            history = Path(folder) / f"{size}-days"
            _measure("make-days", history, size)
            rounds["ninety days"].append(_measure("with-days", history, size))
    for title, figures in rounds.items():
        _print(title, chosen, figures)


def write_inventory(place: Path, size: int) -> Path:
    """Write an inventory of remotes behind a proxy that refuses."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    folder = place / "inventory"
    folder.mkdir(parents=True)
    lines = [
        "all:",
        "  vars: {remotestatus_title: Scale, remotestatus_attempts: 1}",
        "  children:",
        "    proxies:",
        f"      hosts: {{tunnel-proxy: {{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_user: nobody}}}}",
    ]
    for group in range(max(1, size // 50)):
        lines += [
            f"    site_{group}:",
            "      vars: {ansible_host: 127.0.0.1, ansible_ssh_common_args: -o ProxyJump=tunnel-proxy,"
            " remotestatus_processes: [python manage.py capture_videos.py]}",
            "      hosts:",
        ]
        lines += [
            f"        box-{number}: {{ansible_port: {8001 + number}, remotestatus_nickname: Box {number},"
            f" remotestatus_location: Hall {group}}}"
            for number in range(group * 50, min(size, group * 50 + 50))
        ]
    (folder / "remotes.yml").write_text("\n".join(lines) + "\n")
    return folder


@main.command("one-round")
@click.argument("place", type=click.Path(path_type=Path))
def one_round(place: Path) -> None:
    """One round over an inventory, with the real Ansible; prints its figures."""
    figures: Figures = {}
    with _timed(figures), _written(place / "site", figures):
        started = time.monotonic()
        with PlaybookRunner(AnsibleSource((place / "inventory",)), for_round=True) as runner:
            run_round(runner, RoundOptions(clock=lambda: datetime.now(UTC)))
        figures["all"] = time.monotonic() - started
    _tell(figures)


@main.command("make-days")
@click.argument("place", type=click.Path(path_type=Path))
@click.argument("size", type=int)
def make_days(place: Path, size: int) -> None:
    """Make up ninety days of history."""
    place.mkdir(parents=True)
    make_report_input(Made(size, _NOW, dead_proxy=True), place / "history.sqlite3")
    _tell({})


@main.command("with-days")
@click.argument("place", type=click.Path(path_type=Path))
@click.argument("size", type=int)
def with_days(place: Path, size: int) -> None:
    """Make report and pages of ninety days of history; prints the figures."""
    from remotestatus.history import History
    from tests.made_fleet import make_fleet

    fleet = make_fleet(Made(size, _NOW, dead_proxy=True))
    figures: Figures = {}
    with (
        round_module._few_collections(),
        History.open(place / "history.sqlite3") as history,
        _written(place / "site", figures),
    ):
        states, results, round_ = history.states(), history.check_results(), history.last_round()
        assert round_ is not None
        started = time.monotonic()
        report = build_report(read_past(history, fleet, round_, states, results, results, _NOW), _NOW)
        figures["report"] = time.monotonic() - started
        started = time.monotonic()
        publish(report, place / "site")
        figures["pages"] = time.monotonic() - started
    figures["all"] = figures["report"] + figures["pages"]
    _tell(figures)


_NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _tell(figures: Figures) -> None:
    figures["MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


@contextmanager
def _timed(figures: Figures) -> Any:
    """Add up the seconds that the functions of each stage take."""
    patches = []
    for stage, names in STAGES.items():
        figures[stage] = 0.0
        for name in names:
            owner: Any = round_module
            *path, last = name.split(".")
            for part in path:
                owner = getattr(owner, part)
            patches.append(mock.patch.object(owner, last, _timing(getattr(owner, last), stage, figures)))
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        mock.patch.stopall()


def _timing(function: Callable[..., Any], stage: str, figures: Figures) -> Callable[..., Any]:
    """The function, measured; what another stage does inside of it counts for that stage alone."""

    def timed(*arguments: Any, **named: Any) -> Any:
        started, others = time.monotonic(), sum(figures[one] for one in STAGES if one != stage)
        try:
            return function(*arguments, **named)
        finally:
            inside = sum(figures[one] for one in STAGES if one != stage) - others
            figures[stage] += time.monotonic() - started - inside

    return timed


@contextmanager
def _written(site: Path, figures: Figures) -> Any:
    """Count the bytes of the files that are new or were replaced."""
    before = _files(site)
    yield
    after = _files(site)
    written = (size for path, (inode, size) in after.items() if before.get(path) != (inode, size))
    figures["written MB"] = sum(written) / 1e6
    figures["site MB"] = sum(size for _, size in after.values()) / 1e6


def _files(site: Path) -> dict[Path, tuple[tuple[int, int], int]]:
    found = {}
    for path in site.rglob("*"):
        if path.is_file():
            stat = path.stat()
            found[path] = ((stat.st_ino, stat.st_mtime_ns), stat.st_size)
    return found


def _measure(command: str, *arguments: object) -> Figures:
    words = [sys.executable, "-m", "tests.bench_scale", command, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(done.stderr[-2000:])
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _print(title: str, sizes: Sequence[int], figures: Sequence[Figures]) -> None:
    click.echo(f"\n{title}, {psutil.cpu_count()} processors")
    click.echo(f"{'':14}" + "".join(f"{size:>12,}" for size in sizes) + f"{'exponent':>12}")
    for name in figures[-1]:
        values = [one[name] for one in figures]
        exponent = ""
        if len(sizes) > 1 and min(values[-2:]) > 0:
            exponent = f"{math.log(values[-1] / values[-2]) / math.log(sizes[-1] / sizes[-2]):.2f}"
        click.echo(f"{name:14}" + "".join(f"{value:12.2f}" for value in values) + f"{exponent:>12}")


if __name__ == "__main__":
    main()
