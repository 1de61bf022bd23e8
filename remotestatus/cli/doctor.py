"""`remotestatus doctor`: checks everything that a round needs, and prints fixes for what is wrong."""

import json
import sys
from collections.abc import Mapping
from itertools import groupby

import click
from rich.text import Text

from remotestatus.cli.log_in_options import with_log_in
from remotestatus.cli.opened_inventory import open_inventory
from remotestatus.cli.options import now
from remotestatus.cli.terminal import Paragraph, make_console, paragraph, print_lines, text_of
from remotestatus.history import only_round
from remotestatus.history import repair as repair_history
from remotestatus.probe import AnsibleSource
from remotestatus.setup.doctor import Mark, Result, examine

_SIGNS = {Mark.FINE: "✔", Mark.WARNING: "▲", Mark.WRONG: "✖", Mark.SKIPPED: "·"}
_STYLES = {Mark.FINE: "green", Mark.WARNING: "yellow", Mark.WRONG: "red", Mark.SKIPPED: "dim"}

NEEDS_MENDING = 2


@click.command("doctor")
@with_log_in
@click.option("--offline", is_flag=True, help="Connect to nobody; otherwise each proxy is logged in to once.")
@click.option(
    "--json", "as_json", is_flag=True, help="JSON: a list of what was examined, each with its mark and remedy."
)
@click.option("--repair", is_flag=True, help="Set a damaged history aside first, and keep what can be read of it.")
def command(source: AnsibleSource, offline: bool, as_json: bool, repair: bool) -> None:
    """
    Examine everything that a round needs, from top to bottom, with a tick or a remedy for each.

    Finds all that is wrong, not only the first. Sends nothing, and logs in to proxies only. Changes nothing, but
    removes what rounds that were killed have left in temporary folders.

    \b
      ✔  fine
      ▲  may be meant so
      ✖  needs mending; the line below says how
      ·  could not be examined

    Exit code 0: nothing needs mending. 2: something does.
    """
    if repair:
        database = open_inventory(source).database
        with only_round(database):
            click.echo(repair_history(database, now()) or f"the history {database} needs no repair", err=as_json)
    findings = examine(source, now(), offline=offline)
    if as_json:
        results = [
            {"section": section, "mark": result.mark.value, "said": result.finding, "cure": result.remedy}
            for section, result in findings
        ]
        click.echo(json.dumps(results, ensure_ascii=False, indent=1))
        sys.exit(NEEDS_MENDING if any(result["mark"] == Mark.WRONG for result in results) else 0)
    console = make_console()
    counts = dict.fromkeys(Mark, 0)
    for section, members in groupby(findings, key=lambda finding: finding[0]):
        print_lines(console, [text_of((section, "bold"))])
        for _, result in members:
            counts[result.mark] += 1
            print_result(result)
    print_lines(console, [Text(), _sum_of(counts)])
    sys.exit(NEEDS_MENDING if counts[Mark.WRONG] else 0)


def print_result(result: Result) -> None:
    """Print one result with its sign, and its fix on the line below."""
    console = make_console()
    sign = (f"{_SIGNS[result.mark]} ", _STYLES[result.mark])
    print_lines(console, [paragraph(sign, result.finding, indent=2, hang=4)])
    if result.remedy:
        print_lines(console, [paragraph(("-> ", "bold"), result.remedy, indent=4, hang=7)])


def _sum_of(counts: Mapping[Mark, int]) -> Paragraph:
    wrong, warnings = counts[Mark.WRONG], counts[Mark.WARNING]
    total = "Nothing needs mending" if not wrong else f"{wrong} thing{'s need' if wrong > 1 else ' needs'} mending"
    style = "red" if wrong else "green"
    more = f", {warnings} may be meant so" if warnings else ""
    return paragraph((f"{total}{more}.", f"bold {style}"))
