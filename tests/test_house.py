"""
Walks the imports of all our modules and keeps the order of the house, as CONTRIBUTING.md draws it.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "remotestatus"


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


CORE = words(
    """
    diagnosis django_settings drawings duration facts formats formats.badges formats.feed formats.metrics
    formats.status_json incidents judge known_hosts limits looking maintenance material notice portrait problems
    processes public reading reference remote report settings slugs starter status timer uptime wording
    """
)
"""Pure: no files, network, clock, Ansible, SQLite. The same inputs always give the same outputs."""

EDGES = {
    "inventory": ("inventory",),
    "playbook": ("playbook", "playbook.run", "playbook.problems", "playbook.offspring", "playbook.places"),
    "host keys": ("host_keys",),
    "lock": ("lock",),
    "history": ("history", "schema", "outbox", "gathering"),
    "publish": ("publish", "pages", "swap"),
    "deliver": ("deliver",),
}
"""Each does its own I/O and knows of no other."""

GROUND = frozenset({"errors", "shipped", "text"})
"""What everybody may use: errors that reach a person, where the shipped folders are, text that is safe to show."""

TOP = frozenset({"round", "looks", "sending", "trusting", "doctor"})
"""Puts core and edges together: a round, and what is done beside it. A name without a dot stands for its folder too."""

SHELL = frozenset({"cli", "__main__"})
"""What people start. Nothing else knows of it."""

ALONE = frozenset({"demo"})
"""The demo's fleet: a program of its own, of which only the command that starts it knows."""

PURE_LIBRARIES = words(
    """
    __future__ ast base64 binascii bisect collections copy dataclasses datetime difflib enum functools hashlib heapq
    hmac html http ipaddress itertools json math operator posixpath re shlex statistics string textwrap types typing
    unicodedata urllib.parse uuid warnings xml.sax.saxutils zoneinfo
    cronsim dateutil pydantic yaml
    """
)
"""All that the core may import from outside: what neither reads nor writes anything."""

SPEAKERS = {
    "ansible_runner": {"playbook.run"},
    "apprise": {"deliver"},
    "jinja2": {"pages"},
    "sqlite3": {"history", "outbox", "doctor.files"},
}
"""Who speaks to the outer world through these libraries; the doctor examines the history's file itself."""

CLOCK_READERS = {
    ("datetime", "now"),
    ("datetime", "today"),
    ("datetime", "utcnow"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("time", "gmtime"),
    ("time", "ctime"),
}
"""Calls that ask what time it is. `time.monotonic` only measures how long something took."""


@dataclass(frozen=True, slots=True)
class Module:
    """One of our Python files: its name below the package, its syntax tree and what it imports."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def imports(self) -> frozenset[str]:
        """Everything imported anywhere in it, also inside functions, by full name."""
        return frozenset(self._imports())

    def _imports(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names):
                    yield from (alias.name for alias in names)
                case ast.ImportFrom(module, names, 0):
                    for alias in names:
                        yield f"{module}.{alias.name}" if f"{module}.{alias.name}" in ALL_NAMES else str(module)
                case ast.ImportFrom():
                    raise AssertionError(f"{self.path}: a relative import; write it in full")

    @property
    def ours(self) -> frozenset[str]:
        """The modules of our own package that it imports, by their name below the package."""
        return frozenset(
            name.removeprefix(PACKAGE).removeprefix(".")
            for name in self.imports
            if name == PACKAGE or name.startswith(f"{PACKAGE}.")
        ) - {""}

    @property
    def outside(self) -> frozenset[str]:
        """Everything else that it imports."""
        return frozenset(name for name in self.imports if name.partition(".")[0] != PACKAGE)


def _name_of(path: Path) -> str:
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {_name_of(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
ALL_NAMES = frozenset(f"{PACKAGE}.{name}" for name in PATHS if name)
MODULES = {
    name: Module(name, path, ast.parse(path.read_text(encoding="utf-8"))) for name, path in PATHS.items() if name
}
PLAYBOOK_FILES = tuple(sorted((ROOT / "playbooks").rglob("*.py")))
ROOMS: dict[str, str] = {
    **dict.fromkeys(CORE, "core"),
    **{name: f"edge {edge}" for edge, names in EDGES.items() for name in names},
    **dict.fromkeys(GROUND, "ground"),
    **dict.fromkeys(TOP, "top"),
    **dict.fromkeys(SHELL, "shell"),
    **dict.fromkeys(ALONE, "alone"),
}


def room_of(name: str) -> str | None:
    """Where in the house a module lives; what is not named itself lives where its folder does."""
    return ROOMS.get(name) or ROOMS.get(name.partition(".")[0])


def calls(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every call of a name or of an attribute of a name: ("", "open"), ("time", "time"), ("datetime", "now")."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Name(name)):
                yield "", name
            case ast.Call(ast.Attribute(ast.Name(owner), name)):
                yield owner, name
            case ast.Call(ast.Attribute(ast.Attribute(_, owner), name)):
                yield owner, name


def test_every_module_has_its_place() -> None:
    """No file stands outside the map: each is core, one of the edges, ground, top, shell, or the demo."""
    assert not [name for name in MODULES if room_of(name) is None], "give it a place here and in CONTRIBUTING.md"
    assert not [name for name in ROOMS if name not in MODULES], "the map names what is not there"


def test_the_map_names_every_module() -> None:
    """CONTRIBUTING.md says of every module (of a folder: of the folder) where it belongs."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = text.partition("## The map of the house")[2].partition("\n## ")[0]
    wanted = {f"{name}.py" for name, path in PATHS.items() if name and "." not in name and path.name != "__init__.py"}
    wanted |= {f"{path.parent.name}/" for path in (ROOT / PACKAGE).rglob("__init__.py")}
    words = set(tree.replace("`", " ").replace(",", " ").split())
    assert sorted(name for name in wanted if name not in words) == []


@pytest.mark.parametrize("name", sorted(name for name in MODULES if room_of(name) == "core"))
def test_the_core_is_pure(name: str) -> None:
    """A core module imports the core, the errors and libraries without I/O, and calls nothing that reads or prints."""
    module = MODULES[name]
    assert not {other for other in module.ours if room_of(other) not in ("core", "ground")}
    assert "shipped" not in module.ours
    roots = PURE_LIBRARIES
    assert not {other for other in module.outside if other not in roots and other.partition(".")[0] not in roots}
    forbidden = {("", "open"), ("", "print"), ("", "input"), ("uuid", "uuid1"), ("uuid", "uuid4"), *CLOCK_READERS}
    assert not forbidden & set(calls(module.tree))


def test_the_core_imports_no_network_module_by_a_shared_name() -> None:
    """`http` and `urllib` are allowed for their words (status names, parsing) and not for their connections."""
    connecting = {"http.client", "http.server", "urllib.request", "urllib.error", "urllib"}
    assert not {name for name, module in MODULES.items() if room_of(name) == "core" and connecting & module.outside}


def test_edges_do_not_know_each_other() -> None:
    """An edge imports the core, the ground and modules of its own edge; never another edge, the top or the shell."""
    strangers = {
        f"{name} -> {other}"
        for name, module in MODULES.items()
        for other in module.ours
        if (room := room_of(name)) and room.startswith("edge") and room_of(other) not in (room, "core", "ground")
    }
    assert sorted(strangers) == []


def test_the_ground_imports_nothing_above_it() -> None:
    """`errors` imports nothing at all of ours, `shipped` only the errors."""
    assert MODULES["errors"].ours == frozenset()
    assert MODULES["shipped"].ours == {"errors"}


def test_nobody_knows_of_the_shell() -> None:
    """Only the command line imports the command line, so nothing below it can print, ask or exit through it."""
    assert not {
        f"{name} -> {other}"
        for name, module in MODULES.items()
        for other in module.ours
        if room_of(name) != "shell" and room_of(other) == "shell"
    }


def test_the_demo_stands_alone() -> None:
    """The demo's fleet knows nothing of remotestatus but its errors, and only the command that starts it knows it."""
    known = {other for name, module in MODULES.items() if room_of(name) == "alone" for other in module.ours}
    assert {other for other in known if room_of(other) != "alone"} <= {"errors"}
    users = {name for name, module in MODULES.items() if any(room_of(other) == "alone" for other in module.ours)}
    assert {name for name in users if room_of(name) != "alone"} == {"cli.demo"}


def test_only_the_shell_prints_and_reads_the_terminal() -> None:
    """click and rich are imported by the command line alone (the demo has a command line of its own)."""
    users = {
        name for name, module in MODULES.items() if {n.partition(".")[0] for n in module.outside} & {"click", "rich"}
    }
    assert {name for name in users if room_of(name) != "shell"} <= {"demo.__main__"}
    printing = {name for name, module in MODULES.items() if {("", "print"), ("", "input")} & set(calls(module.tree))}
    assert not {name for name in printing if room_of(name) != "shell"}


def test_only_the_shell_reads_the_clock() -> None:
    """What time it is comes from one function of the command line; everybody else is told, SQLite too."""
    readers = {name for name, module in MODULES.items() if CLOCK_READERS & set(calls(module.tree))}
    assert readers == {"cli.options"}
    asking = {
        name
        for name, module in MODULES.items()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and ("CURRENT_TIMESTAMP" in node.value or "'now'" in node.value)
    }
    assert asking == set()


@pytest.mark.parametrize(("library", "speakers"), SPEAKERS.items(), ids=SPEAKERS)
def test_each_outer_world_has_its_speaker(library: str, speakers: set[str]) -> None:
    """Ansible, Apprise, Jinja2 and SQLite are each imported where they belong and nowhere else."""
    users = {name for name, module in MODULES.items() if library in {n.partition(".")[0] for n in module.outside}}
    assert users == speakers


@pytest.mark.parametrize(("folder", "speaker"), [("playbooks", "playbook"), ("report_templates", "pages")])
def test_each_shipped_folder_has_its_speaker(folder: str, speaker: str) -> None:
    """One module finds the playbooks and one the templates; nobody else looks into those folders."""
    users = {
        name
        for name, module in MODULES.items()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module == f"{PACKAGE}.shipped"
        if folder in {alias.name for alias in node.names}
    }
    assert users == {speaker}


def test_no_import_goes_round_in_a_circle() -> None:
    """The imports of all modules, also those inside functions, can be put into an order."""
    graph = {name: module.ours - {name} for name, module in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("path", [*PATHS.values(), *PLAYBOOK_FILES], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_circle_is_patched_over(path: Path) -> None:
    """Nothing is imported for the type checker only."""
    assert "TYPE_CHECKING" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PLAYBOOK_FILES, ids=lambda path: path.stem)
def test_the_playbooks_need_nothing_but_ansible(path: Path) -> None:
    """Plugins import the standard library, Ansible and their own package: the playbook runs wherever Ansible does."""
    module = Module(path.stem, path, ast.parse(path.read_text(encoding="utf-8")))
    roots = {name.partition(".")[0] for name in module.imports}
    assert not roots - sys.stdlib_module_names - {"ansible", "remotestatus_playbook"}
    if path.parent.name == "remotestatus_playbook":
        assert "ansible" not in roots


def test_the_package_does_not_reach_into_the_playbooks() -> None:
    """remotestatus runs the playbooks and reads what they left; it imports neither them nor Ansible."""
    users = {
        name
        for name, module in MODULES.items()
        if {"ansible", "remotestatus_playbook"} & {other.partition(".")[0] for other in module.outside}
    }
    assert users == set()
