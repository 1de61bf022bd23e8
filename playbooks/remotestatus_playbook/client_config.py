"""
Reads the path to a host from ssh's configuration files.

It runs `ssh -G`, but only for hosts to which a proxy line in these files may apply, because a process is expensive.
"""

import os
import pwd
import re
import shlex
import socket
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from remotestatus_playbook.protocol import OPENING
from remotestatus_playbook.split_ssh_arguments import log_in_words

_SECONDS = 15
_AT_ONCE = 8
_DEEPEST = 16
_EVERY_HOST = "*"

_OUR_OWN = frozenset(
    {
        *("proxyjump", "proxycommand", "controlmaster", "controlpath", "controlpersist", "batchmode", "requesttty"),
        *("stricthostkeychecking", "loglevel", "host", "sessiontype", "forkafterauthentication", "stdinnull"),
        *("localforward", "remoteforward", "dynamicforward", "clearallforwardings", "tunnel"),
    }
)
"""Options that a round sets for every proxy."""


@dataclass(frozen=True, slots=True)
class Question:
    """The arguments of `ssh -G`, which determine its result."""

    target: str
    user: str | None = None
    port: int | None = None
    config: str | None = None
    options: tuple[str, ...] = ()
    program: str = "ssh"


@dataclass(frozen=True, slots=True)
class Found:
    """The result of `ssh -G`; `settings` are its lines, in order."""

    settings: tuple[tuple[str, str], ...]

    def value_of(self, option: str) -> str | None:
        """The value of an option, in lower case; None when it is not set."""
        value = next((value for key, value in self.settings if key == option), None)
        return None if value is None or value.lower() in ("", "none") else value

    @property
    def port(self) -> int:
        """The port that it connects to."""
        return int(self.value_of("port") or 22)


@dataclass
class ClientConfig:
    """ssh's configuration files, with a cache of the results."""

    _patterns: dict[str | None, frozenset[str]] = field(default_factory=dict)
    _answers: dict[Question, Found | None] = field(default_factory=dict)

    def may_say_proxy(self, question: Question) -> bool:
        """Whether a proxy line in these files may apply to this host."""
        if question.config not in self._patterns:
            found = (one for path in files_of(question.config) for one in _patterns_in(path, [_EVERY_HOST], 0))
            self._patterns[question.config] = frozenset(found)
        name = question.target.lower()
        return any(fnmatchcase(name, pattern) for pattern in self._patterns[question.config])

    def look_up_all(self, questions: Iterable[Question]) -> None:
        """Run `ssh -G`, in parallel, for the hosts to which a proxy line may apply."""
        new = {one: None for one in questions if one not in self._answers and self.may_say_proxy(one)}
        if new:
            with ThreadPoolExecutor(max_workers=min(len(new), _AT_ONCE)) as pool:
                self._answers |= dict(zip(new, pool.map(_ask, new), strict=True))

    def look_up(self, question: Question) -> Found | None:
        """The result for this host, if a proxy line may apply and ssh accepts its configuration."""
        self.look_up_all([question])
        return self._answers.get(question)

    def settings_of(self, question: Question) -> Found | None:
        """The result for this host in any case."""
        if question not in self._answers:
            self._answers[question] = _ask(question)
        return self._answers[question]

    def lines_for(self, question: Question) -> list[str]:
        """The non-default settings of this host in ssh's files, as lines for a block under another name."""
        found = self.settings_of(question)
        usual = self.settings_of(Question(question.target, config="none", program=question.program))
        if found is None or usual is None:
            return []
        wanted = (one for one in found.settings if one[0] == "hostname" or one not in usual.settings)
        return [f"{key} {value}" for key, value in wanted if key not in _OUR_OWN]

    def knows(self, question: Question) -> bool:
        """Whether this name is known to the files or, if available, to the name service."""
        found = self.settings_of(question)
        if found is not None and found.value_of("hostname") not in (None, question.target.lower(), question.target):
            return True
        try:
            socket.getaddrinfo(question.target, None)
        except socket.gaierror as error:
            return error.errno not in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        except (OSError, UnicodeError):
            return True
        return True


def files_of(config: str | None) -> list[Path]:
    """The configuration files that ssh reads: the one it is given (-F), or the user's and the system's."""
    if config is not None:
        return [Path(config).expanduser()]
    # As in ssh, which ignores HOME, except for `~` in an Include.
    return [Path(pwd.getpwuid(os.getuid()).pw_dir) / ".ssh/config", Path("/etc/ssh/ssh_config")]


def _patterns_in(path: Path, hosts: list[str], depth: int) -> Iterator[str]:
    """The patterns of the hosts for which a line of this file may name a proxy."""
    try:
        text = path.read_text("utf-8", "replace") if depth < _DEEPEST else ""
    except OSError:
        return
    for key, value in map(_keyword, text.splitlines()):
        if key == "host":
            hosts = [pattern for pattern in _words(value.lower()) if not pattern.startswith("!")]
        elif key == "match":
            hosts = [_EVERY_HOST]
        elif key in ("proxyjump", "proxycommand"):
            yield from hosts
        elif key == "canonicalizehostname" and value.lower() != "no":
            yield _EVERY_HOST  # then blocks of other names apply too
        elif key == "include":
            for word in _words(value):
                yield from _read_included(word, path, hosts, depth)


def _read_included(word: str, path: Path, hosts: list[str], depth: int) -> Iterator[str]:
    if re.search(r"[%$]", word):
        yield from hosts  # only ssh can expand these
        return
    system = Path("/etc/ssh")
    folder = system if path.is_relative_to(system) else files_of(None)[0].parent
    included = Path(word).expanduser() if word.startswith("~") else folder / word
    for one in sorted(Path(included.anchor).glob(str(included.relative_to(included.anchor)))):
        yield from _patterns_in(one, hosts, depth + 1)


def _keyword(line: str) -> tuple[str, str]:
    found = re.match(r"\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*)", line)
    return (found[1].lower(), found[2].strip()) if found else ("", "")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def _ask(question: Question) -> Found | None:
    """The output of `ssh -G`; None for an invalid configuration, which the connection will report."""
    command = [
        *(question.program, "-T", "-G"),
        *(["-F", question.config] if question.config else []),
        *question.options,
        *log_in_words(question.port, question.user),
        *("--", question.target),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8", OPENING: "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return Found(tuple((key, value) for key, _, value in lines)) if done.returncode == 0 else None
