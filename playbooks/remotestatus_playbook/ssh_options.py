"""
Takes SSH arguments apart, as they stand in ansible_ssh_common_args and its kin.

Text comes in; the jump, the configuration file and the rest go out, which can be arguments of ssh(1) or lines of
ssh_config(5).
"""

import re
import shlex
from dataclasses import dataclass

_FLAGS_WITH_VALUE = frozenset("BbcDEeFIiJLlmOopPQRSWw")
_LINES_WITH_VALUE = {
    "-b": "BindAddress",
    "-B": "BindInterface",
    "-c": "Ciphers",
    "-i": "IdentityFile",
    "-l": "User",
    "-m": "MACs",
    "-p": "Port",
}
_LINES = {
    "-4": "AddressFamily inet",
    "-6": "AddressFamily inet6",
    "-A": "ForwardAgent yes",
    "-a": "ForwardAgent no",
    "-C": "Compression yes",
    "-X": "ForwardX11 yes",
    "-x": "ForwardX11 no",
}
"""Flags of ssh(1) and what they are called in ssh_config(5)."""

_SHARING = frozenset({"controlmaster", "controlpath", "controlpersist"})
"""Options of shared connections, as many an ansible.cfg has them: which connections are shared is our own business."""


class PathError(ValueError):
    """A host's SSH variables cannot be understood; the text says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """SSH arguments, taken apart: the jump, the configuration file, and the rest as they were."""

    jump: str | None
    config: str | None
    rest: tuple[str, ...]

    def as_lines(self) -> list[str]:
        """The rest as lines of an SSH configuration; flags that have no line are left out."""
        lines = []
        words = iter(self.rest)
        for word in words:
            if word == "-o":
                key, _, value = next(words, "").partition("=")
                lines.append(f"{key.strip()} {value.strip()}")
            elif word in _LINES_WITH_VALUE:
                lines.append(f"{_LINES_WITH_VALUE[word]} {quote(next(words, ''))}")
            elif word in _LINES:
                lines.append(_LINES[word])
        return lines


def split_options(*texts: str | None) -> Options:
    """Take SSH arguments (as in ansible_ssh_common_args) apart. Raises PathError for unbalanced quotes."""
    jump = config = None
    rest: list[str] = []
    try:
        words = iter([word for text in texts if text for word in shlex.split(text)])
    except ValueError as error:
        raise PathError(f"SSH arguments cannot be split into words: {error}") from error
    for word in words:
        letter = word[1:2] if word.startswith("-") and not word.startswith("--") else ""
        if not letter or letter not in _FLAGS_WITH_VALUE:
            rest.append(word)
            continue
        value = word[2:] or next(words, "")
        if letter == "o":
            key, value = _key_and_value(value)
            if key.lower() == "proxyjump":
                jump = jump or value.strip('"')
                continue
            if key.lower() in _SHARING:
                continue
            value = f"{key}={value}"
        elif letter == "J":
            jump = jump or value
            continue
        elif letter == "F":
            config = config or value
            continue
        rest += [f"-{letter}", value]
    return Options(None if jump is None or jump.lower() == "none" else jump, config, tuple(rest))


def _key_and_value(option: str) -> tuple[str, str]:
    key, separator, value = option.partition("=")
    if not separator or " " in key.strip():
        key, _, value = option.strip().partition(" ")
    return key.strip(), value.strip().removeprefix("=").strip()


def quote(value: object) -> str:
    """Quote a value for an SSH configuration line: spaces allowed, no variable parts."""
    text = str(value).replace("%", "%%")
    return f'"{text}"' if re.search(r"[\s#]", text) else text
