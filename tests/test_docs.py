"""
The documents say what the code says: help texts, the tables and commands of the README and the guide, changelog,
example inventory.
"""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from remotestatus.cli import COMMANDS, group
from remotestatus.model.causes import Cause, causes_table
from remotestatus.report.find_formats import all_formats
from remotestatus.report.formats.metrics import FAMILIES
from tests.documents import PAGES, README, ROOT, Block, between, fenced, without_blocks
from tests.lab import Command
from tests.record_transcripts import read_transcripts


def command_of(name: str) -> click.Command:
    """One command as the command line loads it."""
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


def printed(*arguments: str) -> str:
    """What a command that needs no inventory prints."""
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    return done.output


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of all variables."""
    found: dict[str, Any] = json.loads(printed("schema"))
    return found


def written_commands() -> Iterator[list[str]]:
    """Every `remotestatus ...` that a reader may copy: in blocks, and between backticks in the text."""
    for block in fenced("sh", "console"):
        for line in block.text.replace("\\\n", " ").splitlines():
            yield from _commands_in(line.removeprefix("$ "))
    for text in PAGES.values():
        for found in re.finditer(r"`(remotestatus [a-z][^`]*)`", without_blocks(text)):
            yield from _commands_in(found[1].replace("\n", " "))


def _commands_in(line: str) -> Iterator[list[str]]:
    words: list[str] = []
    for token in [*shlex.shlex(line, posix=True, punctuation_chars=True), ";"]:
        if set(token) <= set("|&;<>()"):
            if words[:1] == ["remotestatus"]:
                yield words[1:]
            words = []
        else:
            words.append(token)


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches(name: str) -> None:
    """Each command has a help text whose first line says what it does, and each of its options has one too."""
    command = command_of(name)
    assert command.help
    assert len(command.get_short_help_str()) > 10
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
            assert parameter.help[0].isupper() or parameter.help.startswith("JSON"), f"{name} {parameter.opts}"
            assert parameter.help.rstrip("]").endswith((".", ")")) or "[default" in parameter.help, parameter.opts


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    """The README's table of commands has a row for each, and for nothing else."""
    rows = re.findall(r"^\| `remotestatus ([a-z-]+)` \| \S.* \|$", README, re.MULTILINE)
    assert name in rows
    assert set(rows) == set(COMMANDS)


def test_written_commands_exist_with_their_options() -> None:
    """Whatever command line the README or the guide writes, that command has those options."""
    seen = set()
    for words in written_commands():
        if not words or words[0] == "...":
            continue
        if words[0].startswith("-"):
            assert words[0] in ("--help", "--version"), words
            continue
        assert words[0] in COMMANDS, words
        seen.add(words[0])
        command = command_of(words[0])
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for word in words[1:]:
            if word.startswith("-") and words[0] not in ("ssh", "tunnel"):
                assert word.partition("=")[0] in {*known, "--help"}, words
    assert seen == set(COMMANDS)


def test_make_targets_in_the_documents_exist() -> None:
    """Every `make TARGET` that a document names is one of the Makefile, and `make help` lists them all."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join([*PAGES.values(), (ROOT / "CONTRIBUTING.md").read_text()])
    named = {one or other for one, other in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", text, re.MULTILINE)}
    assert named
    assert named <= targets
    listed = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^make ([a-z-]+) +\S", listed, re.MULTILINE)) == targets


# -- the tables --------------------------------------------------------------------------------------------------------


def test_the_table_of_variables_is_the_generated_one() -> None:
    """Between its markers stands what `remotestatus schema --markdown` prints."""
    assert between("variables") == printed("schema", "--markdown")


def test_the_table_of_status_json_is_the_generated_one() -> None:
    """Between its markers stands what `remotestatus schema --status --markdown` prints."""
    assert between("status") == printed("schema", "--status", "--markdown")


def test_the_tables_of_causes_are_the_declared_ones() -> None:
    """The README's table, and the one with the cures in the guide, are made from the declarations of the causes."""
    assert between("causes") == causes_table(hints=False)
    assert between("cures") == causes_table()


def test_the_diagram_shows_every_cause() -> None:
    """The words of the diagram are file names that exist, and each cause stands at the link that it belongs to."""
    section = README.partition("## How it works")[2].partition("\n## ")[0]
    diagram = section.partition("```\n")[2].partition("```")[0]
    assert [cause for cause in Cause if str(cause) not in diagram.replace(",", " ").split()] == []
    for path in re.findall(r"playbooks/\S+", diagram):
        assert (ROOT / path).is_file()


def test_every_key_of_a_mapping_is_shown() -> None:
    """What may stand inside a process, limit, check, window, step, destination or quiet hours stands in an example."""
    shown = " ".join(block.text for block in fenced("yaml"))
    shown += " ".join(re.findall(r"`(\w+)`", "\n".join(PAGES.values())))
    keys = {(name, key) for name, body in schema()["$defs"].items() for key in _keys_of(body)}
    assert len(keys) > 20
    assert {(name, key) for name, key in keys if not re.search(rf"\b{key}\b", shown)} == set()


def _keys_of(definition: dict[str, Any]) -> Iterator[str]:
    """The keys of a mapping's definition, which may be one of several ways to write a value."""
    for way in definition.get("anyOf", [definition]):
        yield from way.get("properties", ())


def test_the_table_of_messages_quotes_what_is_really_said() -> None:
    """Each message of the troubleshooting table is one of ours, letter by letter, or what an OpenSSH really printed."""
    ours = " ".join(_strings_of_the_code())
    recorded = " ".join(" ".join(transcript.text.split()) for transcript in read_transcripts())
    rows = re.findall(r"^\| `(.+?)` \| ", PAGES["docs/troubleshooting.md"], re.MULTILINE)
    assert len(rows) > 10
    for message in rows:
        pieces = [piece.strip(" .?'()") for piece in re.split(r"[.]{3}|; ", message)]
        assert any(all(piece in said for piece in pieces) for said in (ours, recorded)), message


def _strings_of_the_code() -> Iterator[str]:
    for path in [*(ROOT / "remotestatus").rglob("*.py"), *(ROOT / "playbooks").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    yield (ROOT / "report_templates" / "assets" / "page.js").read_text(encoding="utf-8")


# -- the examples ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", fenced("yaml"), ids=str)
def test_examples_of_variables_are_valid(block: Block) -> None:
    """Every YAML example satisfies the JSON Schema, so also the validator that it is made from."""
    values = yaml.safe_load(block.text)
    plain: dict[str, Any] = yaml.load(block.text, Loader=yaml.BaseLoader) | {
        name: value for name, value in values.items() if "maintenance" not in name
    }
    assert plain.keys() <= schema()["properties"].keys()
    assert [error.message for error in Draft202012Validator(schema()).iter_errors(plain)] == []


def test_variables_in_the_text_exist() -> None:
    """No document and no help text speaks of a variable that there is not."""
    known = {*schema()["properties"], "remotestatus_workers"}
    known |= {name for name, *_ in FAMILIES}
    others = {"remotestatus_look", "remotestatus_playbook", "remotestatus_round", "remotestatus_argv"}
    others |= {path.stem for path in (ROOT / "playbooks" / "action_plugins").glob("*.py")}
    texts = PAGES | {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("*.md")}
    texts |= {name: command_of(name).help or "" for name in COMMANDS}
    texts |= {path.name: path.read_text() for path in (ROOT / "inventory").rglob("*.yml")}
    for where, text in texts.items():
        assert set(re.findall(r"\bremotestatus_[a-z_]+\b", text)) - known - others <= {"remotestatus_"}, where


def test_each_file_of_a_machine_format_is_named() -> None:
    """The page on machine formats names every file that one writes; a badge's JSON goes with its picture."""
    named = {re.sub(r"^(badge.*)\.json$", r"\1.svg", path.replace("{slug}", "REMOTE")) for path in all_formats()}
    assert [path for path in sorted(named) if f"`site/{path}`" not in PAGES["docs/formats.md"]] == []


def test_files_named_in_the_guide_exist() -> None:
    """What the text calls a file of the playbooks or the templates is one."""
    for page, text in PAGES.items():
        for path in re.findall(r"(?:playbooks|report_templates)/[\w/.-]*\w", text):
            assert (ROOT / path).exists(), f"{page}: {path}"


# -- the guide ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Links to files, and to headings of the same or another page, exist."""
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        path, _, heading = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if heading:
            assert heading in _headings(file.read_text(encoding="utf-8")), target


def _headings(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", without_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_leads_to_every_page() -> None:
    """It is short, and links to each page of the guide."""
    assert len(README.encode()) <= 14 * 1024
    assert set(PAGES) - {"README.md"} - set(re.findall(r"\]\((docs/\w+[.]md)", README)) == set()


def test_the_guide_is_built_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """mkdocs finds nothing wrong, and no script, style sheet, picture or font of a page has an address elsewhere."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    pages = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    assert len(pages) >= len(PAGES) - 1
    for text in pages:
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]* src=\"?([^\" >]+)", text)
        loaded += re.findall(r"<link\b[^>]* href=\"?([^\" >]+)", text)
        assert loaded
        assert [address for address in loaded if "//" in address] == []


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_documents_are_lines_that_one_can_read(name: str) -> None:
    """Outside tables and blocks of code no line is longer than 120 characters, and no trailing space remains."""
    for line in without_blocks((ROOT / name).read_text(encoding="utf-8")).splitlines():
        assert line == line.rstrip(), line
        assert line.lstrip().startswith(("|", "[![", "![")) or len(line) <= 120, line


# -- the changelog -----------------------------------------------------------------------------------------------------


def test_the_changelog_keeps_its_form() -> None:
    """Versions, the six kinds of change of Keep a Changelog, and one sentence a change."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - (unreleased|\d{4}-\d\d-\d\d)", head) for head in heads)
    assert heads[0].startswith(f"[{version}]")
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds
    changes = re.findall(r"^- (.+(?:\n  .+)*)", text, re.MULTILINE)
    assert all(change.endswith(".") and ". " not in change.replace("remotes.py", "") for change in changes)


# -- the example inventory ---------------------------------------------------------------------------------------------


def copy_inventory(folder: Path, *, whole: bool) -> Path:
    """The example inventory in another folder; with `whole`, what is commented out is taken in too."""
    for path in (ROOT / "inventory").rglob("*.yml"):
        text = path.read_text(encoding="utf-8")
        if whole:
            text = re.sub(r"^( *)# ((?:remotestatus_|ansible_)\w+:|servers:|  )", r"\1\2", text, flags=re.MULTILINE)
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder / "inventory"


def test_the_example_inventory_is_valid_as_it_is(remotestatus: Command, tmp_path: Path) -> None:
    """`remotestatus` in a checkout takes `inventory/` without -i, on a machine that has none of its keys."""
    copy_inventory(tmp_path, whole=False)
    done = remotestatus("schedule", "--cron", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "password:" not in re.sub(r"#.*", "", (tmp_path / "inventory" / "remotes.yml").read_text())


def test_what_the_example_inventory_comments_out_is_valid_too(remotestatus: Command, tmp_path: Path) -> None:
    """With its keys and vaulted variables there, every line of it may be taken in."""
    inventory = copy_inventory(tmp_path, whole=True)
    (inventory / "group_vars" / "all" / "vault.yml").write_text(
        'vault_capture_1: "example"\nvault_mail: "json://127.0.0.1:9/"\n'
    )
    keys = remotestatus.home / ".ssh"
    keys.mkdir()
    for name in ("proxy", "remotes"):
        (keys / name).write_text("a key")
    done = remotestatus("schedule", "--cron", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = remotestatus("ssh-config", folder=tmp_path)
    assert {"Host tunnel-proxy", "Host capture-1", "Host web-1"} <= set(listed.stdout.splitlines()), listed.stderr
