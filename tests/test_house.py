"""
Walks the imports of all our modules and keeps the order of the house: who may import whom, through which face.

Nothing is listed by hand but the order of the folders. A new module belongs to the folder that it lies in.
"""

import ast
import sys
from collections import Counter
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


GROUND = frozenset({"", "shipped", "templates"})
"""What everybody may use: the version, where the shipped folders are, and templates."""

LAYERS = (
    ("model",),
    ("evaluate",),
    ("inventory", "probe", "history", "notify", "report"),
    ("round", "setup", "demo"),
    ("cli",),
    ("__main__",),
)
"""Folders and top modules, lowest first. Each imports what is below it; those of one layer do not know each other."""

PURE_FOLDERS = ("model", "evaluate")
"""Pure as a whole: no files, network, clock, Ansible, SQLite. Elsewhere a module says `Pure:` in its docstring."""

PURE_LIBRARIES = words(
    """
    __future__ ast base64 binascii bisect collections copy dataclasses datetime difflib enum fnmatch functools hashlib
    heapq hmac html http ipaddress itertools json math operator pathlib posixpath re shlex statistics string textwrap
    time types typing unicodedata urllib.parse uuid warnings xml.sax.saxutils zoneinfo
    cronsim dateutil pydantic pydantic_core regex yaml
    remotestatus_playbook.protocol remotestatus_playbook.machine_facts remotestatus_playbook.checker_faults
    """
)
"""All that a pure module may import from outside: what neither reads nor writes anything."""

SPEAKERS = {
    "ansible_runner": {"probe"},
    "apprise": {"notify"},
    "jinja2": {"templates"},
    "sqlite3": {"history"},
    "rich": {"cli"},
    "click": {"cli"},
}
"""The folders that speak to the outer world through these libraries."""

SHARED = words("checker_faults control_socket protocol machine_facts private_directory shared_evaluation")
"""What the package may use of the playbook's: what both know or do."""

BELOW_SHARED = words("probe_frame")
"""What those need of the playbook's besides themselves; like them it needs the standard library alone."""

LONGEST_FUNCTION = 40
"""Lines of a function at most, from `def` to its end."""

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
"""Calls that ask what time it is. `time.monotonic` and `time.thread_time` only measure how long something took."""

FILE_METHODS = {
    *("read_text", "write_text", "read_bytes", "write_bytes", "open", "unlink", "mkdir", "rename", "exists", "is_file"),
    *("is_dir", "stat", "glob", "rglob", "iterdir", "touch", "chmod"),
}


@dataclass(frozen=True, slots=True)
class Module:
    """One of our Python files: its name below the package, its syntax tree and what it imports."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def folder(self) -> str:
        """The folder that it lies in, or the module itself at the top."""
        return self.name.partition(".")[0]

    @property
    def package(self) -> str:
        """The innermost package that it belongs to."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @property
    def imports(self) -> Iterator[tuple[str, str]]:
        """Everything imported anywhere in it, also inside functions: the module and the name (empty: itself)."""
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names):
                    yield from ((alias.name, "") for alias in names)
                case ast.ImportFrom(module, names, 0):
                    yield from ((str(module), alias.name) for alias in names)
                case ast.ImportFrom():
                    raise AssertionError(f"{self.path}: a relative import; write it in full")

    @property
    def ours(self) -> Iterator[tuple[str, str]]:
        """What it imports of our own package: the module's name below the package, and the name."""
        for module, name in self.imports:
            if module == PACKAGE or module.startswith(f"{PACKAGE}."):
                yield module.removeprefix(PACKAGE).removeprefix("."), name

    @property
    def outside(self) -> frozenset[str]:
        """Everything else that it imports."""
        return frozenset(module for module, _ in self.imports if module.partition(".")[0] != PACKAGE)

    @property
    def pure(self) -> bool:
        """Whether it has to be pure."""
        return self.folder in PURE_FOLDERS or "Pure:" in (ast.get_docstring(self.tree) or "")


def _name_of(path: Path) -> str:
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    name: Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    for path in sorted((ROOT / PACKAGE).rglob("*.py"))
    if (name := _name_of(path))
}
PLAYBOOK_FILES = tuple(path for path in sorted((ROOT / "playbooks").rglob("*.py")) if path.parent.name != "library")
"""Without `library/`: Ansible looks there for the documentation of an action plugin, by the plugin's own name."""
PACKAGES = frozenset(name for name, module in MODULES.items() if module.path.name == "__init__.py")


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


def test_every_folder_has_its_layer() -> None:
    """Each folder and top module stands in the order of the house, and the order names nothing that is not there."""
    ordered = {name for layer in LAYERS for name in layer} | GROUND
    assert {module.folder for module in MODULES.values()} - ordered == set()
    assert ordered - GROUND - {module.folder for module in MODULES.values()} == set()


def test_imports_lead_downwards() -> None:
    """A module imports its own folder and lower layers: stages do not know each other, and nobody knows the cli."""
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    wrong = [
        f"{name} -> {other}"
        for name, module in MODULES.items()
        for other, _ in module.ours
        if (target := other.partition(".")[0]) not in GROUND
        and target != module.folder
        and (module.folder in GROUND or level[target] >= level[module.folder])
    ]
    # The ground may use the model, which imports nothing of it.
    assert [one for one in wrong if "-> model." not in one] == []


def test_other_folders_are_entered_by_their_face() -> None:
    """From outside a folder only what its `__init__` names is used. The model's modules are its face."""
    wrong = []
    for name, module in MODULES.items():
        for other, imported in module.ours:
            target = _package_of(other)
            inside = f"{module.package}.".startswith(f"{target}.")
            if not target or inside or target in ("model", "cli"):
                continue
            if other != target or imported not in face_of(target):
                wrong.append(f"{name}: from {PACKAGE}.{other} import {imported}")
    assert wrong == []


def _package_of(name: str) -> str:
    """The innermost package that a module lies in; empty for a module at the top."""
    return name if name in PACKAGES or not name else _package_of(name.rpartition(".")[0])


def face_of(package: str) -> frozenset[str]:
    """What a package's `__init__` imports of its own modules, unless it says in `__all__` what others may use."""
    for node in MODULES[package].tree.body:
        match node:
            case ast.Assign([ast.Name("__all__")], value):
                return frozenset(ast.literal_eval(value))
    return frozenset(name for module, name in MODULES[package].ours if f"{module}.".startswith(f"{package}."))


def test_a_face_holds_nothing_but_names() -> None:
    """A stage's `__init__` only imports and names what others use; what it names is used by others."""
    used = {(other, imported) for module in MODULES.values() for other, imported in module.ours}
    for package in sorted(PACKAGES - {"cli", "model"}):
        kinds = {type(node) for node in MODULES[package].tree.body}
        if package != "setup.doctor":
            assert kinds <= {ast.Expr, ast.ImportFrom, ast.Assign}, package
        unused = {name for name in face_of(package) if (package, name) not in used}
        assert not unused, f"{package} names what nobody uses: {unused}"


def test_no_two_modules_have_one_name() -> None:
    """A base name means one file, in the package and the playbook's plugins alike."""
    files = [path.stem for path in (*(module.path for module in MODULES.values()), *PLAYBOOK_FILES)]
    assert {name: count for name, count in Counter(files).items() if count > 1 and not name.startswith("__")} == {}


def test_no_two_classes_have_one_name() -> None:
    """A class has one meaning, in the package and the playbook's plugins alike; a private one is its module's own."""
    paths = [module.path for module in MODULES.values()] + [*PLAYBOOK_FILES]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    names = [node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    # Ansible wants each action plugin to have this name.
    assert [name for name, count in Counter(names).items() if count > 1 and name[0] != "_"] == ["ActionModule"]


@pytest.mark.parametrize("name", sorted(name for name, module in MODULES.items() if module.pure))
def test_what_is_pure_reads_and_writes_nothing(name: str) -> None:
    """A pure module imports pure modules and libraries without I/O, and calls nothing that reads or prints."""
    module = MODULES[name]
    for other, imported in module.ours:
        target = MODULES.get(f"{other}.{imported}") or MODULES.get(other)
        assert target is None or target.pure or other in GROUND, f"{name} -> {other}"
    wrong = {one for one in module.outside if one not in PURE_LIBRARIES and one.partition(".")[0] not in PURE_LIBRARIES}
    assert not wrong
    assert not {"http.client", "http.server", "urllib.request", "urllib.error", "urllib"} & module.outside
    called = set(calls(module.tree))
    assert not {("", "open"), ("", "print"), ("", "input"), ("uuid", "uuid1"), ("uuid", "uuid4")} & called
    assert not CLOCK_READERS & called
    assert not {method for _, method in called} & FILE_METHODS


def test_only_the_command_line_reads_the_clock() -> None:
    """What time it is comes from one function of the command line; everybody else is told, SQLite too."""
    readers = {name for name, module in MODULES.items() if CLOCK_READERS & set(calls(module.tree))}
    assert readers == {"cli.options"}
    texts = [
        (name, node.value)
        for name, module in MODULES.items()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [name for name, text in texts if "CURRENT_TIMESTAMP" in text or "'now'" in text]


def test_only_the_command_line_prints() -> None:
    """Nothing below the command line prints or asks."""
    printing = {name for name, module in MODULES.items() if {("", "print"), ("", "input")} & set(calls(module.tree))}
    assert not {name for name in printing if not name.startswith("cli")}


@pytest.mark.parametrize(("library", "folders"), SPEAKERS.items(), ids=SPEAKERS)
def test_each_outer_world_has_its_speaker(library: str, folders: set[str]) -> None:
    """Ansible, Apprise, Jinja2, SQLite and the terminal are each spoken to where they belong and nowhere else."""
    users = {
        module.folder for module in MODULES.values() if library in {name.partition(".")[0] for name in module.outside}
    }
    assert users == folders


def test_no_import_goes_round_in_a_circle() -> None:
    """The imports of all modules, also those inside functions, can be put into an order."""
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for name, module in MODULES.items():
        for other, imported in module.ours:
            target = f"{other}.{imported}" if f"{other}.{imported}" in MODULES else other
            # A package's own modules are imported before its face is whole.
            if target and target != name and not name.startswith(f"{target}."):
                graph[name].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    "path",
    [*(module.path for module in MODULES.values()), *PLAYBOOK_FILES],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_circle_is_patched_over(path: Path) -> None:
    """Nothing is imported for the type checker only."""
    assert "TYPE_CHECKING" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PLAYBOOK_FILES, ids=lambda path: path.stem)
def test_the_playbooks_need_nothing_but_ansible(path: Path) -> None:
    """Plugins import the standard library, Ansible and their own package: the playbook runs wherever Ansible does."""
    module = Module(path.stem, path, ast.parse(path.read_text(encoding="utf-8")))
    roots = {name.partition(".")[0] for name, _ in module.imports}
    assert not roots - sys.stdlib_module_names - {"ansible", "remotestatus_playbook"}
    if path.parent.name == "remotestatus_playbook":
        assert "ansible" not in roots


def test_the_package_and_the_playbook_share_what_both_know_and_nothing_else() -> None:
    """The package imports the shared modules of the playbook only, and those import few others of the playbook."""
    users = [(name, module.imports) for name, module in MODULES.items()]
    users += [
        (path.stem, Module(path.stem, path, ast.parse(path.read_text(encoding="utf-8"))).imports)
        for path in PLAYBOOK_FILES
        if path.parent.name == "remotestatus_playbook" and path.stem in SHARED | BELOW_SHARED
    ]
    allowed = {f"remotestatus_playbook.{name}" for name in SHARED}
    used = {
        (user, module)
        for user, imports in users
        for module, _ in imports
        if module.partition(".")[0] == "remotestatus_playbook"
    }
    below = {f"remotestatus_playbook.{name}" for name in BELOW_SHARED}
    assert {module for user, module in used if user not in MODULES} <= allowed | below
    assert {module for user, module in used if user in MODULES} == allowed


def test_functions_are_short() -> None:
    """A function fits on a screen; one that does not has steps, which deserve names."""
    found = [
        (f"{path.relative_to(ROOT)}: {one.name}", (one.end_lineno or one.lineno) - one.lineno + 1)
        for path in (*(module.path for module in MODULES.values()), *PLAYBOOK_FILES)
        for one in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [one for one in found if one[1] > LONGEST_FUNCTION] == []


def test_contributing_draws_the_folders() -> None:
    """The picture in CONTRIBUTING.md names every folder and top module of the package."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = text.partition("## The house")[2].partition("\n## ")[0]
    assert [name for layer in LAYERS for name in layer if not name.startswith("__") and f"{name}" not in picture] == []
