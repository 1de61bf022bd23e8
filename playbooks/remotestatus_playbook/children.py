"""
Runs many programs at the same time, each with a limit on its time and on what it may print.

Each program is yielded when it has ended. Output goes to files of limited size instead of pipes, so that endless output
takes no memory and delays no other program. One thread is enough, because it mostly waits. timeout(1) enforces the time
limit, even if we are killed.
"""

import os
import resource
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from remotestatus_playbook.checker_faults import NO_ASKPASS, NO_TIMEOUT, NOT_STARTED
from remotestatus_playbook.host_variables import say_error
from remotestatus_playbook.output_limits import TOGETHER_BYTES
from remotestatus_playbook.protocol import TMPDIR

_TIME_UP = (124, 128 + signal.SIGKILL, -signal.SIGKILL)
"""Exit codes of timeout(1) after SIGTERM and SIGKILL."""

TOO_MUCH = (-signal.SIGXFSZ, 128 + signal.SIGXFSZ)
"""Its exit codes, in coreutils and busybox, when SIGXFSZ ended the program."""

_LOOK_SECONDS = 0.2
"""Seconds between two checks of the output size."""

_UNANSWERED = "its lookup has not answered in time"

_POLL_SECONDS = 0.005
"""Seconds between two checks whether programs have ended."""

_BUSY = 4
"""Runnable programs per processor above which starts are delayed. More would make each slower, until probes time out
though the remotes answer."""

_NEW = 8
"""Starts per `_NEW_SECONDS` even then, because programs that wait for the network need no processor."""

_NEW_SECONDS = 3.0
"""At this rate, a hundred slots of silent remotes fill no later than on an idle machine."""

_NO_MORE = object()

STARTING = Lock()
"""Only one thread at a time starts a process: a process forked meanwhile for a password would inherit its pipes."""


@dataclass(frozen=True, slots=True)
class Password:
    """
    How to get the password of one host for `ssh`.

    `slow`: it needs a lookup. `variable` is the inventory's name for it.
    """

    learn: Callable[[], str]
    slow: bool = False
    variable: str = "ansible_password"


@dataclass(eq=False)
class Child:
    """
    A program: its arguments, input, output path (with suffix `.out`, `.err` and `.log`), and limits.

    `printing` is the size limit of its files in bytes; None: no limit. `password` answers ssh's question for the host
    `asked` (`user@name`) and no other. `before` is a command prefix (see `limit_files`), `more` are further environment
    variables, `folder` is the working directory; None: the current one. Once it has ended, `code` is its exit code
    (negative: the signal that ended it), `trouble` says why it could not be started at all, `secret_trouble` why its
    password could not be learnt, `asked_at` and `answered_at` are the clock's times (POSIX), and `taken` is how long it
    ran, since `started` (monotonic). `no_room`: it was ended because our disk has too little space.
    """

    name: str
    words: Sequence[str]
    stdin: bytes
    output: Path
    seconds: float
    printing: int | None = None
    password: Password | None = None
    asked: str = ""
    askpass: Path | None = None
    before: Sequence[str] = ()
    more: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = field(default_factory=lambda: _home())
    code: int = 0
    trouble: str = ""
    secret_trouble: str = ""
    asked_at: float = 0.0
    answered_at: float = 0.0
    taken: float = 0.0
    no_room: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _secret: "Secret | None" = field(default=None, repr=False)
    started: float = 0.0

    def __post_init__(self) -> None:
        self.out = self.output.with_name(f"{self.output.name}.out")
        self.err = self.output.with_name(f"{self.output.name}.err")
        self.log = log_file(self.output)

    def start(self) -> None:
        """Start it in a new session, without a terminal, so that it can be ended with all its children."""
        environment = {**os.environ, "LC_ALL": "C.UTF-8", **self.more}
        if TMPDIR in environment:
            environment["TMPDIR"] = environment.pop(TMPDIR) or "/tmp"  # noqa: S108
        if self.askpass is not None and not os.access(self.askpass, os.X_OK):
            self.trouble = f"{NO_ASKPASS}: {self.askpass}"
            return
        try:
            with STARTING:
                self._start(environment)
        except OSError as error:
            # timeout(1) is missing, or this machine cannot start one more process.
            self.trouble = f"{NO_TIMEOUT if error.filename == 'timeout' else NOT_STARTED}: {error.strerror}"

    def _start(self, environment: dict[str, str]) -> None:
        if self.password is not None and self.askpass is not None:
            self._secret = Secret(self.password, self.asked, self.output.with_name(f"{self.output.name}.secret"))
            environment |= self._secret.environment(self.askpass)
        self.asked_at, self.started = time.time(), time.monotonic()
        with (
            _in_memory(self.stdin) as stdin,
            self.out.open("wb") as out,
            self.err.open("wb") as err,
            _file_size_limit(self.printing),
        ):
            self._process = subprocess.Popen(
                [*self.before, "timeout", "-k", "2", str(self.seconds), *self.words],
                stdin=stdin,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=self.folder,
                start_new_session=True,
            )

    @property
    def timed_out(self) -> bool:
        """Whether it was ended by its time limit."""
        return self.code in _TIME_UP and self.taken >= self.seconds

    def has_ended(self) -> bool:
        code = self._process.poll() if self._process is not None else 0
        if code is None:
            return False
        self.code = code
        self._note_end()
        return True

    def wait(self) -> None:
        """Wait until it has ended."""
        self.code = self._process.wait() if self._process is not None else 0
        self._note_end()

    @property
    def printed_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.out, self.err, self.log) if path.exists())

    def end_flood(self) -> None:
        """End it with SIGXFSZ, as if one of its files were full."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGXFSZ)

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._note_end()
        self.forget()

    def forget(self) -> None:
        for path in (self.out, self.err, self.log):
            path.unlink(missing_ok=True)

    def _note_end(self) -> None:
        self.answered_at, self.taken = time.time(), time.monotonic() - self.started
        if self._secret is not None:
            self.secret_trouble = self._secret.forget()
            self._secret = None


def log_file(output: Path) -> Path:
    """The log of an ssh whose output goes there."""
    return output.with_name(f"{output.name}.log")


def run_all(children: Iterable[Child | None], at_once: int) -> Iterator[Child]:
    """
    Start the children in their order, `at_once` at the same time; yield each when it has ended.

    `children` may yield None if none can be started yet; then it is polled again later.
    """
    waiting, running, more = iter(children), list[Child](), True
    looked_at = time.monotonic()
    try:
        while True:
            ended = [child for child in running if child.has_ended()]
            running = [child for child in running if child not in ended]
            while len(running) < at_once and not _starts_too_many(running):
                child = next(waiting, _NO_MORE)
                more = child is not _NO_MORE
                if not isinstance(child, Child):
                    break
                running.append(child)
                child.start()
            yield from ended
            if not running and not more:
                return
            if time.monotonic() >= looked_at + _LOOK_SECONDS:
                looked_at = time.monotonic()
                _end_largest(running)
            if not ended:
                time.sleep(_POLL_SECONDS)
    finally:
        for child in running:
            child.kill()


def _starts_too_many(running: Sequence[Child]) -> bool:
    """Whether further starts have to wait, because this machine is overloaded."""
    since = time.monotonic() - _NEW_SECONDS
    return sum(child.started > since for child in running) >= _NEW and _runnable() > _BUSY * (os.cpu_count() or 1)


def _runnable() -> int:
    """The kernel's number of runnable processes; 0 if unknown."""
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0])
    except (OSError, IndexError, ValueError):
        return 0


def _end_largest(running: Sequence[Child]) -> None:
    """End the programs with the most output, while all output together exceeds the limit."""
    printed = {child: child.printed_bytes for child in running if child.printing is not None}
    if not printed:
        return
    total = sum(printed.values())
    half = (total + shutil.disk_usage(running[0].output.parent).free) // 2
    room = min(TOGETHER_BYTES, half)
    for child in sorted(printed, key=lambda one: printed[one], reverse=True):
        if total <= room:
            return
        child.end_flood()
        child.no_room = half < TOGETHER_BYTES
        total -= printed[child]


def limit_files(most: int) -> list[str]:
    """
    A command prefix that limits a program's files to about this size; thread-safe.

    The shell's `ulimit` counts in blocks of 512 bytes, or of 1024.
    """
    return ["/bin/sh", "-c", f'ulimit -f {most // 512}; exec "$@"', "sh"]


class Secret:
    """
    Passes the password of one host to ssh's askpass, once, through a private named pipe.

    It is in no file, argument or environment. `asked` is the host as ssh names it in its prompt, `user@name`, or
    `@name` when the user is not known; the askpass answers no other prompt. A slow password is looked up in a separate
    process, and only when the askpass reads it. So nothing else waits, and no needless lookup is made.
    """

    def __init__(self, password: Password, asked: str, path: Path) -> None:
        self.path = path
        self._variable = password.variable
        user, _, name = asked.rpartition("@")
        # OpenSSH cuts both in its prompt (userauth_passwd in sshconnect2.c).
        self.asked = f"{user[:30]}@{name[:128]}".lower()
        path.unlink(missing_ok=True)
        os.mkfifo(path, stat.S_IRUSR | stat.S_IWUSR)
        self._pipe: int | None = None
        self._teller: int | None = None
        self._trouble = ""
        if password.slow:
            self._teller = _tell_when_asked(password.learn, path)
            return
        # Read and write, or the open would block.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        try:
            os.write(self._pipe, f"{password.learn()}\n".encode())
        except Exception as error:
            self._trouble = say_error(error)
            path.unlink()  # or the askpass would wait until its time limit

    def environment(self, askpass: Path) -> dict[str, str]:
        """Return the environment for ssh. Some versions use an askpass only with DISPLAY."""
        return {
            "SSH_ASKPASS": str(askpass),
            "SSH_ASKPASS_REQUIRE": "force",
            "REMOTESTATUS_SECRET": str(self.path),
            "REMOTESTATUS_ASKED": self.asked,
            "REMOTESTATUS_STARTER": str(os.getpid()),
            "DISPLAY": os.environ.get("DISPLAY", "-"),
        }

    def forget(self) -> str:
        """Remove the pipe; return which password could not be looked up and why, if so."""
        if self._pipe is not None:
            os.close(self._pipe)
        if self._teller is not None:
            with suppress(ProcessLookupError):
                os.kill(self._teller, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._teller, 0)
        self.path.unlink(missing_ok=True)
        told = _trouble_file(self.path)
        with suppress(FileNotFoundError):
            self._trouble = told.read_text()
            told.unlink()
        return f"{self._variable}: {self._trouble}" if self._trouble else ""


def _tell_when_asked(learn: Callable[[], str], pipe: Path) -> int:
    """Start the process that writes a password into the pipe when it is read."""
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pipe.open("w") as reader:
            # Written first: this process may be killed as soon as ssh has ended.
            _note_trouble(pipe, _UNANSWERED)
            try:
                reader.write(f"{learn()}\n")
            except BaseException as error:
                _note_trouble(pipe, say_error(error))
            else:
                _trouble_file(pipe).unlink(missing_ok=True)
    finally:
        os._exit(0)


def _note_trouble(pipe: Path, words: str) -> None:
    with suppress(OSError):
        _trouble_file(pipe).write_text(words)


def _trouble_file(pipe: Path) -> Path:
    return pipe.with_name(f"{pipe.name}.trouble")


def _in_memory(content: bytes) -> BinaryIO:
    """A file with this content that has no name: commands of checks may hold passwords."""
    file = os.fdopen(os.memfd_create("remotestatus"), "w+b")
    file.write(content)
    file.seek(0)
    return file


@contextmanager
def _file_size_limit(most: int | None) -> Iterator[None]:
    """Within it, started programs are killed by SIGXFSZ when a file exceeds this size."""
    if most is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _home() -> Path | None:
    """The home directory, where a shell starts after a log-in."""
    home = Path("~").expanduser()
    return home if home.is_dir() else None
