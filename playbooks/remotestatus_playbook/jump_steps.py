"""
Parses the jump hosts of a ProxyJump or ProxyCommand.

It returns a JumpStep for each jump host, checker's side first. If a ProxyCommand is an `ssh -W %h:%p`, it has a jump
host. Any other command is an unknown program.
"""

import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

from remotestatus_playbook.split_ssh_arguments import Options, PathError, flags_of, split_words

_JUMP = re.compile(r"^(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^\]]+\]|[^:@\s]+)(?::(?P<port>\d+))?/?$")

_HOST, _PORT = "\0h", "\0p"
_FAR_END = frozenset({f"{_HOST}:{_PORT}", f"[{_HOST}]:{_PORT}"})
"""The argument of -W after %h and %p were replaced by unlikely texts."""

_REDIRECTION = re.compile(r"\s+2>\s*(/dev/null|&1)\s*$")
_SHELL = re.compile(r"[;&|<>`()*?#\n]|\$")
"""Shell syntax. A command with it is not parsed."""

_STARTERS = frozenset({"exec", "env", "sudo", "nohup"})


_NAMES = {"-W": "-w", "-l": "user", "-p": "port"}


@dataclass(frozen=True, slots=True)
class JumpStep:
    """
    A jump host, as it is written.

    `written` is how a ProxyJump would name it; `options` are those of its own `ssh`, where it has one. `config` is the
    configuration file that this ssh reads in the place of the user's, and `program` the ssh itself.
    """

    target: str
    user: str | None = None
    port: int | None = None
    written: str = ""
    options: Options = field(default_factory=Options)
    config: str | None = None
    program: str = "ssh"


def read_proxy_jump(text: str, config: str | None = None, program: str = "ssh") -> tuple[JumpStep, ...]:
    """
    The jump hosts of a ProxyJump (`host`, `user@host:port`, several with commas between).

    They read the same `config`, and are reached by the same `program`, as what they lead to. Raises PathError.
    """
    return tuple(_read_jump(part.strip(), config, program) for part in text.split(","))


def _read_jump(spec: str, config: str | None, program: str) -> JumpStep:
    found = _JUMP.match(spec)
    if found is None:
        raise PathError(f"ProxyJump {spec!r} is not of the form name or user@host:port")
    port = int(found["port"]) if found["port"] else None
    return JumpStep(found["host"].strip("[]"), found["user"], port, spec, config=config, program=program)


def read_proxy_command(text: str, user: str | None = None, base: Path | None = None) -> JumpStep | None:
    """
    The jump host that a ProxyCommand leads through, or None when it is no such ssh.

    `user` is the one that logs in at the far end (%r). Relative paths in it start at `base`.
    """
    words = _words_of(text, user)
    if not words or Path(words[0]).name != "ssh":
        return None
    options, others = split_words(words[1:], base)
    rest: list[str] = []
    taken = {"-w": "", "user": "", "port": ""}
    for flag, value in flags_of(options.rest):
        name, _, said = str(value).partition("=") if flag == "-o" else (_NAMES.get(flag, ""), "", str(value))
        if name.lower() in taken:
            # The first value counts, and options come before the host.
            taken[name.lower()] = taken[name.lower()] or said
        else:
            rest += [flag] if value is None else [flag, value]
    user, port = taken["user"], taken["port"]
    if len(others) != 1 or taken["-w"] not in _FAR_END or any("\0" in word for word in (*rest, user, port, *others)):
        return None
    try:
        named = _read_jump(others[0], options.config, words[0])
    except PathError:
        return None
    if port and not port.isdigit():
        return None
    step = replace(named, user=user or named.user, port=int(port) if port else named.port)
    return replace(step, written=_written(step), options=replace(options, rest=tuple(rest)))


def _words_of(text: str, user: str | None) -> list[str]:
    """The words of a ProxyCommand, as the shell would split it; none if it needs a shell."""
    text = _REDIRECTION.sub("", re.sub(r"^\s*exec\s+", "", text))
    text = re.sub(r"\$(HOME\b|\{HOME\})", lambda _: str(Path.home()), text)
    tokens = {"%h": _HOST, "%p": _PORT, "%%": "%", **({"%r": user} if user else {})}
    text = re.sub("%.", lambda found: tokens.get(found[0], "\0"), text)
    if _SHELL.search(text):
        return []
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _written(step: JumpStep) -> str:
    host = f"[{step.target}]" if ":" in step.target else step.target
    return f"{f'{step.user}@' if step.user else ''}{host}{f':{step.port}' if step.port else ''}"


def program_of(command: str) -> str:
    """The name of the program that a ProxyCommand starts: its arguments may hold secrets."""
    words = [word for word in command.split() if not re.match(r"\w+=", word) and word not in _STARTERS]
    return Path(words[0].strip("'\"")).name[:40] if words else ""
