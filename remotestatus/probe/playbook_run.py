"""
Runs the playbook through ansible-runner, in the round's own private directory.

Takes where the inventory is and at whom to look; returns what the playbook left there. One run of Ansible reads the
inventory and then waits for its order, so that nothing is connected to before all of it was found to be right. Whatever
Ansible or its children do, the round's directory is removed and no process of theirs outlives it. The rule worth
knowing: results are files that were left whole, never events, which ansible-runner may drop or cut.
"""

import json
import locale
import os
import shlex
import shutil
import stat
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote

from remotestatus.model.errors import ConfigurationError, Problem, RoundError, RoundGivenUp
from remotestatus.model.text import one_line
from remotestatus.probe.ansible_errors import problems_in
from remotestatus.probe.ansible_process import AnsibleRun
from remotestatus.probe.child_processes import ChildProcesses
from remotestatus.probe.runtime_directories import make_kept_folder, make_private_directory
from remotestatus.shipped import playbooks as playbooks_folder

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
    """What one look brought: an answer per proxy and remote, and what went wrong with the looking itself."""

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


class PlaybookRunner:
    """The round's private directory, and the runs of the playbook in it, one after the other. Use it in a `with`."""

    def __init__(self, source: AnsibleSource, patience: float = 600) -> None:
        self.source = source
        self.patience = patience
        self.runs = 0
        self._run: AnsibleRun | None = None
        self.workdir = make_private_directory()
        self.child_processes = ChildProcesses(self.workdir)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(RoundError):
            self._end_run()
        if self.child_processes.control is None:
            self.child_processes.end()
        shutil.rmtree(self.workdir, ignore_errors=True)

    @property
    def ssh_config(self) -> Path:
        """The SSH configuration of this round, once the inventory was read."""
        return self.workdir / "ssh_config"

    def keep_connections(self, database: Path) -> None:
        """Let SSH connections outlive the round, in a private directory that belongs to this history."""
        self.child_processes.control = make_kept_folder(database)

    def begin(self) -> None:
        """Let Ansible start to read the inventory, and go on at once. Raises ConfigurationError if there is none."""
        if self._run is None:
            _must_exist(self.source)
            self._start()

    def describe_inventory(self, cancel: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """
        Evaluate the inventory, with `base`, where relative paths start, and `source`, what to call it.

        Ansible stays where it is then, before it connects to anything, until `look` says what to look at. Raises
        ConfigurationError with what Ansible says is wrong with it, or with a limit that matches nothing; RoundError
        when reading it takes longer than `patience` seconds, and RoundGivenUp when it is cancelled.
        """
        self.begin()
        assert self._run is not None
        run, found = self._run, self.workdir / "inventory.json"
        begun = time.monotonic()
        while not run.has_ended(_ROUND_TRIP) and not found.exists():
            if cancel():
                raise RoundGivenUp
            if time.monotonic() - begun > self.patience:
                raise RoundError(
                    f"Ansible has not read the inventory {self.source} in {self.patience:g} s: does a script or a "
                    "plugin of it hang? `ansible-inventory --list` does the same by hand"
                )
        # Its complaints come another way, which may be a little longer.
        patience = time.monotonic() + _LONGEST_DELAY
        while not run.has_ended(_ROUND_TRIP) and not run.in_task and time.monotonic() < patience:
            pass
        problems = problems_in(run.output)
        if found.exists() and not problems:
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

        # The run that read the inventory waits for its order; one that has had it cannot be given another.
        run = self._run if self._run and not self._order_file.exists() else self._start()
        self._order(
            {
                "names": list(names),
                "proxies_only": proxies_only,
                "at_once": forks,
                "number": number,
                "of": of,
                "fresh": fresh,
                "keep": keep_seconds,
                "control": None if self.child_processes.control is None else str(self.child_processes.control),
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
        with self._writing():
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
        with self._writing():
            unfinished.write_text(json.dumps(order))
            unfinished.rename(self._order_file)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = self.workdir.parent
            raise RoundError(f"nothing can be written to {place}: {error.strerror}; free it, or set TMPDIR") from error

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
                self.child_processes.kill_all_but_connections()
                run.has_ended(_ROUND_TRIP)
            _ = run.code
        except Exception as error:
            raise RoundError(f"Ansible could not be run: {one_line(error)}; `remotestatus doctor` says more") from error
        finally:
            self.child_processes.kill_all_but_connections()
            self.child_processes.collect()
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
            # What Ansible leaves there when it is killed goes with the round.
            "TMPDIR": str(self.workdir),
            "REMOTESTATUS_TMPDIR": os.environ.get("TMPDIR", ""),
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


def _first_error(output: str) -> str:
    problems = problems_in(output)
    return problems[0].what if problems else ""
