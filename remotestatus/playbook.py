"""
Runs our playbooks through ansible-runner, each in the round's own private directory.

Takes where the inventory is and what to run; returns what the playbooks left there. Whatever Ansible or its children
do, the round's directory is removed and no process of theirs outlives it. The rule worth knowing: results are files
that each remote's probe left whole, never events, which ansible-runner may drop or cut.
"""

import ctypes
import hashlib
import json
import locale
import os
import shlex
import shutil
import stat
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote

import psutil

from remotestatus.ansible_run import AnsibleRun
from remotestatus.diagnosis import one_line
from remotestatus.errors import ConfigurationError, Problem, RoundError
from remotestatus.inventory_problems import problems_in
from remotestatus.shipped import playbooks as playbooks_folder

_LONGEST_PARENT = 104 - 40 - 1 - 17 - len("/remotestatus-12345678")
"""What a socket's longest path (104 bytes) leaves for the folder our private directory is made in."""

_PR_SET_CHILD_SUBREAPER = 36
_ROUND_TRIP = 0.01
_LONGEST_DELAY = 2.0
"""Between what Ansible writes into a file and what it prints before, in seconds."""

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AnsibleSource:
    """Where the inventory is, and what Ansible needs to read it."""

    paths: tuple[Path, ...]
    vault_ids: tuple[str, ...] = ()
    vault_password_files: tuple[Path, ...] = ()
    limit: str | None = None

    def __str__(self) -> str:
        return ", ".join(str(path) for path in self.paths)

    @property
    def base(self) -> Path:
        """The folder that holds the inventory: relative paths of our variables start there."""
        return self.paths[0].absolute().parent


@dataclass
class Progress:
    """
    How far a look has come: remotes answered so far, of them not reached, and how many there are.

    `look` is 1 for the round's first look, and more when it looks again at what failed.
    """

    total: int
    done: int = 0
    failing: int = 0
    look: int = 1


@dataclass(frozen=True, slots=True)
class Look:
    """What one run over the remotes brought: an answer per proxy and remote, and what went wrong with the run."""

    proxies: Mapping[str, Answer] = field(default_factory=dict)
    remotes: Mapping[str, Answer] = field(default_factory=dict)
    trouble: str | None = None


class _Answers(Mapping[str, Answer]):
    """The answers that one look left in a folder, each read when it is asked for, until the next look."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> Answer:
        try:
            found = json.loads((self.folder / f"{quote(name, safe='')}.json").read_text())
        except (OSError, ValueError):
            raise KeyError(name) from None
        if not isinstance(found, dict):
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (unquote(path.name.removesuffix(".json")) for path in self.folder.glob("*.json"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Playbooks:
    """The round's private directory, and the playbooks that run in it. Use it in a `with`."""

    def __init__(self, source: AnsibleSource) -> None:
        self.source = source
        self.control: Path | None = None
        self.runs = 0
        self.not_ours: set[int] = set()
        self._run: AnsibleRun | None = None
        self._is_waiting = False
        try:
            self.workdir = _make_private_directory()
        except OSError as error:
            raise RoundError(f"no private directory could be made: {error.strerror}; is TMPDIR writable?") from error

    def __enter__(self) -> Self:
        _adopt_orphans()
        self.not_ours = {process.pid for process in psutil.Process().children(recursive=True)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(RoundError):
            self._end_run()
        if self.control is None:
            self._end_connections()
        shutil.rmtree(self.workdir, ignore_errors=True)

    @property
    def ssh_config(self) -> Path:
        """The SSH configuration of this round, once the inventory was read."""
        return self.workdir / "ssh_config"

    def keep_connections(self, database: Path) -> None:
        """Let SSH connections outlive the round, in a private directory that belongs to this history."""
        for folder in kept_folders(database):
            with suppress(OSError):
                folder.mkdir(mode=0o700, exist_ok=True)
                if _is_private(folder):
                    self.control = folder
                    return
        raise RoundError("no private directory for kept connections could be made; unset remotestatus_keep_connections")

    def end_kept_connections(self, database: Path) -> None:
        """End what earlier rounds kept, now that connections are no longer to be kept."""
        for folder in kept_folders(database):
            with suppress(OSError, subprocess.TimeoutExpired):
                if not _is_private(folder):
                    continue
                for path in folder.iterdir():
                    if path.is_socket():
                        command = ["ssh", "-F", "none", "-S", str(path), "-O", "exit", "any"]
                        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
                shutil.rmtree(folder)

    def describe_inventory(self) -> dict[str, Any]:
        """
        Evaluate the inventory, with `base`, where relative paths start, and `source`, what to call it.

        Ansible stays where it is then, before it connects to anything, until `look` says what to look at. Raises
        ConfigurationError with what Ansible says is wrong with it, or with a limit that matches nothing.
        """
        _must_exist(self.source)
        run = self._start()
        found = self.workdir / "inventory.json"
        while not run.has_ended(_ROUND_TRIP) and not found.exists():
            pass
        # Its complaints come another way, which may be a little longer.
        patience = time.monotonic() + _LONGEST_DELAY
        while not run.has_ended(_ROUND_TRIP) and not run.in_task and time.monotonic() < patience:
            pass
        problems = problems_in(run.output)
        if found.exists() and not problems:
            self._is_waiting = True
            return {**json.loads(found.read_text()), "base": str(self.source.base), "source": str(self.source)}
        self._end_run()
        if self.source.limit and "leaves us with no hosts to target" in run.output:
            raise ConfigurationError(f"the limit {self.source.limit!r} matches no host of {self.source}")
        if not problems and run.code == 0:
            raise ConfigurationError(f"the inventory {self.source} has no hosts; add remotes to it")
        listed = problems or [
            Problem(str(self.source), f"Ansible could not read it: {one_line(run.output[-600:], 400)}")
        ]
        count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
        raise ConfigurationError(f"the inventory {self.source} has {count}", listed)

    def look(
        self,
        names: Sequence[str],
        *,
        number: int = 1,
        of: int = 1,
        forks: int,
        keep_seconds: int = 0,
        fresh: bool = False,
        cancel: Callable[[], bool] = lambda: False,
        progress: Callable[[Progress], None] = lambda _: None,
        total: int | None = None,
        proxies_only: bool = False,
    ) -> Look:
        """
        Look at these hosts once: at their proxies first, then at those whose proxy answers.

        `total` is how many of them are remotes, for the progress. With `proxies_only` nothing but the proxies on the
        way to these hosts is connected to.
        """
        for folder in ("readings", "proxies"):
            shutil.rmtree(self.workdir / folder, ignore_errors=True)
        counted, done = self.workdir / "counted", self.workdir / "done"
        for file in (counted, done):
            file.unlink(missing_ok=True)
        state = Progress(total=len(names) if total is None else total, look=number)
        progress(state)

        def count() -> bool:
            with suppress(FileNotFoundError):
                letters = counted.read_text()
                if len(letters) != state.done:
                    state.done, state.failing = len(letters), letters.count("-")
                    progress(state)
            return cancel()

        run = self._run if self._run and self._is_waiting else self._start()
        self._is_waiting = False
        self._order(
            {
                "names": list(names),
                "proxies_only": proxies_only,
                "at_once": forks,
                "number": number,
                "of": of,
                "fresh": fresh,
                "keep": keep_seconds,
                "control": None if self.control is None else str(self.control),
            }
        )
        trouble = None
        while not done.exists():
            if count():
                self._end_run()
                trouble = "The round was ended before every remote had answered."
                break
            if run.has_ended(_ROUND_TRIP) and not done.exists():
                self._end_run()
                trouble = f"Ansible did not finish: {_first_error(run.output) or f'exit code {run.code}'}"
                break
        count()
        # Ansible itself may take its time to end: what it was started for is there.
        return Look(dict(_Answers(self.workdir / "proxies")), _Answers(self.workdir / "readings"), trouble)

    def _start(self) -> AnsibleRun:
        """Start Ansible: it reads the inventory, and waits for its order. There is only one at a time."""
        self._end_run()
        self.runs += 1
        private = self._private
        private.mkdir(mode=0o700)
        options = [f"--vault-id={name}" for name in self.source.vault_ids]
        options += [f"--vault-password-file={path.absolute()}" for path in self.source.vault_password_files]
        self._run = AnsibleRun(
            private_data_dir=str(private),
            playbook=str(playbooks_folder() / "check.yml"),
            inventory=[str(path.absolute()) for path in self.source.paths],
            envvars=self._environment(),
            cmdline=shlex.join([*options, "--skip-tags=alone"]),
            limit=self.source.limit,
        )
        return self._run

    def _order(self, order: Mapping[str, Any]) -> None:
        unfinished = self._order_file.with_suffix(".part")
        unfinished.write_text(json.dumps(order))
        unfinished.rename(self._order_file)

    def _end_run(self) -> None:
        """
        See to it that the run has ended, and that nothing is left of it but the shared connections.

        Raises RoundError when Ansible could not be run at all.
        """
        run, self._run = self._run, None
        if run is None:
            return
        try:
            while not run.has_ended(0):
                self._kill_leftovers()
                run.has_ended(_ROUND_TRIP)
            _ = run.code
        except Exception as error:
            raise RoundError(f"Ansible could not be run: {one_line(error)}; `remotestatus doctor` says more") from error
        finally:
            self._kill_leftovers()
            self._collect()
            shutil.rmtree(self._private, ignore_errors=True)

    @property
    def _private(self) -> Path:
        """What ansible-runner calls its private data directory, of the latest run."""
        return self.workdir / f"ansible-{self.runs}"

    @property
    def _order_file(self) -> Path:
        """Where the latest run waits for its order."""
        return self.workdir / f"order-{self.runs}.json"

    def _environment(self) -> dict[str, str]:
        scripts = sysconfig.get_path("scripts")
        environment = {
            "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
            "REMOTESTATUS_WORKDIR": str(self.workdir),
            "REMOTESTATUS_ORDER": str(self._order_file),
            "REMOTESTATUS_ROOT": str(os.getpid()),
            "ANSIBLE_LOCAL_TEMP": str(self.workdir / "tmp"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.workdir / "cp"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
            "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "error",
            "ANSIBLE_STRATEGY": "linear",
            "ANSIBLE_TASK_TIMEOUT": "0",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_DEPRECATION_WARNINGS": "False",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_VERBOSITY": "0",
            **({} if _locale_is_utf8() else {"LC_ALL": "C.UTF-8"}),
        }
        configuration = self._configuration()
        if configuration is not None:
            environment["ANSIBLE_CONFIG"] = str(configuration)
        return environment

    def _configuration(self) -> Path | None:
        """The ansible.cfg that Ansible would take here: ansible-runner changes the working directory."""
        if "ANSIBLE_CONFIG" in os.environ:
            return Path(os.environ["ANSIBLE_CONFIG"]).absolute()
        for folder in (Path.cwd(), self.source.base):
            candidate = folder / "ansible.cfg"
            if candidate.is_file() and not folder.stat().st_mode & stat.S_IWOTH:
                return candidate
        return None

    def _kill_leftovers(self) -> None:
        """Kill what Ansible started, except the shared connections, which outlive a single look."""
        for process in self._descendants():
            with suppress(psutil.Error):
                if not _is_shared_connection(process, self.workdir, self.control):
                    process.kill()

    def _end_connections(self) -> None:
        """End the shared connections."""
        processes = self._descendants()
        for process in processes:
            with suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(processes, timeout=2)[1]:
            with suppress(psutil.Error):
                process.kill()
        self._collect()

    def _collect(self) -> None:
        """Collect all that has ended, so that no zombies stay. While Ansible runs, that is up to ansible-runner."""
        for process in self._descendants(ended=True):
            with suppress(OSError):
                os.waitpid(process.pid, os.WNOHANG)

    def _descendants(self, *, ended: bool = False) -> list[psutil.Process]:
        """All processes that came of this round and still run, or those that have ended and were not collected."""
        found, not_ours = [], set(self.not_ours)
        for process in psutil.Process().children(recursive=True):  # parents come before their children
            with suppress(psutil.Error):
                if process.pid in not_ours or process.ppid() in not_ours:
                    not_ours.add(process.pid)
                elif (process.status() == psutil.STATUS_ZOMBIE) is ended:
                    found.append(process)
        return found


def _must_exist(source: AnsibleSource) -> None:
    missing = [path for path in source.paths if not path.exists()]
    if missing:
        listed = ", ".join(str(path) for path in missing)
        raise ConfigurationError(
            f"there is no inventory at {listed}; name it with -i, or make one with `remotestatus init`"
        )
    for path in source.paths:
        if path.is_dir() and not any(path.iterdir()):
            raise ConfigurationError(f"the inventory {path} is an empty folder; make one with `remotestatus init`")


def _is_shared_connection(process: psutil.Process, workdir: Path, control: Path | None) -> bool:
    # One that `ssh` put in the background by itself is renamed: "ssh: /path/of/its/socket [mux]".
    words = process.cmdline()
    line = " ".join(words)
    if "-W" in words and str(workdir) in line and (control is not None or "REMOTESTATUS_OPENING" in process.environ()):
        # What carries a kept connection past its proxy, or the connection to a proxy past the one before it, is
        # nobody's child by now; it ends with what it carries.
        return True
    return ("ControlMaster=yes" in line or "[mux]" in line) and any(
        str(place) in line for place in (workdir, control) if place
    )


def _adopt_orphans() -> None:
    """Become the parent of whatever Ansible's processes leave behind (Linux: prctl(2)), so that it can be ended."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kept_folders(database: Path) -> list[Path]:
    """Where the sockets of connections that outlive a round may lie: the first that can be made is taken."""
    name = "remotestatus-" + hashlib.sha256(str(database).encode()).hexdigest()[:8]
    return [Path(parent) / name for parent in _short_parents()]


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _locale_is_utf8() -> bool:
    """Whether Ansible would start here: it refuses a locale that is not UTF-8, or that is not installed."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
        return locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8"
    except locale.Error:
        return False
    finally:
        locale.setlocale(locale.LC_ALL, before)


def _short_parents() -> list[str]:
    candidates = (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp")  # noqa: S108
    return [
        parent
        for parent in candidates
        if parent and len(os.fsencode(parent)) <= _LONGEST_PARENT and os.access(parent, os.W_OK)
    ]


def _make_private_directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="rs-", dir=next(iter(_short_parents()), None)))


def _first_error(output: str) -> str:
    problems = problems_in(output)
    return problems[0].what if problems else ""
