"""
The private directory of one round: its SSH configuration, sockets, and what each step leaves for the next.

Mode 0700, with a short path because a socket's path may not be longer than about 100 bytes. Everything in it goes with
the round.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote as quote_name

from remotestatus_playbook.paths import USER_CONFIGS, Topology, write_config

COUNTED, REACHED, NOT_REACHED = "counted", "+", "-"
"""How far the looking has come: a file with a letter for each remote that was looked at."""

DONE = "done"
"""That all answers are there: nobody has to wait for Ansible itself to end."""

FILES = Path(__file__).resolve().parent.parent / "files"

_NEARLY_FULL = 64 * 1024

_LONGEST_SOCKET = 104 - 49 - 1 - 17
"""What sun_path leaves for the directory: a name has up to 49 characters, and ssh appends 17 while it makes it."""


class Workdir:
    """
    The private directory at `path`; see `make` for a new one.

    Sockets of shared connections lie in `control`: there, or elsewhere when they outlive the round.
    """

    def __init__(self, path: Path, control: Path | None = None) -> None:
        self.path = path
        self.control = control or path

    @classmethod
    def make(cls) -> "Workdir":
        """Make a new one in the first directory whose path is short enough for a socket."""
        return cls(make_private_directory())

    @property
    def ssh_config(self) -> Path:
        """The configuration for the proxies, and for whatever passes through them."""
        return self.path / "ssh_config"

    @property
    def remote_config(self) -> Path:
        """The configuration for remotes behind a proxy."""
        return self.path / "remote_config"

    def write_ssh(self, topology: Topology, known_hosts: Path, *, connect_timeout: int = 12) -> None:
        """Write both configurations."""
        text = write_config(
            topology,
            control=self.control,
            known_hosts=known_hosts,
            user_configs=[*topology.configs, *USER_CONFIGS],
            connect_timeout=connect_timeout,
        )
        self.ssh_config.write_text(text)
        # Behind a proxy the handshake already travels inside an encrypted connection whose own key exchange is
        # post-quantum; the cheap exchange first saves most of a round's processor time.
        self.remote_config.write_text(
            f"Include {self.ssh_config}\nHost *\n  KexAlgorithms ^curve25519-sha256,curve25519-sha256@libssh.org\n"
        )

    def leave(self, kind: str, name: str, values: dict[str, Any]) -> None:
        """Leave one host's values for a later step, whole or not at all."""
        target = self._file(kind, name)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        _write_whole(target, values)

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """What was left under this name, or None."""
        try:
            found = json.loads(self._file(kind, name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def leave_inventory(self, described: dict[str, Any]) -> None:
        """Leave what there is to know of the inventory, for whoever started us."""
        _write_whole(self.path / "inventory.json", described)

    def leave_plans(self, plans: dict[str, dict[str, Any]]) -> None:
        """Leave how each remote is looked at."""
        self._plans.write_text(json.dumps(plans))

    def find_plans(self) -> dict[str, dict[str, Any]]:
        """How each remote is looked at."""
        found: dict[str, dict[str, Any]] = json.loads(self._plans.read_text())
        return found

    def count(self, *, reached: bool) -> None:
        """Count one more remote that was looked at: a letter each, so that nobody has to read a half-written number."""
        with (self.path / COUNTED).open("a") as file:
            file.write(REACHED if reached else NOT_REACHED)

    def note_done(self) -> None:
        """Note that all answers of this look are there."""
        (self.path / DONE).touch()

    def output(self, name: str) -> Path:
        """Where the raw output of one host's probe goes while it runs (`.out` and `.err`)."""
        folder = self.path / "output"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / quote_name(name, safe="")

    def tool(self, name: str) -> Path:
        """One of our shell scripts, executable: where it was installed, or a copy if that lost its mode."""
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

    def is_full(self) -> bool:
        """Whether hardly anything can be written to it any more."""
        return shutil.disk_usage(self.path).free < _NEARLY_FULL

    def remove(self) -> None:
        """Remove it with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def _plans(self) -> Path:
        return self.path / "plans.json"

    def _file(self, kind: str, name: str) -> Path:
        return self.path / kind / (quote_name(name, safe="") + ".json")


def _write_whole(path: Path, values: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(values))
    unfinished.rename(path)


def make_private_directory() -> Path:
    """Make a directory that only we can enter, with a path short enough for sockets."""
    candidates = [os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"]  # noqa: S108
    for parent in candidates:
        if not parent or len(os.fsencode(parent)) + len("/rs-12345678") > _LONGEST_SOCKET:
            continue
        try:
            return Path(tempfile.mkdtemp(prefix="rs-", dir=parent))
        except OSError:
            continue
    raise OSError(f"no private directory could be made in any of {', '.join(filter(None, candidates))}")
