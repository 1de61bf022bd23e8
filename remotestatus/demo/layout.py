"""
The files of one fleet: one directory.
"""

from pathlib import Path


class Layout:
    """The files of one fleet. Ansible reads all of `inventory/`, so it contains nothing else."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory = directory.resolve()
        self.marker = directory / "README.txt"  # marks the directory as a demo's, which may be overwritten
        self.inventory = directory / "inventory"  # the folder to give to -i
        self.known_hosts = directory / "known_hosts"
        self.keys = directory / "keys"  # those that log in at the proxy (`proxy`) and at the remotes (`remotes`)
        self.messages = directory / "messages.jsonl"
        self.running = directory / "fleet.json"  # process id, control port and token, while the fleet runs
        self.log = directory / "fleet.log"  # standard error of the fleet's process
        self.programs = directory / "bin"  # the PATH of the remotes' programs, which holds a `python` only

    def home(self, name: str) -> Path:
        """The working directory of a remote's (or the proxy's) commands and programs."""
        return self.directory / "homes" / name
