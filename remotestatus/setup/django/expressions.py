"""
Evaluates Python expressions, as far as that is possible without execution.

Supported are literals, known names, sums, paths, and environment variables with a default. Everything else is Unknown,
also a very large result. A pathlib.Path is a text here.
"""

import ast
import operator
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LONGEST = 100_000
_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only execution would give: its source, and the environment variable that it reads."""

    text: str
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """
    The value of an expression, and its location: `app/remotes.py:12`.

    Lists and dictionaries hold Values again. `variable` is the environment variable whose default was taken.
    """

    value: object
    where: str
    variable: str = ""


_SUMS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "os.path.join": posixpath.join,
    "os.path.dirname": posixpath.dirname,
    "os.path.abspath": posixpath.normpath,
    "os.path.realpath": posixpath.normpath,
    # Ansible expands ~ itself, for its own user.
    "os.path.expanduser": str,
    "pathlib.Path": posixpath.join,
    "str": str,
    "int": int,
}
_PERCENTS = re.compile(r"(?:[^%]|%%|%0?\d?[ds])*")
_BRACES = re.compile(r"(?:[^{}]|\{\{|\}\}|\{\w*\})*")


class Evaluator:
    """Evaluates the expressions of one file, named `file` in messages."""

    def __init__(self, names: Mapping[str, Value], file: str) -> None:
        self.names = names
        self.file = file
        self.variable = ""

    def evaluate(self, node: ast.expr) -> Value:
        """The value of an expression; Unknown if it is not supported."""
        if isinstance(node, ast.Name) and node.id in self.names:
            return self.names[node.id]
        before, self.variable = self.variable, ""
        try:
            value = self._work_out(node)
            if isinstance(value, str | list) and len(value) > _LONGEST:
                raise ValueError("too long")
            if isinstance(value, int | float) and not abs(value) < _LARGEST:
                raise ValueError("too large")
        except (ArithmeticError, LookupError, TypeError, ValueError):
            value = Unknown(_show(node))
        found = value if isinstance(value, Value) else Value(value, f"{self.file}:{node.lineno}", self.variable)
        self.variable = before
        return found

    def _plain(self, node: ast.expr) -> Any:
        """An operand."""
        return self._open(self.evaluate(node))

    def _open(self, found: Value) -> Any:
        if isinstance(found.value, Unknown):
            raise TypeError("not understood")
        self.variable = found.variable or self.variable
        return found.value

    def _scalar(self, node: ast.expr) -> str | float:
        return _check_scalar(self._plain(node))

    def _work_out(self, node: ast.expr) -> object:
        match node:
            case ast.Subscript(value=owner, slice=ast.Constant(value=str() as variable)) if (
                self._name_of(owner) == "os.environ"
            ):
                return Unknown(_show(node), variable)
            case ast.Call(func=function, args=[ast.Constant(value=str() as variable), *defaults]) if self._name_of(
                function
            ) in ("os.environ.get", "os.getenv"):
                default = self._plain(defaults[0]) if defaults else None
                place = f"{self.file}:{node.lineno}"
                return Unknown(_show(node), variable) if default is None else Value(default, place, variable)
            case ast.Constant(value=str() | int() | float() | None as value):
                return value
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return self._make_list(parts)
            case ast.Dict(keys=keys, values=values):
                names = [str(self._plain(key)) if key else None for key in keys]
                return self._make_dict(zip(names, values, strict=True))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -_check_number(self._plain(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return self._combine(self.evaluate(left), op, self.evaluate(right))
            case ast.JoinedStr(values=parts):
                return "".join(str(self._scalar(part)) for part in parts)
            case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
                return self._scalar(inner)
            case ast.Call(func=function, args=arguments, keywords=words):
                return self._call(function, arguments, words)
        return self._look_up(node)

    def _look_up(self, node: ast.expr) -> object:
        """A part of another value: the parent of a path, or an item by key."""
        match node:
            case ast.Attribute(value=inner, attr="parent"):
                return posixpath.dirname(str(self._scalar(inner)))
            case ast.Attribute(value=inner, attr=name):
                return self._plain(inner)[name]
            case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int() as up)):
                return posixpath.normpath(posixpath.join(str(self._scalar(inner)), *[".."] * (up + 1)))
            case ast.Subscript(value=inner, slice=key):
                return self._plain(inner)[str(self._plain(key))]
        raise ValueError("not understood")

    def _make_list(self, parts: Sequence[ast.expr]) -> list[Value]:
        found: list[Value] = []
        for part in parts:
            inner = self.evaluate(part.value if isinstance(part, ast.Starred) else part)
            found += inner.value if isinstance(part, ast.Starred) and isinstance(inner.value, list) else [inner]
        return found

    def _make_dict(self, items: Iterable[tuple[str | None, ast.expr]]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for key, node in items:
            value = self.evaluate(node)
            found |= (
                value.value if key is None and isinstance(value.value, dict) else {key or f"**{_show(node)}": value}
            )
        return found

    def _combine(self, left: Value, op: ast.operator, right: Value) -> object:
        if isinstance(op, ast.Add) and (isinstance(left.value, list) or isinstance(right.value, list)):
            # Keep the known part of a list.
            return [part for side in (left, right) for part in (side.value if isinstance(side.value, list) else [side])]
        first, second = self._open(left), self._open(right)
        if isinstance(op, ast.Mod) and isinstance(first, str) and _PERCENTS.fullmatch(first):
            parts = second if isinstance(second, list) else [right]
            return first % tuple(_check_scalar(part.value) for part in parts)
        if isinstance(op, ast.Div) and isinstance(first, str):
            return posixpath.join(first, str(_check_scalar(second)))
        if isinstance(op, ast.Add) and isinstance(first, str) and isinstance(second, str):
            return first + second
        return _SUMS[type(op)](_check_number(first), _check_number(second))

    def _call(self, function: ast.expr, arguments: Sequence[ast.expr], words: Sequence[ast.keyword]) -> object:
        name = self._name_of(function)
        if name == "dict":
            given = [*((None, argument) for argument in arguments), *((word.arg, word.value) for word in words)]
            return self._make_dict(given)
        if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(self._scalar(argument) for argument in arguments))
        match function:
            case ast.Attribute(value=owner, attr="resolve" | "absolute" | "expanduser"):
                return self._scalar(owner)
            case ast.Attribute(value=owner, attr="format") if _BRACES.fullmatch(text := str(self._scalar(owner))):
                named = {str(word.arg): self._scalar(word.value) for word in words}
                return text.format(*(self._scalar(argument) for argument in arguments), **named)
        raise ValueError("not understood")

    def _name_of(self, node: ast.expr) -> str:
        """The full name of an import, whatever its alias: `os.path.join`."""
        match node:
            case ast.Name(id=name):
                known = self.names[name].value if name in self.names else Unknown(name)
                return known.text if isinstance(known, Unknown) else ""
            case ast.Attribute(value=inner, attr=name):
                return f"{self._name_of(inner)}.{name}"
        return ""


def _show(node: ast.AST) -> str:
    """An expression's source, shortened; call arguments may be secret and are left out."""
    text = f"{ast.unparse(node.func)}(...)" if isinstance(node, ast.Call) else ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_scalar(value: object) -> str | float:
    if not isinstance(value, str | int | float):
        raise TypeError("neither text nor number")
    return value


def _check_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return value
