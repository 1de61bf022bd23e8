"""
What is shown on a terminal: it fits, it is grouped by root cause, and it suits the terminal's characters and colours.
"""

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType

from remotestatus.cli.fleet_table import COLUMNS, fleet_lines, fleet_table
from remotestatus.cli.terminal import Column, RowTable, print_lines
from remotestatus.model.text import say_percent
from remotestatus.report.build import Report, build_report
from tests.lab import Command, Lab
from tests.made_fleet import Made, make_report_input
from tests.terminal import Terminal

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
WIDTHS = (60, 80, 120)


def _report(folder: Path, **made: object) -> Report:
    report_input = make_report_input(Made(now=NOW, **made), folder / "history.sqlite3")  # type: ignore[arg-type]
    return build_report(report_input, NOW)


def _lines(parts: Iterable[RenderableType], width: int) -> list[str]:
    """What a terminal of that width shows of them."""
    console = Console(width=width, file=io.StringIO())
    with console.capture() as shown:
        print_lines(console, parts)
    return shown.get().splitlines()


def _table(report: Report, width: int, *, fold: bool) -> list[str]:
    return _lines([fleet_table(report, fold=fold)], width)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Forty remotes, most of them behind a proxy that is dead."""
    return _report(tmp_path_factory.mktemp("broken"), remotes=40, dead_proxy=True)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Forty remotes, some with a problem of their own."""
    return _report(tmp_path_factory.mktemp("mixed"), remotes=40)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("fold", [True, False])
def test_everything_fits_the_width(broken: Report, mixed: Report, width: int, fold: bool) -> None:
    """No line is wider than the terminal, and each remote still has its status and its whole name."""
    for report in (broken, mixed):
        lines = _lines(fleet_lines(report, fold=fold), width)
        assert max(cell_len(line) for line in lines) <= width
        if not fold:
            table = _table(report, width, fold=False)
            for remote in report.remotes:
                assert any(f" {remote.word} " in line and f" {remote.name} " in f"{line} " for line in table)


def test_less_important_columns_are_dropped_first(mixed: Report) -> None:
    """A narrow terminal shows status, name and cause; each wider one all that the narrower one shows, and more."""
    shown = []
    for width in (40, *WIDTHS, 200):
        heading = " ".join(_table(mixed, width, fold=False)[:2])
        shown.append({column.heading for column in COLUMNS if column.heading.split("\n")[0] in heading})
    assert shown[0] >= {"Status", "Remote"}
    assert all(narrow <= wide for narrow, wide in pairwise(shown))
    assert {"Why", "Processes"} <= shown[1]
    assert "Uptime\n30 d" not in shown[2]
    assert shown[-1] == {column.heading for column in COLUMNS}


def test_a_dead_proxy_is_one_entry_with_the_number_behind_it(broken: Report) -> None:
    """What is unknown behind a dead proxy is one line of the table and one problem, unless everything is asked for."""
    behind = sum(remote.status.value == "unknown" for remote in broken.remotes)
    assert behind > 10
    folded = _table(broken, 100, fold=True)
    assert sum("proxy-unreachable" in line for line in folded) == 1
    assert any(f"{behind} remotes behind it" in line for line in folded)
    text = "\n".join(_lines(fleet_lines(broken, fold=True), 100))
    assert text.count("✖ Proxy tunnel-proxy is down") == 1
    assert f"and {behind} remotes behind it" in text.replace("\n  ", " ")
    everything = _table(broken, 100, fold=False)
    assert sum("proxy-unreachable" in line for line in everything) == behind


def test_the_worst_comes_first_and_the_verdict_last(mixed: Report) -> None:
    """The table begins with what is down, and the last lines say how it stands: a terminal shows its end."""
    lines = _lines(fleet_lines(mixed, fold=True), 120)
    assert lines[2].startswith("✖ down")
    assert lines[-2].startswith(mixed.verdict)
    assert all(word in lines[-1] for word in ("down", "degraded", "up"))


def test_each_sign_has_a_stand_in_in_ascii(broken: Report, mixed: Report) -> None:
    """A terminal without Unicode shows no question mark for any sign or mark of ours."""
    for report in (broken, mixed):
        for line in _lines(fleet_lines(report, fold=False), 60):
            assert line.encode("ascii", "remotestatus").count(b"?") == line.count("?")


def test_what_is_not_a_terminal_is_never_wrapped(mixed: Report, tmp_path: Path, remotestatus: Command) -> None:
    """In a pipe each problem's sentence is one line and no line ends in blanks, so that it can be searched for."""
    _report(tmp_path, remotes=40)
    lines = remotestatus("status", "--all", "--database", tmp_path / "history.sqlite3").stdout.splitlines()
    assert len(mixed.problems) > 1
    for problem in mixed.problems:
        assert problem.trouble is not None
        assert f"  {problem.trouble.message}" in lines
    assert [line for line in lines if line != line.rstrip()] == []


WORDS = st.text(st.sampled_from("abcXYZ-_.ä漢字…✖ e\u0301"), max_size=40).map(lambda text: " ".join(text.split()))


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=5), st.integers(24, 120))
def test_a_table_never_exceeds_its_width(rows: list[tuple[str, str, str]], width: int) -> None:
    """Whatever stands in it, letters two cells wide too, no line of a table is wider than the terminal."""
    columns: tuple[Column[tuple[str, str, str]], ...] = (
        Column("One", lambda row: row[0], widest=10),
        Column("Two", lambda row: row[1], shrinks=True),
        Column("Three", lambda row: row[2], rank=1),
    )
    for line in _lines([RowTable(columns, rows)], width):
        assert cell_len(line) <= width


@pytest.mark.parametrize(
    ("share", "said"),
    [(100.0, "100 %"), (0.0, "0 %"), (99.999, "99.99 %"), (0.001, "0.01 %"), (99.5, "99.50 %"), (97.52, "97.5 %")],
)
def test_a_failure_is_never_rounded_away(share: float, said: str) -> None:
    """Only what never failed has 100 %."""
    assert say_percent(share) == said


def test_hostile_text_reaches_no_terminal(tmp_path: Path, remotestatus: Command) -> None:
    """Escape sequences in what a remote or an inventory says are gone from every view of it."""
    _report(tmp_path, remotes=4, hostile="\x1b]0;owned\x07\x1b[31m[red]x[/red]\u202e\r\n")
    shown = ""
    for arguments in ((), ("north-camera-1", "--why")):
        shown += remotestatus("status", *arguments, "--database", tmp_path / "history.sqlite3").stdout
    assert "north-camera-1" in shown
    assert not [letter for letter in shown if letter < " " and letter != "\n"]
    assert "\u202e" not in shown


# -- real commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A history of a fleet with a dead proxy."""
    _report(tmp_path, remotes=40, dead_proxy=True)
    return tmp_path / "history.sqlite3"


def test_a_terminal_shows_colours_unless_told_not_to(database: Path, remotestatus: Command) -> None:
    """Colours on a terminal; none with NO_COLOR; no escapes at all in a pipe."""
    status = ("status", "--database", database)
    with Terminal(remotestatus, *status) as terminal:
        terminal.finish()
        assert "\x1b[31m" in terminal.raw or "\x1b[1;31m" in terminal.raw
    with Terminal(remotestatus, *status, environment={"NO_COLOR": "1"}) as terminal:
        code, shown = terminal.finish()
        assert not any(f"{part}3{digit}m" in terminal.raw for part in ("[", ";") for digit in range(8))
    assert code == 3  # Long overdue.
    assert "✖ down" in shown
    piped = remotestatus(*status)
    assert "\x1b" not in piped.stdout
    assert "OUT OF DATE" in piped.stdout


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_an_encoding_without_our_signs_is_no_error(database: Path, remotestatus: Command, encoding: str) -> None:
    """Under an encoding that lacks our signs, stand-ins are written and nothing fails."""
    for arguments in (("status",), ("status", "north-camera-1")):
        done = remotestatus(*arguments, "--database", database, environment={"PYTHONIOENCODING": encoding})
        assert (done.returncode, done.stderr) == (3, "")
        # Latin-1 has a middle dot of its own, which is no UTF-8.
        assert done.stdout.replace("\N{REPLACEMENT CHARACTER}", "-").isascii()
        assert "? unknown" in done.stdout


@pytest.mark.parametrize("width", WIDTHS)
def test_the_real_terminal_has_its_width(database: Path, remotestatus: Command, width: int) -> None:
    """In a real terminal of that width no line is longer."""
    with Terminal(remotestatus, "status", "--database", database, width=width) as terminal:
        _, shown = terminal.finish()
    lines = shown.split("\r\n")
    assert len(lines) > 20
    assert max(cell_len(line) for line in lines) <= width


def test_a_round_shows_how_far_it_is(lab: Lab, remotestatus: Command) -> None:
    """A terminal sees remotes done, failing so far and the time left; a pipe nothing of it, and --quiet nothing."""
    lab.bulk(6)
    gone = lab.remote("gone-1", variables={"remotestatus_attempts": 1})
    gone.cut_tunnel()
    inventory = lab.write_inventory(remotestatus_every="10m")
    with Terminal(remotestatus, "run", "-i", inventory, width=90) as terminal:
        code, shown = terminal.finish()
    assert code == 0
    assert "Reading the inventory" in shown
    assert "7/7" in shown
    assert "1 failing" in shown
    assert "0:00:0" in shown
    assert "1 of 7 remotes needs attention" in shown
    piped = remotestatus("run", "-i", inventory)
    assert (piped.returncode, piped.stderr) == (0, "")
    assert "Reading" not in piped.stdout
    quiet = remotestatus("run", "-i", inventory, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_the_list_of_commands_cuts_no_summary(remotestatus: Command) -> None:
    """`--help` has the whole first sentence of every command, and fits a terminal."""
    shown = remotestatus("--help", environment={"COLUMNS": "80"}).stdout
    assert "..." not in shown.partition("Commands:")[2]
    assert "with REMOTE (or a proxy's name) everything about that one." in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_names(tmp_path: Path, remotestatus: Command, shell: str) -> None:
    """Each shell gets its script, and completes commands, and names of remotes and proxies from the history."""
    _report(tmp_path, remotes=4, dead_proxy=True)
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "remotes.yml").write_text("all: {hosts: {}}\n")
    script = remotestatus(environment={"_REMOTESTATUS_COMPLETE": f"{shell}_source"})
    assert "_REMOTESTATUS_COMPLETE" in script.stdout

    def complete(*words: str) -> str:
        asked = {"_REMOTESTATUS_COMPLETE": f"{shell}_complete", "COMP_WORDS": " ".join(words)}
        asked["COMP_CWORD"] = words[-1] if shell == "fish" else str(len(words) - 1)
        return remotestatus(environment=asked, folder=tmp_path).stdout

    assert "status" in complete("remotestatus", "stat")
    names = complete("remotestatus", "status", "")
    assert "north-camera-1" in names
    assert "tunnel-proxy" in names
    assert "--why" in complete("remotestatus", "status", "--w")


def test_the_document_says_the_same_as_the_terminal(tmp_path: Path, remotestatus: Command) -> None:
    """`status --json` is the document that the page's status.json is, public mode or not."""
    report_input = make_report_input(Made(remotes=6, now=NOW, public=True), tmp_path / "history.sqlite3")
    document = json.loads(remotestatus("status", "--json", "--database", tmp_path / "history.sqlite3").stdout)
    shown = build_report(replace(report_input, maintenance={}), NOW)
    assert document["schema"] == 1
    assert [remote["status"] for remote in document["remotes"]] == [remote.status.value for remote in shown.remotes]
    assert any(remote["cause"] and remote["cause"]["detail"] for remote in document["remotes"])
    for entry in (document["remotes"][3], document["proxies"][0]):
        of_one = remotestatus("status", entry["name"], "--json", "--database", tmp_path / "history.sqlite3").stdout
        assert json.loads(of_one).items() >= entry.items()
