"""`remotestatus match`: which processes of a remote a rule finds, which nearly fit, and why they do not count."""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import click
from remotestatus_playbook.protocol import Order
from rich.text import Text

from remotestatus.cli.options import now, remote_argument, with_inventory
from remotestatus.cli.ssh_session import find_remote
from remotestatus.cli.table import trouble_lines
from remotestatus.cli.terminal import Column, Part, Screen, make_console, print_lines, screen_of
from remotestatus.evaluate import ProcessRule, match, read_proxy, read_remote, rule_of, words_of
from remotestatus.inventory import read_inventory
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.durations import say_duration
from remotestatus.model.errors import RoundError
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.processes import Process, ProcessResult
from remotestatus.model.text import one_line
from remotestatus.probe import AnsibleSource, Answers, PlaybookRunner
from remotestatus.report import say_size

_LONGEST_LINE = 2000
"""Characters of a command line that are shown; --json has all of them."""

_COLUMNS = (
    Column("PID", right=True),
    Column("User", widest=16),
    Column("Age", right=True),
    Column("Memory", right=True),
    Column("Command", widest=_LONGEST_LINE, shrinks=True),
)


@click.command()
@remote_argument()
@click.argument("pattern", required=False)
@click.option("--regex", "way", flag_value="regex", help="PATTERN is a regular expression, searched in the whole line.")
@click.option("--contains", "way", flag_value="contains", help="PATTERN is a text that the whole line contains.")
@click.option("--command", "way", flag_value="command", help="PATTERN is the program's name, without its folder.")
@click.option("--user", help="Only processes of this user count.")
@click.option("-a", "--all", "everything", is_flag=True, help="List every process that the remote has.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with whole command lines.")
@with_inventory
def command(
    source: AnsibleSource,
    name: str,
    pattern: str | None,
    way: str | None,
    user: str | None,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    """
    Show which processes of REMOTE the rules of remotestatus_processes find now, or which PATTERN would find.

    Without --regex, --contains or --command, PATTERN is what a plain text in the inventory is: these words, one after
    the other, somewhere among the arguments. What nearly fits is listed with the reason why it does not count.

    \b
      remotestatus match capture-1
      remotestatus match capture-1 'python manage.py capture_videos.py'
      remotestatus match capture-1 --regex 'ffmpeg .*-f (mp4|mkv)'

    Looks at the remote once and records nothing. Exit code 0: it was looked at, whatever was found. 3: it could not
    be reached.
    """
    if pattern is None and (way or user):
        raise click.UsageError("--regex, --contains, --command and --user need a PATTERN")
    with PlaybookRunner(source) as playbooks:
        inventory = read_inventory(playbooks.describe_inventory())
        remote = find_remote(inventory, name)
        answers = playbooks.probe(Order(names=(remote.name,)))
        answer = answers.remotes.get(remote.name)  # it goes with the playbooks
    if answers.trouble:
        raise RoundError(answers.trouble)
    moment = now()
    rules = [_rule(pattern, way, user)] if pattern is not None else [rule_of(one) for one in remote.settings.processes]
    reading = read_remote(remote, answer, moment)
    processes = answer.processes if answer else None
    troubles = _troubles(inventory.fleet, remote, reading, answers, moment) if processes is None else ()
    results = match(rules, processes, complete=answer.processes_complete) if answer and processes is not None else ()
    if as_json:
        click.echo(json.dumps(_values(remote, results, processes, troubles, everything, moment), ensure_ascii=False))
    else:
        console = make_console(stderr=bool(troubles))
        screen = screen_of(console)
        if processes is None:
            print_lines(console, _trouble_lines(troubles, screen))
        else:
            print_lines(console, _lines(remote, results, processes, screen, everything=everything, moment=moment))
    if processes is None:
        sys.exit(RoundError.exit_code)


def _rule(pattern: str, way: str | None, user: str | None) -> ProcessRule:
    if not pattern.strip():
        raise click.UsageError("PATTERN is empty")
    try:
        match way:
            case "regex":
                return ProcessRule(pattern, regex=pattern, user=user)
            case "contains":
                return ProcessRule(pattern, contains=pattern, user=user)
            case "command":
                return ProcessRule(pattern, command=pattern, user=user)
            case _:
                return ProcessRule(pattern, words=words_of(pattern), user=user)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _troubles(
    fleet: Fleet, remote: Remote, reading: CheckResult, answers: Answers, moment: datetime
) -> tuple[tuple[str, Trouble], ...]:
    """Why there are no processes: the trouble of a proxy on the way first, which the remote's own only points to."""
    found = []
    for proxy in fleet.hops(remote.path):
        answer = answers.proxies.get(proxy.alias)
        trouble = read_proxy(proxy, answer, moment).trouble if answer is not None else None
        if trouble is not None:
            found.append((proxy.name, trouble))
    return (*found, *((remote.name, trouble) for trouble in reading.troubles))


def _trouble_lines(troubles: Sequence[tuple[str, Trouble]], screen: Screen) -> Iterator[Text]:
    for name, trouble in troubles:
        yield from screen.paragraph((name, "bold"))
        yield from trouble_lines(screen, trouble)


# -- for people --------------------------------------------------------------------------------------------------------


def _lines(
    remote: Remote,
    results: Sequence[ProcessResult],
    processes: Sequence[Process],
    screen: Screen,
    *,
    everything: bool,
    moment: datetime,
) -> Iterator[Text]:
    for result in results:
        yield from _result_lines(result, screen, moment)
        yield Text()
    if not results and not everything:
        yield from screen.paragraph(
            f"The inventory asks for no processes on {remote.name}: set remotestatus_processes, or give a PATTERN."
        )
    if everything:
        shown = [process for process in processes if not process.kernel]
        kernel = len(processes) - len(shown)
        yield from screen.table(_COLUMNS, [_row(process, moment) for process in shown])
        threads = f", and {kernel} threads of the kernel" if kernel else ""
        yield from screen.paragraph((f"{len(shown)} processes{threads}", "dim"))
    else:
        yield from screen.paragraph((f"{len(processes)} processes seen on {remote.name}; --all lists them", "dim"))


def _result_lines(result: ProcessResult, screen: Screen, moment: datetime) -> Iterator[Text]:
    word, style = "up", "green"
    if result.missing or result.excess:
        word, style = "degraded", "yellow"
    elif result.running is None:
        word, style = "unknown", "magenta"
    wanted = f"at least {result.min}" if result.max is None else f"{result.min} to {result.max}"
    count = f"{result.count} running, {wanted} wanted"
    unsure = "" if result.complete else "; not all processes could be seen"
    yield from screen.paragraph((screen.sign(word), style), " ", (one_line(result.name), "bold"), f": {count}{unsure}")
    if result.matched:
        yield from _indented(screen, [_row(process, moment) for process in result.matched])
    if result.near:
        yield from screen.paragraph(("nearly:", "dim"), indent=2)
        for near in result.near:
            yield from screen.paragraph(
                f"pid {near.process.pid} ",
                (one_line(near.reason), "yellow"),
                f": {_command_line(near.process)}",
                indent=4,
                hang=6,
            )
    elif not result.matched:
        yield from screen.paragraph(("nothing comes near it", "dim"), indent=2)


def _indented(screen: Screen, rows: Sequence[Sequence[Part]]) -> Iterator[Text]:
    narrower = Screen(screen.width - 2 if screen.width is not None else None, screen.unicode)
    for line in narrower.table(_COLUMNS, rows):
        yield Text("  ", no_wrap=True).append_text(line)


def _row(process: Process, moment: datetime) -> list[Part]:
    return [
        str(process.pid),
        one_line(process.user, 32),
        say_duration(timedelta(seconds=_age(process, moment) or 0)) if process.started else "",
        say_size(process.rss_kb) if process.rss_kb else "",
        _command_line(process) + ("  (the checker's own)" if process.own else ""),
    ]


def _command_line(process: Process) -> str:
    """The arguments in one line that shows where each begins, if that is known; without what a terminal would obey."""
    argv = process.argv
    line = shlex.join(argv) if process.exact and len(argv) > 1 else " ".join(argv)
    return one_line(line, _LONGEST_LINE) + ("  (zombie)" if process.zombie else "")


def _age(process: Process, moment: datetime) -> int | None:
    return None if process.started is None else max(0, round(moment.timestamp()) - process.started)


# -- for programs ------------------------------------------------------------------------------------------------------


def _values(
    remote: Remote,
    results: Sequence[ProcessResult],
    processes: Sequence[Process] | None,
    troubles: Sequence[tuple[str, Trouble]],
    everything: bool,
    moment: datetime,
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "remote": remote.name,
        "reached": processes is not None,
        "rules": [
            {
                "name": result.name,
                "running": result.running,
                "count": result.count,
                "min": result.min,
                "max": result.max,
                "complete": result.complete,
                "matched": [_process_values(process, moment) for process in result.matched],
                "near": [{**_process_values(near.process, moment), "reason": near.reason} for near in result.near],
            }
            for result in results
        ],
        "troubles": [{"name": name, **asdict(trouble)} for name, trouble in troubles],
    }
    if everything and processes is not None:
        values["processes"] = [_process_values(process, moment) for process in processes]
    return values


def _process_values(process: Process, moment: datetime) -> dict[str, Any]:
    return {**asdict(process), "age_seconds": _age(process, moment)}
