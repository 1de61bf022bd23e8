"""
Parses SSH arguments as in ansible_ssh_common_args.

It returns the jump, the configuration file and the rest, as arguments of ssh(1) or lines of ssh_config(5).
"""

import difflib
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

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
"""Options of shared connections, often in an ansible.cfg; they are ignored, because we set them."""

_NO_KNOWN_HOSTS = frozenset({"userknownhostsfile=/dev/null", "userknownhostsfile=none"})

_WAYS = frozenset({"proxyjump", "proxycommand"})
_FILES = frozenset({"identityfile", "certificatefile"})
"""Options whose value is the path of a file that ssh looks for where it was started."""


class PathError(ValueError):
    """A host's SSH variables cannot be understood; the text says why."""


@dataclass(frozen=True)  # with slots it is pickled ten times as slowly
class Options:
    """
    Parsed SSH arguments: the path, the configuration file, and the rest unchanged.

    The path is a `jump` (ProxyJump) or a `command` (ProxyCommand), whichever comes first, as in ssh.
    `ProxyCommand=none` stays in the rest.
    """

    jump: str | None = None
    config: str | None = None
    rest: tuple[str, ...] = ()
    command: str | None = None

    def as_lines(self) -> list[str]:
        """The rest as lines of an SSH configuration; flags that have no line are left out."""
        lines = []
        for flag, value in flags_of(self.rest):
            if flag == "-o":
                key, _, setting = (value or "").partition("=")
                lines.append(f"{key.strip()} {setting.strip()}")
            elif flag in _LINES_WITH_VALUE:
                lines.append(f"{_LINES_WITH_VALUE[flag]} {quote(value)}")
            elif flag in _LINES:
                lines.append(_LINES[flag])
        return lines

    def heard(self) -> list[str]:
        """The rest without options that change ssh's log level."""
        words: list[str] = []
        for flag, value in flags_of(self.rest):
            if flag not in ("-q", "-v") and not (flag == "-o" and str(value).lower().startswith("loglevel=")):
                words += [flag] if value is None else [flag, value]
        return words

    def value_of(self, option: str) -> str | None:
        """The value that the rest has for an option of ssh_config(5); None when it has none."""
        lines = (line.partition(" ") for line in self.as_lines())
        return next((value.strip('"') for key, _, value in lines if key.lower() == option.lower()), None)


def split_options(*texts: str | None, base: Path | None = None) -> Options:
    """
    Take SSH arguments (as in ansible_ssh_common_args) apart. Relative paths start at `base`.

    Raises PathError for unbalanced quotes, and for a word that is no option and no option's value.
    """
    try:
        words = [word for text in texts if text for word in shlex.split(text)]
    except ValueError as error:
        raise PathError(f"SSH arguments cannot be split into words: {error}") from error
    options, others = split_words(words, base)
    if others:
        raise PathError(_no_option(others[0]))
    return options


def split_words(words: Sequence[str], base: Path | None = None) -> tuple[Options, tuple[str, ...]]:
    """Parse the words of an ssh command line: its options, and the others (host and command)."""
    said: dict[str, str] | None = None
    config: str | None = None
    rest: list[str] = []
    others: list[str] = []
    for flag, value in flags_of(words):
        if not flag:
            others.append(value or "")
        elif value is None:
            rest.append(flag)
        elif flag == "-F":
            config = config or _absolute(str(Path(value).expanduser()), base)
        elif flag == "-J":
            said = _way("proxyjump", value, rest) if said is None else said
        elif flag == "-o":
            key, setting = _key_and_value(value)
            if key.lower() in _WAYS:
                said = _way(key, setting, rest) if said is None else said
            elif key.lower() not in _SHARING:
                setting = _absolute(setting, base) if key.lower() in _FILES else setting
                rest += [flag, f"{key}={setting}"]
        else:
            rest += [flag, _absolute(value, base) if flag == "-i" else value]
    way = said or {}
    return Options(way.get("proxyjump"), config, tuple(_with_known_hosts(rest)), way.get("proxycommand")), tuple(others)


def _with_known_hosts(rest: Sequence[str]) -> Sequence[str]:
    """
    Remove `UserKnownHostsFile=/dev/null`, which many ansible.cfg have: keys are checked here.

    With StrictHostKeyChecking=no the words stay as they are: it is meant.
    """
    options = [word.lower() for flag, word in pairwise(rest) if flag == "-o"]
    if any(option.startswith("stricthostkeychecking=") and not option.endswith("=yes") for option in options):
        return rest
    words: list[str] = []
    for word in rest:
        if word.lower() in _NO_KNOWN_HOSTS and words[-1:] == ["-o"]:
            words.pop()
        else:
            words.append(word)
    return words


def flags_of(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Each flag with its value, or None where it takes none; a word that is no flag comes with an empty one."""
    remaining = iter(words)
    for word in remaining:
        if not word.startswith("-") or word in ("-", "--"):
            yield "", word
            continue
        # Flags may stand together, and the last of them may take a value: -qp 2222.
        for position, letter in enumerate(word[1:], start=2):
            if letter in _FLAGS_WITH_VALUE:
                yield f"-{letter}", word[position:] or next(remaining, "")
                break
            yield f"-{letter}", None


def _way(key: str, value: str, rest: list[str]) -> dict[str, str]:
    """The path of this option; a `none` is added to the rest, for ssh."""
    key = key.lower()
    value = value.strip('"') if key == "proxyjump" else value
    if value.lower() in ("", "none"):
        rest += ["-o", f"{'ProxyJump' if key == 'proxyjump' else 'ProxyCommand'}=none"]
        return {}
    return {key: value}


def _no_option(word: str) -> str:
    """The error for a word in place of an option, with the nearest option."""
    key, separator, value = word.partition("=")
    if separator and re.fullmatch(r"[A-Za-z]+", key):
        # A value may be secret, but a jump's is a name.
        shown = value if key.lower() == "proxyjump" else "..."
        return f"{key}={shown} is no option of ssh; did you mean -o {key}={shown}?"
    if key.lower() in _WAYS:
        return f"{word} is no option of ssh; write -o {word}=..."
    return f"{one_word(word)} does not begin with - and is no option's value; ssh would take it for the host"


def one_word(word: str) -> str:
    """A word of an administrator's, short enough for a sentence."""
    return repr(word if len(word) <= 40 else f"{word[:39]}…")


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The name that was probably meant, or None."""
    return next(iter(difflib.get_close_matches(name, names, 1, 0.75)), None)


def _absolute(value: str, base: Path | None) -> str:
    """An absolute path; `~` and tokens, which ssh expands, stay."""
    if base is None or value.lower() in ("", "none") or value[0] in "/~%$" or value.startswith("pkcs11:"):
        return value
    return str(next((folder / value for folder in (base, Path.cwd()) if (folder / value).exists()), base / value))


def _key_and_value(option: str) -> tuple[str, str]:
    key, separator, value = option.partition("=")
    if not separator or " " in key.strip():
        key, _, value = option.strip().partition(" ")
    return key.strip(), value.strip().removeprefix("=").strip()


def log_in_words(port: int | None, user: str | None, key_file: str | None = None) -> list[str]:
    """The words of ssh(1) that say where to log in as whom and with which key, as far as that is known."""
    given = {"-p": port, "-l": user, "-i": key_file}
    return [word for flag, value in given.items() if value for word in (flag, str(value))]


def quote(value: object) -> str:
    """Quote a value for an SSH configuration line: spaces allowed, no variable parts."""
    text = str(value).replace("%", "%%")
    return f'"{text}"' if re.search(r"[\s#]", text) else text
