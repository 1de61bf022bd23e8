"""
Runs the playbook through ansible-runner, in the round's own private directory.

One run of Ansible reads the inventory and then waits for its order, so that it connects only after the inventory was
validated. At the end the round's directory is removed and no process of Ansible is left. Results are files, written
atomically, never events, which ansible-runner may drop or cut.
"""

import errno
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from remotestatus_playbook.private_directory import write_whole
from remotestatus_playbook.protocol import (
    COUNTED,
    DONE,
    INVENTORY,
    NOT_REACHED,
    PASSWORDS,
    PROXY_ANSWERS,
    REMOTE_ANSWERS,
    ROUND,
    SSH_CONFIG,
    InventoryDescription,
    Order,
    ProxyAnswer,
    RemoteAnswer,
)

from remotestatus.model.errors import ConfigurationError, ConfigurationProblem, RoundError, RoundGivenUp
from remotestatus.model.untrusted_text import one_line
from remotestatus.probe.ansible_configuration import ansible_environment
from remotestatus.probe.ansible_errors import (
    NO_FILES,
    find_ansible_errors,
    find_own_fault,
    is_task_lost,
    last_words,
)
from remotestatus.probe.ansible_run import AnsibleRun
from remotestatus.probe.ansible_source import AnsibleSource
from remotestatus.probe.child_processes import ChildProcesses
from remotestatus.probe.runtime_directories import make_kept_folder, make_round_directory
from remotestatus.probe.secret_channels import PasswordMemory, SecretPipe
from remotestatus.probe.variable_files import locate
from remotestatus.shipped import playbooks as playbooks_folder

_POLL_SECONDS = 0.01
_LONGEST_DELAY = 2.0
"""Seconds by which Ansible's earlier output may arrive later than a file."""


@dataclass
class Progress:
    """
    The progress of an attempt: remotes answered, of these not reached, and all.

    `attempt` is 1 for the round's first attempt, and more when what failed is tried again.
    """

    total: int
    done: int = 0
    failing: int = 0
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Answers:
    """
    The answers of one attempt, by the aliases of proxies and the names of remotes.

    `trouble` says what went wrong with the attempt itself. Answers of remotes are read lazily; the next attempt and the
    end of the runner delete them.
    """

    proxies: Mapping[str, ProxyAnswer] = field(default_factory=dict)
    remotes: Mapping[str, RemoteAnswer] = field(default_factory=dict)
    trouble: str | None = None


class PlaybookRunner:
    """
    The round's private directory, and the runs of the playbook in it, one after the other. Use it in a `with`.

    One `for_round` does not describe the arguments of ssh to each host, which takes a while for ten thousand.
    """

    def __init__(self, source: AnsibleSource, patience: float = 600, *, for_round: bool = False) -> None:
        self.source = source
        self.for_round = for_round
        self.patience = patience
        self.runs = 0
        self._run: AnsibleRun | None = None
        self.described: InventoryDescription | None = None
        """Ansible's description of the inventory, once it was read."""
        self._pipe: SecretPipe | None = None
        self._passwords = PasswordMemory(source.typed)
        self.workdir = make_round_directory()
        self.child_processes = ChildProcesses(self.workdir)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(RoundError):
            self._end_run()
        self._close_pipe()
        self._passwords.close()
        if self.child_processes.control is None:
            self.child_processes.end()
        shutil.rmtree(self.workdir, ignore_errors=True)

    @property
    def ssh_config(self) -> Path:
        """The SSH configuration of this round, once the inventory was read."""
        return self.workdir / SSH_CONFIG

    def keep_connections(self, database: Path) -> bool:
        """
        Let SSH connections outlive the round, in a private directory that belongs to this history.

        Returns whether there is one; another user may hold its name, and then connections last as long as the round.
        """
        with suppress(RoundError):
            self.child_processes.control = make_kept_folder(database)
        return self.child_processes.control is not None

    def begin(self) -> None:
        """Start Ansible's reading of the inventory, and return at once. Raises ConfigurationError if there is none."""
        if self._run is None:
            self.source.must_exist()
            self._start()

    def begin_again(self) -> None:
        """Let Ansible read the inventory for one more order, and return at once; `probe` raises its errors."""
        if self._run is None or self._order_file.exists():
            with suppress(RoundError):
                self._start()

    def describe_inventory(self, cancel: Callable[[], bool] = lambda: False) -> InventoryDescription:
        """
        Evaluate the inventory.

        Ansible then waits for `probe`, before it connects to anything. Raises ConfigurationError with Ansible's errors,
        or for a limit that matches nothing; RoundError when reading takes longer than `patience` seconds, and
        RoundGivenUp when cancelled.
        """
        self.begin()
        assert self._run is not None
        run = self._run
        text = self._await_inventory(run, cancel)
        problems = locate(find_ansible_errors(run.output), self.source.paths)
        if text is not None and not problems:
            # Imported here, because Ansible's start does not need it.
            from remotestatus.probe.read_answers import read_description

            described = read_description(text)
            self.described = replace(described, base=str(self.source.base), source=str(self.source))
            return self.described
        self._end_run()
        self.blame_no_room(run.output)
        if self.source.limit and "leaves us with no hosts to target" in run.output:
            raise ConfigurationError(f"the limit {self.source.limit!r} matches no host of {self.source}")
        if not problems and run.code == 0:
            raise ConfigurationError(f"the inventory {self.source} has no hosts; add remotes to it")
        listed = problems or [
            ConfigurationProblem(str(self.source), f"Ansible could not read it: {last_words(run.output)}")
        ]
        count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
        raise ConfigurationError(f"the inventory {self.source} has {count}", listed)

    def _await_inventory(self, run: AnsibleRun, cancel: Callable[[], bool]) -> str | None:
        """Wait until Ansible has described the inventory, or has ended, and all its output is there."""
        begun = time.monotonic()
        text = None
        while text is None and not run.has_ended(_POLL_SECONDS):
            text = self._pipe.read() if self._pipe else None
            if cancel():
                raise RoundGivenUp
            if time.monotonic() - begun > self.patience:
                raise RoundError(
                    f"Ansible has not read the inventory {self.source} in {self.patience:g} s: does a script or a "
                    "plugin of it hang? `ansible-inventory --list` does the same by hand"
                )
        # Its messages come by another channel, which may be slower.
        end = time.monotonic() + _LONGEST_DELAY
        while not run.has_ended(_POLL_SECONDS) and not run.in_task and time.monotonic() < end:
            pass
        text = text or (self._pipe.read() if self._pipe else None)
        self._close_pipe()
        return text

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def probe(
        self,
        order: Order,
        *,
        cancel: Callable[[], bool] = lambda: False,
        progress: Callable[[Progress], None] = lambda _: None,
        total: int = 0,
    ) -> Answers:
        """
        Probe the hosts of an order once: each proxy, and what is behind it when it answers.

        `total` is how many of them are remotes, for the progress.
        """
        from remotestatus.probe.read_answers import AnswerFiles

        for folder in (PROXY_ANSWERS, REMOTE_ANSWERS):
            shutil.rmtree(self.workdir / folder, ignore_errors=True)
        for file in (COUNTED, DONE):
            (self.workdir / file).unlink(missing_ok=True)
        # The run that read the inventory waits for its order; each run takes only one.
        run = self._run if self._run and not self._order_file.exists() else self._start()
        control = self.child_processes.control
        with self._writing():
            write_whole(self._order_file, replace(order, control=None if control is None else str(control)))
        trouble = self._await_answers(run, Progress(total, attempt=order.attempt), cancel, progress)
        # Do not wait for Ansible's end: the answers are there.
        return Answers(
            dict(AnswerFiles(self.workdir, PROXY_ANSWERS, ProxyAnswer)),
            AnswerFiles(self.workdir, REMOTE_ANSWERS, RemoteAnswer),
            trouble,
        )

    def _await_answers(
        self, run: AnsibleRun, state: Progress, cancel: Callable[[], bool], progress: Callable[[Progress], None]
    ) -> str | None:
        """Wait until all answers are there; return what went wrong."""
        done = self.workdir / DONE
        trouble = None
        progress(state)
        while trouble is None and not done.exists():
            self._count(state, progress)
            if cancel():
                self._end_run()
                trouble = "The round was ended before every remote had answered."
            elif run.has_ended(_POLL_SECONDS) and not done.exists():
                self._end_run()
                self.blame_no_room(run.output)
                problems = find_ansible_errors(run.output)
                trouble = f"Ansible did not finish: {problems[0].what if problems else f'exit code {run.code}'}"
        self._count(state, progress)
        return trouble

    def _count(self, state: Progress, progress: Callable[[Progress], None]) -> None:
        with suppress(FileNotFoundError):
            letters = (self.workdir / COUNTED).read_text()
            if len(letters) != state.done:
                state.done, state.failing = len(letters), letters.count(NOT_REACHED)
                progress(state)

    def _start(self) -> AnsibleRun:
        """Start Ansible: it reads the inventory, and waits for its order. Only one runs at a time."""
        self._end_run()
        self.runs += 1
        limit = self.source.absolute_limit
        more = {PASSWORDS: self._passwords.log_ins} if self._passwords.log_ins else {}
        more |= {ROUND: "1"} if self.for_round else {}
        if vault_ids := self._passwords.vault_ids:
            # Replaces the list of an ansible.cfg, which may have one that prompts.
            more["ANSIBLE_VAULT_IDENTITY_LIST"] = ",".join([*self.source.configured_vault_ids, *vault_ids])
        private = self._private
        with self._writing():
            private.mkdir(mode=0o700)
            if self.described is None:
                self._close_pipe()
                self._pipe = SecretPipe(self.workdir / INVENTORY)
        self._run = AnsibleRun(
            private_data_dir=str(private),
            # Paths in ANSIBLE_* start at the current folder, which may be closed after `sudo -u`.
            project_dir=str(Path.cwd()) if os.access(".", os.X_OK) else None,
            playbook=str(playbooks_folder() / "check.yml"),
            inventory=list(self.source.sources),
            envvars={**ansible_environment(self.workdir, self._order_file, self.source.base), **more},
            cmdline=shlex.join([*self.source.arguments, "--skip-tags=alone"]),
            limit=limit,
        )
        return self._run

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._unwritable(error.errno) from error

    def blame_no_room(self, said: str) -> None:
        """Raise RoundError when an error is about our own directory, not the inventory or a remote."""
        if code := find_own_fault(said, self.workdir):
            raise self._unwritable(code)
        if is_task_lost(said):
            raise RoundError(
                "Ansible could not start a task, and does not say why: too many processes, or perhaps "
                f"{self._unwritable(errno.ENOSPC)}"
            )

    def _unwritable(self, code: int | None) -> RoundError:
        place = self.workdir.parent
        cure = "raise the limit on open files" if code in NO_FILES else "free it, or set TMPDIR"
        return RoundError(f"nothing can be written to {place}: {os.strerror(code or errno.EIO)}; {cure}")

    def _end_run(self) -> None:
        """
        End the run, and all its processes but the shared connections.

        Raises RoundError when Ansible could not be run at all.
        """
        run, self._run = self._run, None
        if run is None:
            return
        try:
            while not run.has_ended(0):
                self.child_processes.kill_all_but_connections()
                run.has_ended(_POLL_SECONDS)
            _ = run.code
        except Exception as error:
            self.blame_no_room(str(error))
            raise RoundError(f"Ansible could not be run: {one_line(error)}; `remotestatus doctor` says more") from error
        finally:
            self.child_processes.kill_all_but_connections()
            self.child_processes.collect()
            shutil.rmtree(self._private, ignore_errors=True)

    @property
    def _private(self) -> Path:
        """ansible-runner's private data directory of the latest run."""
        return self.workdir / f"ansible-{self.runs}"

    @property
    def _order_file(self) -> Path:
        """Where the latest run waits for its order."""
        return self.workdir / f"order-{self.runs}.json"
