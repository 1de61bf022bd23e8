"""
Finds and reads the files of a Django project, and follows the imports between them. Nothing is executed.

What can't be read or followed becomes a Gap: where, what, and what to do.
"""

import ast
import importlib.util
import keyword
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from remotestatus.setup.django.expressions import Evaluator, Unknown, Value

_TOKEN = re.compile(
    r"""'{3}.*?'{3} | "{3}.*?"{3} | '(?:\\.|[^'\\\n])*' | "(?:\\.|[^"\\\n])*" | \#[^\n]*
    | (?P<open>[\[({]) | (?P<close>[\])}]) | \n(?P<start>(?=[^\s\#]))""",
    re.DOTALL | re.VERBOSE,
)
_FOREIGN = frozenset({"site-packages", "node_modules", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be converted: where (`settings.py:12`), what, and the fix."""

    where: str
    what: str
    cure: str


@dataclass(slots=True)
class Project:
    """The files below `root`. Each is read once; `settings` is what `django.conf` gives."""

    root: Path
    settings: dict[str, Value] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    files: dict[Path, dict[str, Value]] = field(default_factory=dict)

    def note(self, where: str, what: str, cure: str) -> None:
        self.gaps.append(Gap(where, what, cure))

    def shorten(self, path: Path) -> str:
        """A file's name as people read it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def find_files(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """The settings and the `remotes.py` files below a folder, without those of installed packages."""
        settings: list[Path] = []
        remotes: list[Path] = []
        for place, folders, files in os.walk(folder, onerror=self._note_unreadable):
            here = Path(place)
            if "pyvenv.cfg" in files:
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if name not in _FOREIGN and not name.startswith("."))
            inside = here.name == "settings"
            settings += [here / name for name in files if name == "settings.py" or (inside and name.endswith(".py"))]
            remotes += [here / name for name in files if name == "remotes.py"]
        return sorted(settings), remotes

    def _note_unreadable(self, error: OSError) -> None:
        file = self.shorten(Path(error.filename))
        self.note(file, f"can't be read ({error.strerror})", "add what it says to the inventory")

    def read(self, path: Path) -> dict[str, Value]:
        """The values of a file's names at its end; partial for circular imports."""
        if path not in self.files:
            reader = _Reader(self, path)
            self.files[path] = reader.names
            with warnings.catch_warnings():
                # Ignore Python's warnings about old files.
                warnings.simplefilter("ignore")
                for statement in self._statements(path):
                    reader.read(statement)
        return self.files[path]

    def _statements(self, path: Path) -> Iterable[ast.stmt]:
        file = self.shorten(path)
        try:
            source = path.read_bytes()
            return ast.parse(source).body
        except OSError as error:
            self._note_unreadable(error)
            return ()
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            what = f"is not Python 3 ({getattr(error, 'msg', None) or error or 'nested too deeply'})"
            cure = "its other statements were read; compare the inventory with this file"
            self.note(f"{file}:{getattr(error, 'lineno', None) or 1}", what, cure)
        return _read_statements(source)

    def find(self, importer: Path, level: int, module: str) -> Path | None:
        """The project's file that `from ..module import` means; Python 2 also looked beside the importing file."""
        for folder in [importer.parents[level - 1]] if level else importer.parents:
            if folder.is_relative_to(self.root):
                place = folder.joinpath(*module.split(".")) if module else folder
                for path in (place / "__init__.py", place.parent / f"{place.name}.py"):
                    if path.is_file() and path != importer:
                        return path
        return None


class _Reader:
    """Reads a file's statements in order and keeps the value of each name."""

    def __init__(self, project: Project, path: Path) -> None:
        self.project, self.path, self.file = project, path, project.shorten(path)
        self.names = {"__file__": Value(str(path), self.file)}
        self.evaluate = Evaluator(self.names, self.file).evaluate

    def read(self, statement: ast.stmt) -> None:
        try:
            understood = self._understand(statement)
        except (LookupError, RecursionError):
            understood = False
        if not understood:
            self._distrust(statement)

    def _understand(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.names[name] = self.evaluate(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self.names[name] = self.evaluate(value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self.names[name] = self._combine(name, op, value)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=how), args=[value])) if (
                how in ("append", "extend") and name in self.names and isinstance(self.names[name].value, list)
            ):
                added = ast.copy_location(ast.List([value], ast.Load()), value) if how == "append" else value
                self.names[name] = self._combine(name, ast.Add(), added)
            case ast.Import(names=aliases):
                for alias in aliases:
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    self.names[alias.asname or name] = Value(Unknown(name), f"{self.file}:{statement.lineno}")
            case ast.ImportFrom():
                self._import(statement)
            case ast.Try(body=body) if all(isinstance(inner, ast.ImportFrom) for inner in body):
                for inner in body:
                    self.read(inner)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _:
                return False
        return True

    def _combine(self, name: str, op: ast.operator, value: ast.expr) -> Value:
        left = ast.copy_location(ast.Name(name, ast.Load()), value)
        return self.evaluate(ast.copy_location(ast.BinOp(left, op, value), value))

    def _import(self, statement: ast.ImportFrom) -> None:
        where, level, module = f"{self.file}:{statement.lineno}", statement.level, statement.module or ""
        path = self.project.find(self.path, level, module)
        names = self.project.read(path) if path else {}
        for alias in statement.names:
            name, full = alias.asname or alias.name, f"{module}.{alias.name}".strip(".")
            if alias.name == "*":
                if path is None:
                    self._note_star(statement)
                self.names |= {key: value for key, value in names.items() if key[0] != "_"}
            elif alias.name in names:
                self.names[name] = names[alias.name]
            elif inner := self.project.find(self.path, level, full):
                self.names[name] = Value(self.project.read(inner), where)
            else:
                settings = self.project.settings if full == "django.conf.settings" else None
                self.names[name] = Value(settings or Unknown(full), where)

    def _distrust(self, statement: ast.stmt) -> None:
        """Unsupported code may change its lists and dictionaries, and makes the values of its names Unknown."""
        own = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for inner in ast.walk(statement):
            code = Value(Unknown("code"), f"{self.file}:{getattr(inner, 'lineno', statement.lineno)}")
            if isinstance(inner, ast.ImportFrom) and inner.names[0].name == "*":
                self._note_star(inner)
            name = getattr(inner, "id", None) or getattr(inner, "asname", None) or getattr(inner, "name", None)
            known = self.names.get(str(name), code)
            if isinstance(known.value, list):
                known.value.append(code)
            elif isinstance(known.value, dict):
                known.value["**code"] = code
            elif name and not isinstance(getattr(inner, "ctx", None), ast.Load) and (not own or inner is statement):
                self.names[str(name)] = code

    def _note_star(self, statement: ast.ImportFrom) -> None:
        what = f"`{ast.unparse(statement)}` was not followed and may bring or change settings"
        self.project.note(f"{self.file}:{statement.lineno}", what, "add what it says to the inventory")


# -- Python 2


def _read_statements(source: bytes) -> Iterator[ast.stmt]:
    """
    The statements at the top of a file in their order.

    A statement that is not Python 3 is replaced: by an assignment of an unknown value, or by its names.
    """
    line = 1
    for part in _split(_decode(source)):
        try:
            tree = ast.parse(part)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            words = [word for word in re.findall(r"[A-Za-z_]\w*", part, re.ASCII) if not keyword.iskeyword(word)]
            assigned = re.match(r"([A-Za-z_]\w*)\s*(\+?=)(?!=)", part, re.ASCII)
            if assigned and assigned[1] in words:
                tree = ast.parse(f"{assigned[1]} {assigned[2]} Python2")
            else:
                tree = ast.parse(f"Python2({', '.join(words)})")
        yield from ast.increment_lineno(tree, line - 1).body
        line += part.count("\n")


def _split(text: str) -> Iterator[str]:
    """A statement begins with an unindented line outside of brackets and strings."""
    depth, begun = 0, 0
    for token in _TOKEN.finditer(text):
        depth = max(0, depth + (token["open"] is not None) - (token["close"] is not None))
        if token["start"] is not None and depth == 0:
            yield text[begun : token.end()]
            begun = token.end()
    yield text[begun:]


def _decode(source: bytes) -> str:
    """A file that is not UTF-8 and declares no encoding is Latin-1, as often in Python 2."""
    try:
        return importlib.util.decode_source(source)
    except (SyntaxError, UnicodeDecodeError):
        return source.decode("latin-1").replace("\r\n", "\n")
