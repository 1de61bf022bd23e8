"""
The private directory of one round: its SSH configuration, the sockets of connections, and the answers.

It is removed with the round.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from remotestatus_playbook.client_config import files_of
from remotestatus_playbook.private_directory import (
    answer_file,
    file_name,
    read_alike,
    write_whole,
)
from remotestatus_playbook.protocol import (
    ALIKE,
    COUNTED,
    DONE,
    HANDED_OVER,
    NOT_REACHED,
    PROXY_ANSWERS,
    REACHED,
    REMOTE_ANSWERS,
    SSH_CONFIG,
    WORKER_DESCRIPTION,
    Outcome,
    RemoteAnswer,
    WorkerDescription,
)
from remotestatus_playbook.round_ssh_config import write_config
from remotestatus_playbook.topology import Topology

FILES = Path(__file__).resolve().parent.parent / "files"


def _mark(config: str) -> str:
    return hashlib.sha256(os.fsencode(config)).hexdigest()[:8]


class Workdir:
    """
    The private directory at `path`.

    Sockets of shared connections lie in `control`: there, or elsewhere when they outlive the round.
    """

    def __init__(self, path: Path, control: Path | None = None) -> None:
        self.path = path
        self.control = control or path

    def config_for(self, config: str | None, *, behind: bool = False) -> Path:
        """The configuration for a host with its own file (-F); `behind`: behind a proxy."""
        name = "remote_config" if behind else SSH_CONFIG
        return self.path / (name if config is None else f"{name}-{_mark(config)}")

    def write_ssh(self, topology: Topology, known_hosts: Path) -> None:
        for config in (None, *topology.configs):
            text = write_config(
                topology,
                control=self.control,
                known_hosts=known_hosts,
                user_configs=[str(path) for path in files_of(None)] if config is None else [self._copy(config)],
            )
            file = self.config_for(config)
            file.write_text(text)
            # Behind a proxy the handshake already travels inside an encrypted connection whose own key exchange is
            # post-quantum; the cheap exchange first saves most of a round's processor time.
            self.config_for(config, behind=True).write_text(
                f"Include {file}\nHost *\n  KexAlgorithms ^curve25519-sha256,curve25519-sha256@libssh.org\n"
            )

    def _copy(self, config: str) -> str:
        """
        A copy of a configuration file, to be included.

        ssh refuses to include a file that others can write, but accepts it with `-F`.
        """
        copy = self.path / f"own-{_mark(config)}"
        with suppress(OSError):  # the hosts' problems name it
            copy.write_bytes(Path(config).expanduser().read_bytes())
        return str(copy)

    def leave(self, folder: str, name: str, value: object) -> None:
        """Write a value to one of the folders: an answer, or the input of a probe."""
        target = answer_file(self.path, folder, name)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(target, value)

    def leave_alike(self, names: Sequence[str], answer: RemoteAnswer) -> None:
        """Write one file for an answer that many remotes share, such as all behind a down proxy."""
        folder = self.path / REMOTE_ANSWERS
        folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(folder / f"{file_name(names[0])}{ALIKE}", {"names": names, "answer": answer})

    def count(self, outcome: Outcome, remotes: int = 1) -> None:
        """Count probed remotes by appending a letter each, which is atomic."""
        with (self.path / COUNTED).open("a") as file:
            file.write((REACHED if outcome is Outcome.ANSWERED else NOT_REACHED) * remotes)

    def note_done(self) -> None:
        """Note that all answers of this attempt are there."""
        (self.path / DONE).touch()

    def hand_over(self, artifacts: Path, description: WorkerDescription) -> None:
        """Copy all answers to a worker's artifacts, with its description."""
        folder = artifacts / HANDED_OVER
        folder.mkdir(mode=0o700, exist_ok=True)
        for answers in (PROXY_ANSWERS, REMOTE_ANSWERS):
            if (self.path / answers).is_dir():
                shutil.copytree(self.path / answers, folder / answers, ignore=shutil.ignore_patterns(f"*{ALIKE}"))
        for names, answer in read_alike(self.path / REMOTE_ANSWERS):
            for name in names:
                write_whole(answer_file(folder, REMOTE_ANSWERS, name), answer)
        write_whole(folder / WORKER_DESCRIPTION, description)

    def find_remote(self, name: str) -> dict[str, object] | None:
        """A remote's answer as plain values, or None."""
        with suppress(FileNotFoundError):
            found: dict[str, object] = json.loads(answer_file(self.path, REMOTE_ANSWERS, name).read_text())
            return found
        return next((answer for names, answer in read_alike(self.path / REMOTE_ANSWERS) if name in names), None)

    def output(self, name: str) -> Path:
        """The path of the raw output of a host's probe (`.out` and `.err`)."""
        folder = self.path / "output"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / file_name(name)

    def tool(self, name: str) -> Path:
        """The path of one of our shell scripts; a copy if the installed one is not executable."""
        shipped = FILES / name
        if os.access(shipped, os.X_OK):
            return shipped
        copy = self.path / name
        if not copy.exists():
            unfinished = copy.with_suffix(f".{os.getpid()}")
            shutil.copyfile(shipped, unfinished)
            unfinished.chmod(0o700)
            unfinished.rename(copy)
        return copy
