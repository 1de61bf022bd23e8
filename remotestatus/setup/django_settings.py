"""
Reads what the old Django app's settings and `remotes.py` files say, without executing them.

Source text comes in; Found values go out, each with its line, and what is not a literal comes out as a Gap. Literals,
names that were given one before, concatenations and small sums are worked out; nothing is ever called or imported.
"""

import ast
import base64
import hmac
import math
import operator
import posixpath
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from urllib.parse import quote

from remotestatus.model.durations import write_duration
from remotestatus.model.errors import ConfigurationError, Problem
from remotestatus.setup import Answers, NewProxy, NewRemote, name_host

_LONGEST = 100_000
_LARGEST = 2**63

FREQUENCY_NAMES = ("REMOTE_CHECK_FREQUENCY", "RS_REMOTE_CHECK_FREQUENCY", "CHECK_FREQUENCY")
MAIL_NAMES = (
    "EMAIL_HOST",
    "EMAIL_PORT",
    "EMAIL_HOST_USER",
    "EMAIL_HOST_PASSWORD",
    "EMAIL_USE_TLS",
    "EMAIL_USE_SSL",
    "DEFAULT_FROM_EMAIL",
)
SETTING_NAMES = (
    "RS_USERS_TO_NOTIFY",
    "RS_KEY_FILE",
    "RS_KNOWN_HOSTS_FILE",
    "RS_PROXY_HOSTNAME",
    "RS_PROXY_USERNAME",
    "RS_PROXY_PORT",
    "SSH_TUNNELING",
    *FREQUENCY_NAMES,
)


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be carried over as it is: where (`settings.py:12`), what, and what to do."""

    where: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.cure}"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only running the file would give. `text` is its source, cut short."""

    text: str
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A value and the line that it was written in. Lists and dictionaries hold Found again."""

    value: object
    line: int


@dataclass(frozen=True, slots=True)
class Module:
    """What the names of one file stand for at its end, and where code changes one in a way that can't be followed."""

    file: str
    names: Mapping[str, Found]
    changed: Mapping[str, int] = field(default_factory=dict)
    imports_all: tuple[tuple[int, str], ...] = ()


def read_module(source: bytes | str, file: str, settings: Mapping[str, Found] | None = None) -> Module:
    """
    Read one file. `settings` are the values that `settings.X` (from django.conf) stands for.

    Raises ConfigurationError with file and line when the text is no Python 3.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, filename=file)
        reader = _Reader(settings or {})
        for statement in tree.body:
            reader.read(statement)
    except SyntaxError as error:
        raise ConfigurationError(
            "a file can't be read",
            [
                Problem(
                    f"{file}:{error.lineno or 1}",
                    f"this is not Python 3 ({error.msg}); correct that line, or for a file of Python 2 run 2to3 on it",
                )
            ],
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        what = str(error) or "it is nested too deeply"
        raise ConfigurationError(
            "a file can't be read", [Problem(file, f"this is not Python source: {what}")]
        ) from None
    return Module(file, reader.names, reader.changed, tuple(reader.imports_all))


class _Reader:
    """Goes through a file's statements in order and keeps what each name stands for."""

    def __init__(self, settings: Mapping[str, Found]) -> None:
        self.settings = settings
        self.names: dict[str, Found] = {}
        self.changed: dict[str, int] = {}
        self.imports_all: list[tuple[int, str]] = []

    def read(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value):
                found = self.fold(value)
                for target in targets:
                    self._assign(target, found)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self.names[name] = self.fold(value)
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
                self.names[name] = self._join(self._named(name, statement), self.fold(value), statement)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=how), args=[value])) if (
                how in ("append", "extend") and name in self.names
            ):
                found = self.fold(value)
                added = Found([found], found.line) if how == "append" else found
                self.names[name] = self._join(self.names[name], added, statement)
            case ast.ImportFrom(names=[ast.alias(name="*")]):
                self.imports_all.append((statement.lineno, ast.unparse(statement)))
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _:
                self._distrust(statement)

    def _assign(self, target: ast.expr, found: Found) -> None:
        match target:
            case ast.Name(id=name):
                self.names[name] = found
                self.changed.pop(name, None)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                values = found.value
                if isinstance(values, list) and len(values) == len(targets):
                    for one, value in zip(targets, values, strict=True):
                        self._assign(one, value)
                else:
                    self._distrust(target)
            case _:
                self._distrust(target)

    def _distrust(self, node: ast.AST) -> None:
        """Code that we don't follow: whatever name it may change is known no more, or no longer for certain."""
        for inner in ast.walk(node):
            name = _changed_name(inner)
            if name is None:
                continue
            line = getattr(inner, "lineno", getattr(node, "lineno", 1))
            kept = self.names.get(name)
            if kept is not None and isinstance(kept.value, list | dict):
                self.changed[name] = line
            else:
                self.names[name] = Found(Unknown(_shorten(ast.unparse(node))), line)

    def _named(self, name: str, node: ast.stmt | ast.expr) -> Found:
        return self.names.get(name, Found(Unknown(name), node.lineno))

    def _join(self, left: Found, right: Found, node: ast.stmt | ast.expr) -> Found:
        """`left + right`; of a list with an unknown part, the known part stays."""
        first, second = left.value, right.value
        if isinstance(first, list) or isinstance(second, list):
            parts = [
                *(first if isinstance(first, list) else [left]),
                *(second if isinstance(second, list) else [right]),
            ]
            return Found(parts if len(parts) <= _LONGEST else Unknown("a very long list"), left.line)
        return Found(_add(first, second, node), node.lineno)

    def fold(self, node: ast.expr) -> Found:
        """Work out an expression as far as that needs no execution."""
        return Found(self._fold(node), node.lineno) if not isinstance(node, ast.Name) else self._fold_name(node)

    def _fold_name(self, node: ast.Name) -> Found:
        found = self._named(node.id, node)
        return Found(found.value, node.lineno)

    def _fold(self, node: ast.expr) -> object:
        match node:
            case ast.Constant(value=str() | int() | float() | None as value):
                return value
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                return self._fold_list(parts)
            case ast.Dict(keys=keys, values=values):
                return self._fold_dict(keys, values, node)
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords) if all(k.arg for k in keywords):
                return {str(keyword.arg): self.fold(keyword.value) for keyword in keywords}
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                number = self.fold(operand).value
                if isinstance(number, int | float) and not isinstance(number, bool):
                    return -number if isinstance(sign, ast.USub) else number
            case ast.BinOp(left=left, op=op, right=right):
                if isinstance(op, ast.Add):
                    return self._join(self.fold(left), self.fold(right), node).value
                return _calculate(self.fold(left).value, op, self.fold(right).value, node)
            case ast.JoinedStr(values=parts):
                return self._fold_text(parts, node)
            case ast.Attribute(value=ast.Name(id="settings"), attr=name) if name in self.settings:
                return self.settings[name].value
            case ast.Subscript(value=inner, slice=key):
                return self._fold_item(inner, key, node)
            case ast.Call(func=func, args=arguments, keywords=[]) if ast.unparse(func) in _PATHS:
                paths = [self.fold(argument).value for argument in arguments]
                if paths and all(isinstance(path, str) for path in paths):
                    return _PATHS[ast.unparse(func)](*(str(path) for path in paths))
            case _:
                pass
        return Unknown(_shorten(ast.unparse(node)), _environment(node))

    def _fold_list(self, parts: Iterable[ast.expr]) -> object:
        found: list[Found] = []
        for part in parts:
            inner = self.fold(part.value if isinstance(part, ast.Starred) else part)
            if isinstance(part, ast.Starred) and isinstance(inner.value, list):
                found += inner.value
            else:
                found.append(inner)
            if len(found) > _LONGEST:
                return Unknown("a very long list")
        return found

    def _fold_dict(self, keys: Iterable[ast.expr | None], values: Iterable[ast.expr], node: ast.expr) -> object:
        found: dict[str, Found] = {}
        for key, value in zip(keys, values, strict=True):
            inner = self.fold(value)
            if key is None:
                if isinstance(inner.value, dict):
                    found |= inner.value
                else:
                    found[f"**{_shorten(ast.unparse(value))}"] = inner
                continue
            name = self.fold(key).value
            found[name if isinstance(name, str) else _shorten(ast.unparse(key))] = inner
        return found

    def _fold_text(self, parts: Iterable[ast.expr], node: ast.expr) -> object:
        texts = []
        for part in parts:
            match part:
                case ast.Constant(value=str() as text):
                    texts.append(text)
                case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
                    value = self.fold(inner).value
                    if not isinstance(value, str | int) or isinstance(value, bool):
                        return Unknown(_shorten(ast.unparse(node)))
                    texts.append(str(value))
                case _:
                    return Unknown(_shorten(ast.unparse(node)))
        text = "".join(texts)
        return text if len(text) <= _LONGEST else Unknown("a very long text")

    def _fold_item(self, inner: ast.expr, key: ast.expr, node: ast.expr) -> object:
        values, wanted = self.fold(inner).value, self.fold(key).value
        if isinstance(values, dict) and isinstance(wanted, str) and wanted in values:
            found: Found = values[wanted]
            return found.value
        if isinstance(values, list) and isinstance(wanted, int) and -len(values) <= wanted < len(values):
            item: Found = values[wanted]
            return item.value
        return Unknown(_shorten(ast.unparse(node)), _environment(node))


_PATHS: Mapping[str, Callable[..., str]] = {
    "os.path.join": posixpath.join,
    "path.join": posixpath.join,
    # Ansible opens ~ itself, for whoever runs it.
    "os.path.expanduser": lambda path: path,
    "expanduser": lambda path: path,
}

_NUMBERS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def _add(first: object, second: object, node: ast.stmt | ast.expr) -> object:
    if isinstance(first, str) and isinstance(second, str) and len(first) + len(second) <= _LONGEST:
        return first + second
    if _is_number(first) and _is_number(second):
        total = first + second  # type: ignore[operator]
        if abs(total) < _LARGEST:
            return total
    return Unknown(_shorten(ast.unparse(node)))


def _calculate(first: object, op: ast.operator, second: object, node: ast.expr) -> object:
    if isinstance(first, int | float) and isinstance(second, int | float) and type(op) in _NUMBERS:
        try:
            result = _NUMBERS[type(op)](first, second)
        except (ArithmeticError, ValueError):
            result = math.inf
        if abs(result) < _LARGEST:
            return result
    return Unknown(_shorten(ast.unparse(node)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _changed_name(node: ast.AST) -> str | None:
    """The name that a piece of code gives a value to, or whose value it may change in place."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            return name
        case ast.Attribute(value=ast.Name(id=name)) if node.attr in _CHANGES:
            return name
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
            return name
        case ast.Subscript(value=ast.Subscript(value=ast.Name(id=name)), ctx=ast.Store() | ast.Del()):
            return name
        case ast.alias(name=name, asname=as_name):
            return as_name or name.partition(".")[0]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case _:
            return None


_CHANGES = frozenset(
    {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "setdefault", "sort", "update"}
)


def _environment(node: ast.expr) -> str | None:
    """The environment variable that an expression reads and nothing else, if it does."""
    match node:
        case (
            ast.Subscript(value=ast.Attribute(attr="environ") | ast.Name(id="environ"), slice=ast.Constant(value=name))
            | ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"), args=[ast.Constant(value=name)]
            )
            | ast.Call(func=ast.Attribute(value=ast.Name(id="environ"), attr="get"), args=[ast.Constant(value=name)])
            | ast.Call(func=ast.Attribute(attr="getenv"), args=[ast.Constant(value=name)])
        ) if isinstance(name, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            return name
        case _:
            return None


def _shorten(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 60 else f"{plain[:57]}..."


# -- what the files say, as an inventory

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "nickname": ("nickname", "name"),
    "description": ("description",),
    "location": ("location",),
    "user": ("remote_username", "username"),
    "password": ("remote_password", "password"),
    "port": ("remote_port", "port"),
    "forwarded_port": ("forwarded_port", "local_port"),
    "processes": ("processes",),
    "address": ("remote_hostname", "hostname", "host", "ip"),
    "key_file": ("remote_key_file",),
    "proxy_address": ("proxy_hostname",),
    "proxy_user": ("proxy_username",),
    "proxy_port": ("proxy_port",),
    "proxy_key_file": ("proxy_key_file", "key_file"),
    "tunnel": ("ssh_tunneling", "SSH_TUNNELING"),
}
_SECRET_FIELDS = frozenset({"password"})
_DAY = 24 * 60  # minutes


@dataclass(frozen=True, slots=True)
class OldFleet:
    """
    The inventory to be, and all that it does not carry over.

    `lookups` says under which names each new host was to be found in the old known_hosts file, best first.
    """

    answers: Answers
    gaps: tuple[Gap, ...]
    lookups: Mapping[str, tuple[str, ...]]
    known_hosts_file: str | None = None
    mail_needs_secret: bool = False


def plan_fleet(settings: Module, remotes: Iterable[Module], base: str) -> OldFleet:
    """Make of the old settings and all `remotes.py` what they mean in an inventory. Relative paths start at `base`."""
    planner = _Planner(settings, base)
    for module in remotes:
        planner.add_file(module)
    return planner.finish()


class _Planner:
    """Goes through the old fleet remote by remote and notes what can't be carried over."""

    def __init__(self, settings: Module, base: str) -> None:
        self.settings = settings
        self.base = base
        self.gaps: list[Gap] = []
        self.proxies: dict[tuple[object, ...], NewProxy] = {}
        self.remotes: dict[str, NewRemote] = {}
        self.places: dict[tuple[object, ...], str] = {}
        self.lines: dict[str, str] = {}

    def gap(self, where: str, what: str, cure: str) -> str:
        self.gaps.append(Gap(where, what, cure))
        return f"{what}; {cure}"

    # -- settings

    def setting(self, name: str, kind: type | tuple[type, ...], what: str) -> object:
        """A setting's value if it is of that kind; None, with a gap noted unless it is simply not there."""
        found = self.settings.names.get(name)
        if found is None or found.value is None:
            return None
        where = f"{self.settings.file}:{found.line}"
        if name in self.settings.changed:
            changed = f"{self.settings.file}:{self.settings.changed[name]}"
            self.gap(changed, f"{name} is changed by code here", "see whether the written inventory still holds")
        if isinstance(found.value, Unknown):
            self.gap(where, f"{name} = {found.value.text} is no literal", _cure(what, found.value))
            return None
        if not isinstance(found.value, kind) or (isinstance(found.value, bool) and kind is not bool):
            self.gap(where, f"{name} is no {_kind(kind)}", f"write {what} yourself")
            return None
        return found.value

    def text_setting(self, name: str, what: str) -> str | None:
        value = self.setting(name, str, what)
        return str(value) if value else None

    def path_setting(self, name: str, what: str) -> str | None:
        path = self.text_setting(name, what)
        return path if path is None or path.startswith("~") else posixpath.join(self.base, path)

    def every(self) -> timedelta:
        given = [name for name in FREQUENCY_NAMES if name in self.settings.names]
        usual = timedelta(minutes=10)
        if not given:
            return usual
        name = given[0]
        where = f"{self.settings.file}:{self.settings.names[name].line}"
        for other in given[1:]:
            line = self.settings.names[other].line
            self.gap(f"{self.settings.file}:{line}", f"{other} is left out", f"{name} was taken")
        value = self.setting(name, (int, float), "remotestatus_every")
        if not isinstance(value, int | float):
            return usual
        if value <= 0 or not math.isfinite(value) or value > _DAY * 7 * 60 or (value * 60) < 1:
            self.gap(where, f"{name} is {value:g}, which is no usable frequency", "10m was written: remotestatus_every")
            return usual
        if value > _DAY:
            written = timedelta(seconds=round(value))
            days = f"{value / _DAY:.3g} days"
            self.gap(
                where,
                f"{name} is {value:g}, which in minutes, as the old app took it, would be {days}",
                f"it was taken for seconds, and remotestatus_every: {write_duration(written)} was written; "
                "correct it if something else was meant, for example 10m",
            )
            return written
        written = timedelta(seconds=round(value * 60))
        if value > 120 and value % 60 == 0:
            self.gap(
                where,
                f"{name} is {value:g} minutes, {write_duration(written)}, which was written",
                f"if seconds were meant, write remotestatus_every: {write_duration(timedelta(seconds=value))}",
            )
        return written

    def mail(self) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...], tuple[str, ...]]:
        """Destinations, secrets and gaps for the people of RS_USERS_TO_NOTIFY."""
        name = "RS_USERS_TO_NOTIFY"
        found = self.setting(name, (list, str), "remotestatus_apprise")
        if found is None:
            return (), (), ()
        where = f"{self.settings.file}:{self.settings.names[name].line}"
        people = []
        for entry in found if isinstance(found, list) else [Found(found, 0)]:
            # Django's ADMINS are pairs of name and address.
            pair = entry.value
            address = pair[-1].value if isinstance(pair, list) and pair else pair
            if isinstance(address, str) and re.fullmatch(r"[^\s@,;<>]+@[^\s@,;<>]+", address.strip()):
                people.append(address.strip())
            else:
                self.gap(where, f"an entry of {name} is no mail address", "add that person to remotestatus_apprise")
        if not people:
            return (), (), ()
        listed = ", ".join(people)
        server = {
            mail: self.settings.names[mail].value
            for mail in MAIL_NAMES
            if mail in self.settings.names and isinstance(self.settings.names[mail].value, str | int)
        }
        if not isinstance(server.get("EMAIL_HOST"), str) or any(
            isinstance(self.settings.names[mail].value, Unknown) for mail in MAIL_NAMES if mail in self.settings.names
        ):
            example = _mail_url({"EMAIL_HOST": "mail.example.com"}, people)
            gap = self.gap(
                where,
                f"{listed} were told by mail, and the settings name no mail server in literals",
                f"name one in remotestatus_apprise, for example {example}",
            )
            return (), (), (gap,)
        url = _mail_url(server, people)
        if server.get("EMAIL_HOST_PASSWORD"):
            return ("{{ vault_mail }}",), (("vault_mail", url),), ()
        return (url,), (), ()

    # -- remotes.py

    def add_file(self, module: Module) -> None:
        found = module.names.get("REMOTES")
        if found is None:
            self.gap(module.file, "there is no REMOTES in it", "nothing was taken from this file")
            return
        if "REMOTES" in module.changed:
            where = f"{module.file}:{module.changed['REMOTES']}"
            self.gap(where, "REMOTES is changed by code here", "compare the written inventory with what it makes")
        for entry in found.value if isinstance(found.value, list) else [found]:
            where = f"{module.file}:{entry.line}"
            if isinstance(entry.value, dict):
                self.add_remote(module.file, where, entry.value)
            else:
                text = entry.value.text if isinstance(entry.value, Unknown) else "an entry that is no dictionary"
                self.gap(where, f"{text} can't be read without running it", "add these remotes to the inventory")

    def add_remote(self, file: str, where: str, entry: Mapping[str, Found]) -> None:
        gaps: list[str] = []
        for key, found in entry.items():
            if not any(key in spellings for spellings in _SPELLINGS.values()):
                shown = "code" if key.startswith("**") else "no key that the old app knew"
                gaps.append(self.gap(f"{file}:{found.line}", f"{key!r} is {shown}", "it is not carried over"))

        def take(field_name: str, kind: type, what: str) -> object:
            given = [key for key in _SPELLINGS[field_name] if key in entry]
            if not given or entry[given[0]].value is None:
                return None
            found = entry[given[0]]
            place = f"{file}:{found.line}"
            same = f"{given[0]!r} says the same and was taken"
            gaps.extend(self.gap(place, f"{other!r} is left out", same) for other in given[1:])
            value = found.value
            if isinstance(value, Unknown):
                secret = field_name in _SECRET_FIELDS and value.environment is None
                shown = "an expression" if secret else value.text
                gaps.append(self.gap(place, f"{given[0]!r} is {shown}, no literal", _cure(what, value)))
                return None
            if kind is int:
                port = _as_port(value)
                if port is None:
                    gaps.append(self.gap(place, f"{given[0]!r} is no port", f"write {what}: 1 to 65535"))
                return port
            if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
                value = str(value)
            if not isinstance(value, kind):
                gaps.append(self.gap(place, f"{given[0]!r} is no {_kind(kind)}", f"write {what} yourself"))
                return None
            return value

        def take_text(field_name: str, what: str) -> str | None:
            value = take(field_name, str, what)
            return (str(value) if field_name in _SECRET_FIELDS else str(value).strip()[:4000]) if value else None

        def take_port(field_name: str, what: str) -> int | None:
            value = take(field_name, int, what)
            return value if isinstance(value, int) else None

        nickname = take_text("nickname", "remotestatus_nickname")
        user = take_text("user", "ansible_user")
        port = take_port("port", "ansible_port")
        forwarded = take_port("forwarded_port", "remotestatus_forwarded_port")
        address = take_text("address", "ansible_host")
        proxy_address = take_text("proxy_address", "the proxy's ansible_host")
        proxy_user = take_text("proxy_user", "the proxy's ansible_user")
        proxy_port = take_port("proxy_port", "the proxy's ansible_port")
        proxy_key = take_text("proxy_key_file", "the proxy's ansible_ssh_private_key_file")
        tunnel = take("tunnel", bool, "ansible_ssh_common_args")
        tunnelled = self.tunnelled if tunnel is None else bool(tunnel)
        own = proxy_address is not None or proxy_user is not None or proxy_port is not None or proxy_key is not None
        via: tuple[str, ...] = ()
        if tunnelled:
            name = self.add_proxy(proxy_address, proxy_user, proxy_port, proxy_key)
            if name is None:
                gaps.append(self.gap(where, "nothing says which proxy it is reached through", "add one: ProxyJump"))
            else:
                via = (name,)
        elif own:
            gaps.append(self.gap(where, "it has a proxy, and SSH_TUNNELING is False", "it is written as a direct host"))
        if address is None and tunnelled:
            address = "127.0.0.1"
        elif address is None:
            gaps.append(self.gap(where, "SSH_TUNNELING is False, and no address is given", "write its ansible_host"))
        if port is None and tunnelled and not any(key in entry for key in _SPELLINGS["port"]):
            gaps.append(self.gap(where, "it has no remote port", "write ansible_port, its tunnel's port on the proxy"))
        name = name_host(
            nickname or user or "remote", [*self.proxy_names(), *self.remotes], str(port or forwarded or "")
        )
        self.lines[name] = where
        if nickname is None and not any(key in entry for key in _SPELLINGS["nickname"]):
            self.gap(where, "it has no nickname", f"it is called {name} now; say otherwise in remotestatus_nickname")
        place = (via, address, port)
        if port is not None and place in self.places:
            self.gap(where, f"{name} has the address and port of {self.places[place]}", "one of the two is wrong")
        self.places.setdefault(place, name)
        password = take_text("password", "ansible_password")
        key_file = take_text("key_file", "ansible_ssh_private_key_file")
        self.remotes[name] = NewRemote(
            name=name,
            address=address,
            port=port,
            user=user,
            password=password,
            wants_password=any(key in entry for key in _SPELLINGS["password"]),
            key_file=self.absolute(key_file),
            via=via,
            nickname=nickname or "",
            description=take_text("description", "remotestatus_description") or "",
            location=take_text("location", "remotestatus_location") or "",
            forwarded_port=forwarded,
            processes=self.processes(file, entry, gaps),
            gaps=tuple(gaps),
        )

    @property
    def tunnelled(self) -> bool:
        found = self.settings.names.get("SSH_TUNNELING")
        return not (found is not None and found.value in (False, 0) and not isinstance(found.value, Unknown))

    def absolute(self, path: str | None) -> str | None:
        return path if path is None or path.startswith("~") else posixpath.join(self.base, path)

    def processes(self, file: str, entry: Mapping[str, Found], gaps: list[str]) -> tuple[str, ...]:
        found = entry.get("processes")
        if found is None or found.value is None:
            return ()
        place = f"{file}:{found.line}"
        if isinstance(found.value, Unknown):
            what = f"'processes' is {found.value.text}, no literal"
            gaps.append(self.gap(place, what, "write remotestatus_processes yourself"))
            return ()
        kept: dict[str, None] = {}
        for item in found.value if isinstance(found.value, list) else [found]:
            text = item.value
            where = f"{file}:{item.line}"
            if not isinstance(text, str) or not text.strip() or len(text) > 4000:
                shown = text.text if isinstance(text, Unknown) else "an entry of 'processes'"
                gaps.append(self.gap(where, f"{shown} is no text", "write that process yourself"))
                continue
            if text.strip() in kept:
                self.gap(where, f"the process {text.strip()!r} is there twice", "it was written once")
            if re.search(r"[\[\]*|^$\\;&<>`]|\.\*", text):
                cure = "if it was meant as a pattern, write {regex: '...'}; `remotestatus match` shows what it finds"
                self.gap(where, f"the process {text.strip()!r} was a grep pattern, and means these words now", cure)
            kept[text.strip()] = None
        return tuple(kept)

    def proxy_names(self) -> tuple[str, ...]:
        return tuple(proxy.name for proxy in self.proxies.values())

    def add_proxy(self, address: str | None, user: str | None, port: int | None, key: str | None) -> str | None:
        """The name of the proxy with these data; what a remote leaves out is as in the settings."""
        usual = self.usual_proxy
        address = address or usual.address
        if not address:
            return None
        # Only the settings' own proxy, or one without data of its own, is known to want the settings' port.
        same = address == usual.address
        values = (
            address,
            port or (usual.port if same else None),
            user or usual.user,
            self.absolute(key) or usual.key_file,
        )
        if values not in self.proxies:
            name = name_host(address, [*self.proxy_names(), *self.remotes], values[2] or str(values[1] or ""))
            self.proxies[values] = NewProxy(
                name, address, values[1], values[2], values[3], (), usual.gaps if same else ()
            )
        return self.proxies[values].name

    @cached_property
    def usual_proxy(self) -> NewProxy:
        """The proxy of the settings; its address is empty when they name none."""
        before = len(self.gaps)
        address = self.text_setting("RS_PROXY_HOSTNAME", "the proxy's ansible_host") or ""
        user = self.text_setting("RS_PROXY_USERNAME", "the proxy's ansible_user")
        found = self.settings.names.get("RS_PROXY_PORT")
        port = _as_port(found.value) if found else None
        if found is not None and found.value is not None and port is None:
            text = found.value.text if isinstance(found.value, Unknown) else "no port"
            self.gap(f"{self.settings.file}:{found.line}", f"RS_PROXY_PORT is {text}", "write the proxy's ansible_port")
        key = self.path_setting("RS_KEY_FILE", "the proxy's ansible_ssh_private_key_file")
        return NewProxy("", address, port, user, key, (), tuple(f"{g.what}; {g.cure}" for g in self.gaps[before:]))

    def finish(self) -> OldFleet:
        found = self.settings.names.get("SSH_TUNNELING")
        if found is not None and not isinstance(found.value, bool):
            where = f"{self.settings.file}:{found.line}"
            self.gap(where, "SSH_TUNNELING is neither True nor False", "remotes were written with their proxies")
        for line, text in self.settings.imports_all:
            where = f"{self.settings.file}:{line}"
            self.gap(where, f"`{text}` may bring or change settings", "run the import on that file's values as well")
        for name, value in self.settings.names.items():
            if name.startswith("RS_") and name not in SETTING_NAMES:
                where = f"{self.settings.file}:{value.line}"
                self.gap(where, f"{name} is no setting that the old app knew", "it is not carried over")
        apprise, secrets, gaps = self.mail()
        answers = Answers(
            proxies=tuple(self.proxies.values()),
            remotes=tuple(self.remotes.values()),
            every=self.every(),
            apprise=apprise,
            secrets=secrets,
            gaps=gaps,
        )
        known_hosts = self.path_setting("RS_KNOWN_HOSTS_FILE", "remotestatus_known_hosts")
        return OldFleet(
            answers, tuple(sorted(set(self.gaps), key=_in_order)), self.lookups(), known_hosts, bool(secrets)
        )

    def lookups(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for proxy in self.proxies.values():
            found[proxy.name] = _known_as(proxy.address, proxy.port)
        virtual = {remote.forwarded_port for remote in self.remotes.values()} - {None}
        for remote in self.remotes.values():
            names: list[str] = []
            if remote.via:
                ports = [remote.forwarded_port]
                # A remote port that is somebody else's virtual port would give that remote's key.
                ports += [remote.port] if remote.port not in virtual else []
                # [localhost]:22 is the checker itself.
                for port in dict.fromkeys(port for port in ports if port not in (None, 22)):
                    names += [f"[localhost]:{port}", f"[127.0.0.1]:{port}"]
            elif remote.address:
                names += _known_as(remote.address, remote.port)
            found[remote.name] = tuple(names)
        return found


def _in_order(gap: Gap) -> tuple[str, int, str]:
    file, _, line = gap.where.rpartition(":")
    return (file, int(line), gap.what) if line.isdecimal() else (gap.where, 0, gap.what)


def _known_as(address: str, port: int | None) -> tuple[str, ...]:
    """How OpenSSH writes an address in known_hosts: with brackets and port, unless that is 22 (sshd(8))."""
    return (address,) if port in (None, 22) else (f"[{address}]:{port}",)


def _as_port(value: object) -> int | None:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal():
        value = int(value.strip()[:6])
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535 else None


def _cure(what: str, value: Unknown) -> str:
    if value.environment:
        return f"write {what} yourself, or as \"{{{{ lookup('env', '{value.environment}') }}}}\""
    return f"write {what} yourself"


def _kind(kind: type | tuple[type, ...]) -> str:
    names = {str: "text", int: "number", float: "number", list: "list", bool: "True or False", dict: "dictionary"}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(dict.fromkeys(names[one] for one in kinds))


def _mail_url(server: Mapping[str, object], people: Iterable[str]) -> str:
    """An Apprise URL for Django's mail settings; see https://appriseit.com/services/email/."""
    user, password = server.get("EMAIL_HOST_USER"), server.get("EMAIL_HOST_PASSWORD")
    secure = bool(server.get("EMAIL_USE_TLS") or server.get("EMAIL_USE_SSL"))
    login = f"{quote(str(user), safe='')}:{quote(str(password), safe='')}@" if user and password else ""
    port = _as_port(server.get("EMAIL_PORT")) or 25
    sender = server.get("DEFAULT_FROM_EMAIL") or "webmaster@localhost"
    address = re.sub(r"^.*<([^<>]+)>$", r"\1", str(sender))
    mode = "ssl" if server.get("EMAIL_USE_SSL") else "starttls" if secure else "insecure"
    to = ",".join(quote(person, safe="@") for person in people)
    return (
        f"{'mailtos' if secure else 'mailto'}://{login}{quote(str(server['EMAIL_HOST']), safe='')}:{port}"
        f"?from={quote(address, safe='@')}&to={to}&mode={mode}"
    )


# -- known_hosts


def rename_known_hosts(text: str, lookups: Mapping[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    """
    The old known_hosts lines under the new inventory names, and the new names that no line was found for.

    Hashed names (HashKnownHosts) are recognised too: `|1|salt|HMAC-SHA1`, see sshd(8). Patterns with * or ? and
    certificate authorities are left alone, because they speak of more than one host.
    """
    entries = []
    for line in text.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) >= 3 and not words[0].startswith("#") and marker in ("", "@revoked"):
            entries.append((marker, words[0].split(","), words[1], words[2]))
    lines: list[str] = []
    missing: list[str] = []
    for name, wanted in lookups.items():
        for lookup in wanted:
            found = [
                " ".join(filter(None, (marker, name, kind, key)))
                for marker, hosts, kind, key in entries
                if any(_is_host(host, lookup) for host in hosts)
            ]
            if found:
                lines += dict.fromkeys(found)
                break
        else:
            missing.append(name)
    return "".join(f"{line}\n" for line in lines), tuple(missing)


def _is_host(written: str, name: str) -> bool:
    if not written.startswith("|1|"):
        return written.lower() == name.lower()
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in written.split("|")[2:4])
    except ValueError:
        return False
    return hmac.compare_digest(hmac.new(salt, name.lower().encode(), "sha1").digest(), digest)
