"""
Evaluates single variables of one host, as a play would.

Values are plain. A failure is a problem of this host only, with the variable's name. A lookup may be slow, so a
password with a lookup is evaluated only when it is needed.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_LOOKUP = re.compile(r"\b(?:lookup|query|q)\s*\(")
_NAME = re.compile(r"[A-Za-z_]\w*")
_FAILED_PLUGIN = re.compile(
    r"(lookup)(?: plugin)? '([^']{1,80})'|(lookup) plugin \(([^)]{1,80})\)|(filter) plugin '([^']{1,80})' failed",
    re.IGNORECASE,
)
_LOGIN_IN_URL = re.compile(r"://[^/@\s]*@")


@dataclass
class HostVariables:
    """
    The variables of one host; `problems` are (variable, sentence) pairs.

    `raw` evaluates a variable on access; `written` returns all variables unevaluated. `chosen` is what an ansible.cfg,
    the environment or the command line say for all hosts, by option.
    """

    raw: Mapping[str, Any]
    chosen: Mapping[str, Any]
    written: Callable[[], Mapping[str, Any]]
    problems: list[tuple[str, str]] = field(default_factory=list)

    def evaluate(self, variable: str) -> Any:
        """The value in plain types, or None when it cannot be evaluated or is omitted."""
        try:
            return plain(self.raw[variable])
        except Exception as error:
            if type(error).__name__ != "AnsibleValueOmittedError":
                self.problems.append((variable, say_error(error)))
            return None

    def last_of(self, names: Iterable[str], option: str = "") -> Any:
        """The last of these names that is set, else what was chosen for all hosts by this option."""
        found = self.chosen.get(option)
        for variable in names:
            if variable in self.raw:
                value = self.evaluate(variable)
                found = found if value is None else value
        return found

    def text_of(self, names: Iterable[str], option: str = "") -> str | None:
        value = self.last_of(names, option)
        return None if value is None else str(value)

    def name_of(self, names: Sequence[str]) -> str:
        """The last of these names that is set, or simply the last."""
        return next((name for name in reversed(names) if name in self.raw), names[-1])

    def has_secret(self, names: Iterable[str], *, prove: bool) -> bool:
        """
        Whether one of these names holds a password.

        With `prove` it is evaluated, to notice a wrong Vault password. One with a lookup is not evaluated, and counts
        as set.
        """
        present = [name for name in names if name in self.raw]
        if not present:
            return False
        written = self.written()
        slow = any(needs_lookup(written, name) for name in present)
        if slow or not prove:
            return slow or any(written.get(name) not in (None, "") for name in present)
        return self.last_of(present) not in (None, "")


def needs_lookup(written: Mapping[str, Any], variable: str) -> bool:
    """Whether this variable uses a lookup, directly or through other variables."""
    waiting, met = [variable], {variable}
    while waiting:
        for text in _texts_in(written.get(waiting.pop())):
            if "{{" not in text and "{%" not in text:
                continue
            if _LOOKUP.search(text):
                return True
            named = {name for name in _NAME.findall(text) if name in written} - met
            met |= named
            waiting += named
    return False


def _texts_in(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield str.__str__(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_in(inner)


def plain(value: Any) -> Any:
    """Copy a value into plain types that JSON can hold: Ansible's own carry tags."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return str(value)


def say_unreadable(error: BaseException) -> str:
    """Ansible's error about unreadable variables, with file, line and column if known."""
    one: BaseException | None = error
    while one is not None:
        place = getattr(one, "obj", None)
        if type(place).__name__ == "Origin":
            return f"{place}: {say_error(error)}"
        one = one.__cause__ or one.__context__
    return say_error(error)


def say_error(error: BaseException | str) -> str:
    """
    What Ansible says of a value that it could not evaluate, in one line.

    The error text of a lookup or filter may quote a secret, so only its name is given.
    """
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if found := _FAILED_PLUGIN.search(str(error)):
        kind, name = (one for one in found.groups() if one)
        return f"the {kind.lower()} '{name}' failed; `ansible HOST -m debug -a var=NAME` shows its own words"
    return _LOGIN_IN_URL.sub("://...@", text.removeprefix("Task failed: "))[:300]
