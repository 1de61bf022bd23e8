"""
The command line as a whole: the list of commands, and what is said to somebody who writes a command in another way.
"""

import re

from click.testing import CliRunner

from remotestatus.cli import COMMANDS, group
from tests.lab import Command


def test_the_list_of_commands_fits_a_terminal() -> None:
    """At 80 columns each command has its whole first sentence, on as many lines as it takes."""
    shown = CliRunner().invoke(group, ["--help"], terminal_width=80).output
    listed = shown.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed if re.match(r"  \S", line)] == list(COMMANDS)
    assert "..." not in " ".join(listed)
    assert max(map(len, listed)) <= 80


def test_a_name_after_run_is_answered_with_limit(remotestatus: Command) -> None:
    """`run NAME` is an error of usage that says how to limit a round, before any inventory is looked for."""
    done = remotestatus("run", "capture-1", "cam 2")
    assert done.returncode == 2
    assert "remotestatus run --limit 'capture-1,cam 2'" in done.stderr
    assert remotestatus("run", "--limt", "x").returncode == 2
