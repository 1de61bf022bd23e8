"""`remotestatus match`: shows the processes that a rule matches, the near misses, and why they do not match."""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import click
from pydantic import ValidationError
from remotestatus_playbook.protocol import Order, RemoteAnswer
from rich.console import RenderableType
from rich.text import Text

from remotestatus.cli.fleet_table import trouble_lines
from remotestatus.cli.log_in_options import with_log_in
from remotestatus.cli.options import now, remote_argument
from remotestatus.cli.ssh_session import find_remote
from remotestatus.cli.status_of_one import fields_of
from remotestatus.cli.terminal import Column, RowTable, make_console, paragraph, print_lines, status_sign
from remotestatus.evaluate import match, read_proxy, read_remote
from remotestatus.inventory import read_inventory
from remotestatus.model.check_result import Trouble
from remotestatus.model.durations import say_duration
from remotestatus.model.errors import RoundError
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.inventory_variables import ProcessSpec
from remotestatus.model.processes import Process, ProcessResult
from remotestatus.model.untrusted_text import one_line
from remotestatus.probe import AnsibleSource, Answers, PlaybookRunner
from remotestatus.report import say_size

_LONGEST_LINE = 2000
"""Characters of a command line that are shown; --json has all of them."""

Troubles = tuple[tuple[str, Trouble], ...]
"""Troubles, each with the name of the remote or proxy that it is about."""


@click.command()
@remote_argument()
@click.argument("pattern", required=False)
@click.option(
    "--regex", "kind", flag_value="regex", help="PATTERN is a regular expression, searched in the whole line."
)
@click.option("--contains", "kind", flag_value="contains", help="PATTERN is a text that the whole line contains.")
@click.option("--command", "kind", flag_value="command", help="PATTERN is the program's name, without its folder.")
@click.option("--user", help="Only processes of this user count.")
@click.option("-a", "--all", "everything", is_flag=True, help="List every process that the remote has.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with whole command lines.")
@with_log_in
def command(
    source: AnsibleSource,
    name: str,
    pattern: str | None,
    kind: str | None,
    user: str | None,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    """
    Show which processes of REMOTE the rules of remotestatus_processes find now, or which PATTERN would find.

    Without --regex, --contains or --command, PATTERN is what a plain text in the inventory is: these words, one after
    the other, somewhere among the arguments. What nearly matches is listed with the reason why it does not count.

    \b
      remotestatus match capture-1
      remotestatus match capture-1 'python manage.py capture_videos.py'
      remotestatus match capture-1 --regex 'ffmpeg .*-f (mp4|mkv)'

    Checks the remote once and records nothing. Exit code 0: it was checked, whatever was found. 3: it could not be
    reached.
    """
    if pattern is None and (kind or user):
        raise click.UsageError("--regex, --contains, --command and --user need a PATTERN")
    fleet, remote, answers, answer = _check_once(source, name)
    at = now()
    specs = remote.settings.processes if pattern is None else (_spec_of(pattern, kind, user),)
    if answer is None or answer.processes is None:
        _print_unreached(remote, _troubles(fleet, remote, answers, answer, at), as_json=as_json)
        sys.exit(RoundError.exit_code)
    processes = answer.processes
    results = match(specs, processes, complete=answer.processes_complete)
    if as_json:
        click.echo(json.dumps(_values(remote, results, processes if everything else None, at), ensure_ascii=False))
    else:
        print_lines(make_console(), _lines(remote, results, processes, everything=everything, at=at))


def _check_once(source: AnsibleSource, name: str) -> tuple[Fleet, Remote, Answers, RemoteAnswer | None]:
    with PlaybookRunner(source) as runner:
        inventory = read_inventory(runner.describe_inventory())
        looked_at = inventory.fleet.looked_at_by_name
        remote = looked_at[name] if name in looked_at else find_remote(inventory, name)
        answers = runner.probe(Order(names=(remote.name,), look_at=(name,) if name in looked_at else ()))
        answer = answers.remotes.get(remote.name)  # the answers are files that the runner removes at its end
    if answers.trouble:
        raise RoundError(answers.trouble)
    return inventory.fleet, remote, answers, answer


def _print_unreached(remote: Remote, troubles: Troubles, *, as_json: bool) -> None:
    if as_json:
        named = [{"name": name, **asdict(trouble)} for name, trouble in troubles]
        values = {"remote": remote.name, "reached": False, "rules": [], "troubles": named}
        click.echo(json.dumps(values, ensure_ascii=False))
        return
    for name, trouble in troubles:
        print_lines(make_console(stderr=True), [paragraph((name, "bold")), *trouble_lines(trouble)])


def _spec_of(pattern: str, kind: str | None, user: str | None) -> ProcessSpec:
    if not pattern.strip():
        raise click.UsageError("PATTERN is empty")
    try:
        return ProcessSpec.model_validate({"name": pattern, kind or "words": pattern, "user": user})
    except ValidationError as error:
        raise click.UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def _troubles(fleet: Fleet, remote: Remote, answers: Answers, answer: RemoteAnswer | None, at: datetime) -> Troubles:
    """Why there are no processes: first the troubles of the proxies, because the remote's only refers to them."""
    own = (remote.name,) if remote.name in fleet.looked_at_by_name else ()
    proxies = [
        (proxy.name, trouble)
        for proxy in fleet.hops((*remote.path, *own))
        if (found := answers.proxies.get(proxy.alias)) is not None
        and (trouble := read_proxy(proxy, found, at).trouble) is not None
    ]
    if own and proxies:
        return tuple(proxies)
    return (*proxies, *((remote.name, trouble) for trouble in read_remote(remote, answer, at).troubles))


# -- for people --------------------------------------------------------------------------------------------------------


def _lines(
    remote: Remote, results: Sequence[ProcessResult], processes: Sequence[Process], *, everything: bool, at: datetime
) -> Iterator[RenderableType]:
    for result in results:
        yield from _result_lines(result, at)
        yield Text()
    if everything:
        shown = [process for process in processes if not process.kernel]
        kernel = len(processes) - len(shown)
        yield _process_table(shown, at)
        threads = f", and {kernel} threads of the kernel" if kernel else ""
        yield paragraph((f"{len(shown)} processes{threads}", "dim"))
        return
    if not results:
        yield paragraph(
            f"The inventory asks for no processes on {remote.name}: set remotestatus_processes, or give a PATTERN."
        )
    yield paragraph((f"{len(processes)} processes seen on {remote.name}; --all lists them", "dim"))


def _result_lines(result: ProcessResult, at: datetime) -> Iterator[RenderableType]:
    word = "degraded" if result.missing or result.excess else "unknown" if result.running is None else "up"
    wanted = f"at least {result.min}" if result.max is None else f"{result.min} to {result.max}"
    unsure = "" if result.complete else "; not all processes could be seen"
    found = f": {result.count} running, {wanted} wanted{unsure}"
    yield paragraph(status_sign(word), " ", (one_line(result.name), "bold"), found)
    if result.matched:
        yield _process_table(result.matched, at, indent=2)
    if result.near:
        yield paragraph(("nearly:", "dim"), indent=2)
        for near in result.near:
            reason = (one_line(near.reason), "yellow")
            command_line = f": {_command_line(near.process)}"
            yield paragraph(f"pid {near.process.pid} ", reason, command_line, indent=4, hang=6)
    elif not result.matched:
        yield paragraph(("nothing comes near it", "dim"), indent=2)


def _process_table(processes: Sequence[Process], at: datetime, indent: int = 0) -> RowTable[Process]:
    def age(process: Process) -> str:
        return say_duration(timedelta(seconds=_age(process, at) or 0)) if process.started else ""

    def command_line(process: Process) -> str:
        return _command_line(process) + ("  (the checker's own)" if process.own else "")

    columns: tuple[Column[Process], ...] = (
        Column("PID", lambda process: str(process.pid), right=True),
        Column("User", lambda process: one_line(process.user, 32), widest=16),
        Column("Age", age, right=True),
        Column("Memory", lambda process: say_size(process.rss_kb) if process.rss_kb else "", right=True),
        Column("Command", command_line, widest=_LONGEST_LINE, shrinks=True),
    )
    return RowTable(columns, processes, indent)


def _command_line(process: Process) -> str:
    """The arguments in one line, quoted if it is known where each begins; without control characters."""
    argv = process.argv
    line = shlex.join(argv) if process.exact and len(argv) > 1 else " ".join(argv)
    return one_line(line, _LONGEST_LINE) + ("  (zombie)" if process.zombie else "")


def _age(process: Process, at: datetime) -> int | None:
    return None if process.started is None else max(0, round(at.timestamp()) - process.started)


# -- for programs ------------------------------------------------------------------------------------------------------


def _values(
    remote: Remote, results: Sequence[ProcessResult], processes: Sequence[Process] | None, at: datetime
) -> dict[str, object]:
    values: dict[str, object] = {
        "remote": remote.name,
        "reached": True,
        "rules": [
            {
                **fields_of(result, "name", "running", "count", "min", "max", "complete"),
                "matched": [_process_values(process, at) for process in result.matched],
                "near": [{**_process_values(near.process, at), "reason": near.reason} for near in result.near],
            }
            for result in results
        ],
        "troubles": [],
    }
    if processes is not None:
        values["processes"] = [_process_values(process, at) for process in processes]
    return values


def _process_values(process: Process, at: datetime) -> dict[str, object]:
    return {**asdict(process), "age_seconds": _age(process, at)}
