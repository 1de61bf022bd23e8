"""
Decides which of a remote's processes are those that have to run.

Each specification of the inventory gives a ProcessResult with its matches, and with near misses and why they do not
count. Words match whole arguments, or the last path component of one, never parts: `ssh` is neither `sshd` nor
`ssh-agent`.

What counts as an argument:

- A program that wrote its own title (`sshd: user [priv]`, `nginx: worker process`) has one argument that holds
  spaces. It is taken as words, without the colon, so `sshd` and `nginx: worker process` find what they say.
- One of several arguments that holds a command line (`sh -c 'python manage.py x'`) stays one argument: the program that
  it starts is a process itself, and would be counted twice.
- Words match anywhere in the argv, so `ssh` also finds `vim ssh`; `command: ssh` does not.
"""

import shlex
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from remotestatus.evaluate.pattern_search import PatternSearch
from remotestatus.model.inventory_variables import ProcessSpec
from remotestatus.model.processes import NearMiss, Process, ProcessResult

MAX_LINE = 16_384
"""Characters of a command line that `regex` and `contains` search."""
MAX_NEAR = 20
"""Near misses kept for each specification."""
TOO_SLOW = "could not be searched in time"
"""The reason for a process in which the regular expression takes too long."""


@lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a process string. Quotes allow spaces in a word, as in sh; unbalanced ones are letters."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return tuple(text.split())


def match(
    specs: Iterable[ProcessSpec], processes: Sequence[Process] | None, *, complete: bool = True
) -> tuple[ProcessResult, ...]:
    """
    Return one result for each specification, in their order.

    `processes` is None when they are unknown; `complete` is False when some may be missing from them. Then a result
    that finds enough is right all the same, and one that does not is unknown. So is one whose regular expression took
    too long: `too_slow`.
    """
    search = PatternSearch()
    return tuple(_match_one(spec, processes, complete, search) for spec in specs)


def _match_one(
    spec: ProcessSpec, processes: Sequence[Process] | None, complete: bool, search: PatternSearch
) -> ProcessResult:
    if processes is None:
        return ProcessResult(spec.title, None, None, spec.min, spec.max, complete=False, severity=spec.severity)
    matched: list[Process] = []
    near: list[NearMiss] = []
    skipped = 0
    for process in processes:
        reason = why_not(spec, process, search)
        if reason is None:
            matched.append(process)
        elif reason is TOO_SLOW:
            skipped += 1
        elif reason and len(near) < MAX_NEAR:
            near.append(NearMiss(process, reason))
    complete = complete and not skipped
    enough = len(matched) >= max(spec.min, 1)
    running = True if enough else False if complete else None
    return ProcessResult(
        name=spec.title,
        running=running,
        count=len(matched),
        min=spec.min,
        max=spec.max,
        matched=tuple(matched),
        near=tuple(near),
        complete=complete,
        severity=spec.severity,
        too_slow=skipped > 0,
    )


def why_not(spec: ProcessSpec, process: Process, search: PatternSearch | None = None) -> str | None:
    """
    Return None if the process counts, a reason if it nearly does, and the empty string if it is something else.

    TOO_SLOW means that it is not known, because the time of `search` was up.
    """
    if process.kernel or not process.argv:
        return ""
    reason = _why_not_criterion(spec, process, search or PatternSearch())
    if reason is not None:
        return "" if process.own else reason
    if spec.user is not None and process.user != spec.user:
        return f"runs as {process.user or 'an unknown user'}, not as {spec.user}"
    if process.own:
        return "belongs to the checker itself"
    if process.zombie:
        return "is a zombie: it has ended, and its parent has not noticed"
    return None


def _why_not_criterion(spec: ProcessSpec, process: Process, search: PatternSearch) -> str | None:
    if spec.words:
        return _why_not_words(words_of(spec.words), process)
    if spec.command:
        return _why_not_command(spec.command, process)
    if spec.regex:
        return _why_not_regex(spec.regex, process, search)
    return _why_not_contains(spec.contains or "", process)


def _why_not_words(words: tuple[str, ...], process: Process) -> str | None:
    # The cheap test first: most processes have none of the words.
    line = " ".join(process.argv).casefold()
    if not all(word.casefold() in line for word in words):
        return ""
    argvs = _possible_argvs(process.argv)
    if any(_find(words, arguments, _fits) is not None for arguments in argvs):
        return None
    for arguments in argvs:
        if _find(words, arguments, _fits_but_for_case) is not None:
            return "upper and lower case differ"
        if len(words) > 1 and all(any(_fits(word, argument) for argument in arguments) for word in words):
            return "has all the words, but not one after the other"
        at = _find(words, arguments, _resembles)
        if at is not None:
            pairs = zip(words, arguments[at:], strict=False)
            return next(f"{_last(argument)} is not {word}" for word, argument in pairs if not _fits(word, argument))
    for argument in process.argv:
        if _find(words, tuple(argument.split()), _fits) is not None:
            return "has the words inside one argument"
    return ""


def _why_not_command(command: str, process: Process) -> str | None:
    firsts = [arguments[0] for arguments in _possible_argvs(process.argv)]
    if _is_title(process.argv):
        # A path in a title is not the path of the program.
        firsts = firsts[:1]
    if any(_last(first) == command for first in firsts):
        return None
    if any(_fits_but_for_case(command, first) for first in firsts):
        return "upper and lower case differ"
    if any(_fits(command, argument) for argument in process.argv[1:]):
        return f"has {command} as an argument, not as the command"
    if any(_resembles(command, first) for first in firsts):
        return f"{_last(firsts[0])} is not {command}"
    return ""


def _why_not_regex(regex: str, process: Process, search: PatternSearch) -> str | None:
    line = _line(process)
    found = search.find(regex, line)
    if found is None:
        return TOO_SLOW
    if found:
        return None
    return "upper and lower case differ" if search.find(regex, line, any_case=True) else ""


def _why_not_contains(part: str, process: Process) -> str | None:
    line = _line(process)
    if part in line:
        return None
    return "upper and lower case differ" if part.casefold() in line.casefold() else ""


def _is_title(argv: tuple[str, ...]) -> bool:
    """Whether a program wrote this itself, as in `sshd: user [priv]`, in one argument or already split by ps."""
    words = argv[0].split()
    return bool(words) and words[0].endswith(":")


def _possible_argvs(argv: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the argv, the words of an only argument, and both without a title's colon or a login shell's hyphen."""
    words = tuple(argv[0].split()) if len(argv) == 1 else argv
    if _is_title(argv):
        return ((words[0].removesuffix(":"), *words[1:]), words, argv)
    argvs = [argv]
    if words and words != argv:
        argvs.append(words)
    if argv[0].startswith("-"):
        argvs.append((argv[0].removeprefix("-"), *argv[1:]))
    return tuple(argvs)


def _line(process: Process) -> str:
    return " ".join(process.argv)[:MAX_LINE]


def _find(words: tuple[str, ...], arguments: tuple[str, ...], fits: Callable[[str, str], bool]) -> int | None:
    """Return where the words begin to fit the arguments one by one."""
    for at in range(len(arguments) - len(words) + 1):
        if all(fits(word, arguments[at + ahead]) for ahead, word in enumerate(words)):
            return at
    return None


def _last(argument: str) -> str:
    return argument.rpartition("/")[2]


def _fits(word: str, argument: str) -> bool:
    return argument == word or _last(argument) == word


def _fits_but_for_case(word: str, argument: str) -> bool:
    return _fits(word.casefold(), argument.casefold())


def _resembles(word: str, argument: str) -> bool:
    return _fits(word, argument) or _last(argument).startswith(word) or _last(argument).endswith(word)
