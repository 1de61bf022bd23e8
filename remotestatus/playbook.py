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
import re
import shlex
import shutil
import stat
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote

import ansible_runner
import psutil

from remotestatus.diagnosis import one_line
from remotestatus.errors import ConfigurationError, Problem, RoundError, with_vault_cure
from remotestatus.shipped import playbooks as playbooks_folder

_LONGEST_PARENT = 104 - 40 - 1 - 17 - len("/remotestatus-12345678")
"""What a socket's longest path (104 bytes) leaves for the folder our private directory is made in."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PR_SET_CHILD_SUBREAPER = 36

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

        Raises ConfigurationError with what Ansible says is wrong with it, or with a limit that matches nothing.
        """
        _must_exist(self.source)
        code, output = self._run("inventory.yml", limit=self.source.limit)
        found = self.workdir / "inventory.json"
        problems = _inventory_problems(output)
        if self.source.limit and "leaves us with no hosts to target" in output:
            raise ConfigurationError(f"the limit {self.source.limit!r} matches no host of {self.source}")
        if code != 0 or problems:
            listed = problems or [
                Problem(str(self.source), "Ansible could not read it: " + one_line(output[-600:], 400))
            ]
            count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
            raise ConfigurationError(f"the inventory {self.source} has {count}", listed)
        if not found.exists():
            raise ConfigurationError(f"the inventory {self.source} has no hosts; add remotes to it")
        return {**json.loads(found.read_text()), "base": str(self.source.base), "source": str(self.source)}

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
        chosen = self.workdir / f"limit-{number}"
        chosen.write_text("".join(f"{name}\n" for name in names))
        for folder in ("readings", "proxies"):
            shutil.rmtree(self.workdir / folder, ignore_errors=True)
        counted = self.workdir / "counted"
        counted.unlink(missing_ok=True)
        state = Progress(total=len(names) if total is None else total, look=number)
        progress(state)
        ran = False

        def follow(event: dict[str, Any]) -> bool:
            nonlocal ran
            ran = ran or event.get("event") == "playbook_on_stats"
            return False

        def count() -> bool:
            with suppress(FileNotFoundError):
                letters = counted.read_text()
                if len(letters) != state.done:
                    state.done, state.failing = len(letters), letters.count("-")
                    progress(state)
            return cancel()

        code, output = self._run(
            "check.yml",
            limit=f"@{chosen}",
            forks=forks,
            follow=follow,
            cancel=count,
            tags="proxies" if proxies_only else None,
            skip_tags="alone",
            environment={
                "REMOTESTATUS_LOOK": f"{number}/{of}",
                "REMOTESTATUS_FRESH": "1" if fresh else "0",
                **({"REMOTESTATUS_KEEP": str(keep_seconds)} if keep_seconds else {}),
            },
        )
        trouble = None
        if count():
            trouble = "The round was ended before every remote had answered."
        elif not ran:
            trouble = f"Ansible did not finish: {_first_error(output) or f'exit code {code}'}"
        return Look(dict(_Answers(self.workdir / "proxies")), _Answers(self.workdir / "readings"), trouble)

    def _run(
        self,
        playbook: str,
        *,
        limit: str | None = None,
        forks: int | None = None,
        environment: Mapping[str, str] | None = None,
        follow: Callable[[dict[str, Any]], bool] = lambda _: False,
        cancel: Callable[[], bool] = lambda: False,
        tags: str | None = None,
        skip_tags: str | None = None,
    ) -> tuple[int, str]:
        self.runs += 1
        private = self.workdir / f"ansible-{self.runs}"
        private.mkdir(mode=0o700)
        options = [f"--vault-id={name}" for name in self.source.vault_ids]
        options += [f"--vault-password-file={path.absolute()}" for path in self.source.vault_password_files]
        options += [f"--tags={tags}"] if tags else []
        options += [f"--skip-tags={skip_tags}"] if skip_tags else []
        try:
            runner = ansible_runner.run(
                private_data_dir=str(private),
                playbook=str(playbooks_folder() / playbook),
                inventory=[str(path.absolute()) for path in self.source.paths],
                envvars={**self._environment(), **(environment or {})},
                cmdline=shlex.join(options) or None,
                limit=limit,
                forks=forks,
                quiet=True,
                event_handler=follow,
                cancel_callback=cancel,
                settings={"pexpect_timeout": 0.25},  # so that `cancel` is asked so often, and not every five seconds
                rotate_artifacts=0,
            )
            output = ""
            if printed := runner.stdout:
                with printed:
                    output = _ANSI.sub("", printed.read())
            return runner.rc if runner.rc is not None else -1, output
        except Exception as error:
            if isinstance(error, ConfigurationError):
                raise
            raise RoundError(f"Ansible could not be run: {one_line(error)}; `remotestatus doctor` says more") from error
        finally:
            self._end_leftovers()
            shutil.rmtree(private, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        scripts = sysconfig.get_path("scripts")
        environment = {
            "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
            "REMOTESTATUS_WORKDIR": str(self.workdir),
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
        if self.control is not None:
            environment["REMOTESTATUS_CONTROL"] = str(self.control)
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

    def _end_leftovers(self) -> None:
        """End what Ansible left running, except the shared connections, which outlive a single look."""
        for process in self._descendants():
            with suppress(psutil.Error):
                if not _is_shared_connection(process, self.workdir, self.control):
                    process.kill()
        self._descendants()

    def _end_connections(self) -> None:
        """End the shared connections."""
        processes = self._descendants()
        for process in processes:
            with suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(processes, timeout=2)[1]:
            with suppress(psutil.Error):
                process.kill()
        self._descendants()

    def _descendants(self) -> list[psutil.Process]:
        """All processes that came of this round, those that ended already collected."""
        found, not_ours = [], set(self.not_ours)
        for process in psutil.Process().children(recursive=True):  # parents come before their children
            with suppress(psutil.Error):
                if process.pid in not_ours or process.ppid() in not_ours:
                    not_ours.add(process.pid)
                elif process.status() == psutil.STATUS_ZOMBIE:
                    with suppress(OSError):
                        os.waitpid(process.pid, os.WNOHANG)
                else:
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


_FATAL_WARNINGS = re.compile(
    r"skipping unexpected key|skipping key|not a valid group|invalid section|found both group and host", re.IGNORECASE
)
_ONE_PLUGIN = re.compile(r"Failed to parse inventory with '(?P<plugin>\w+)' plugin: (?P<why>.*)", re.DOTALL)
_WHOLE_SOURCE = re.compile(r"Completely failed to parse inventory source (?P<source>\S+)")


def _inventory_problems(output: str) -> list[Problem]:
    """
    What Ansible says is wrong, a Problem each.

    Ansible quotes the lines around a mistake, and a password may stand there: only its sentence and the place are
    taken over. It tries several readers on each file and complains about each: the one that the file's name means
    is believed.
    """
    problems: list[Problem] = []
    complaints: list[tuple[str, str, str]] = []
    for block in re.split(r"(?=\[(?:ERROR|WARNING)\]:|ERROR!|fatal: )", output):
        if not block.startswith(("[ERROR]", "[WARNING]", "ERROR!", "fatal: ")):
            continue
        origin = re.search(r"^Origin: (.*)$", block, re.MULTILINE)
        where = origin[1].strip() if origin else "Ansible"
        sentence = re.sub(r"^(\[(ERROR|WARNING)\]:|ERROR!)\s*", "", re.split(r"\n\n|\nOrigin:", block)[0])
        if by_plugin := _ONE_PLUGIN.match(sentence):
            complaints.append((by_plugin["plugin"], where, one_line(by_plugin["why"], 400)))
        elif whole := _WHOLE_SOURCE.search(sentence):
            problems.append(_best_complaint(whole["source"], complaints))
        elif block.startswith("[ERROR]") or _FATAL_WARNINGS.search(sentence) or block.startswith(("ERROR!", "fatal")):
            problems.append(Problem(where, with_vault_cure(one_line(sentence, 400))))
    return list(dict.fromkeys(problem for problem in problems if problem.what))


def _best_complaint(source: str, complaints: Sequence[tuple[str, str, str]]) -> Problem:
    """Of what several readers said of one file, what the reader said that its name means."""
    about = [(plugin, where, why) for plugin, where, why in complaints if source in where]
    wanted: tuple[str, ...]
    if source.endswith((".yml", ".yaml", ".json")):
        wanted = ("auto", "yaml")
    elif os.access(source, os.X_OK):
        wanted = ("script",)
    else:
        wanted = ("ini",)
    about.sort(key=lambda complaint: (complaint[0] not in wanted, not re.search(r":\d+(:\d+)?$", complaint[1])))
    if not about:
        return Problem(source, "Ansible could not read it as an inventory")
    _plugin, where, why = about[0]
    return Problem(where if where.startswith(source) else source, with_vault_cure(why))


def _first_error(output: str) -> str:
    problems = _inventory_problems(output)
    return problems[0].what if problems else ""
