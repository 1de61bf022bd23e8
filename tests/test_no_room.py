"""
A machine without room, and other users on it: a sentence with the place, and rounds that go on where they can.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from remotestatus.history import History, only_round
from remotestatus.model.errors import RoundRunning
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.probe.runtime_directories import kept_folders
from tests.lab import Command, Lab, require_root


@contextmanager
def small_disk(options: str) -> Iterator[Path]:
    """A file system of its own, with little room."""
    require_root("a small disk")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("options", ["size=24k", "nr_inodes=5", "nr_inodes=16"])
def test_no_room_is_never_called_a_wrong_inventory(lab: Lab, remotestatus: Command, options: str) -> None:
    """Whatever of Ansible first finds no room: exit code 3, and where it is missing."""
    lab.local("here")
    inventory = lab.write_inventory()
    with small_disk(options) as disk:
        done = remotestatus("run", "-i", inventory, environment={"TMPDIR": str(disk), "XDG_RUNTIME_DIR": ""})
        said = " ".join(done.stderr.split())
        assert done.returncode == 3, done.stdout + done.stderr
        assert f"nothing can be written to {disk}: No space left on device" in said or "could be made" in said
        assert "inventory has" not in said


def test_a_full_disk_keeps_nobody_from_the_lock() -> None:
    """There is no room for the number of the process that holds it: it is held all the same."""
    with small_disk("size=4k") as disk:
        (disk / "full").write_bytes(bytes(4096))
        history = disk / "history.sqlite3"
        with only_round(history), pytest.raises(RoundRunning, match="another process"), only_round(history):
            pass


def test_a_history_on_a_disk_that_became_read_only_is_read() -> None:
    """A file system with errors is made read-only by the kernel: what the last round found is still to be had."""
    with small_disk("size=1m") as disk:
        history = disk / "history.sqlite3"
        with History.open(history) as opened, opened.transaction() as db:
            db.execute("INSERT INTO rounds (started, finished, remotes, troubles) VALUES (1, 2, 3, '[]')")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with History.open(history, read_only=True) as opened:
            assert [one.remotes for one in opened.rounds()] == [3]


def test_a_limit_on_files_is_a_sentence(lab: Lab, remotestatus: Command) -> None:
    """`ulimit -f` of a service that is set too low: exit code 3, and no traceback."""
    lab.local("here")
    inventory = lab.write_inventory()
    script = f'ulimit -f 8; exec remotestatus run -q -i "{inventory}"'
    done = subprocess.run(
        ["bash", "-c", script], env=remotestatus.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "inventory has" not in done.stderr


def test_who_takes_the_name_of_kept_connections_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's file has every name that there is for them: the round keeps none, and is done."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    database = tmp_path / "history.sqlite3"
    taken = kept_folders(database)
    for folder in taken:
        folder.write_text("mine")
    try:
        with PlaybookRunner(AnsibleSource((tmp_path,))) as runner:
            assert not runner.keep_connections(database)
            assert runner.child_processes.control is None
    finally:
        for folder in taken:
            folder.unlink()


def test_root_is_told_whose_inventory_it_runs(tmp_path: Path) -> None:
    """Whoever may edit an inventory can have root run commands."""
    require_root("files of another user")
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    source = AnsibleSource((inventory,))
    assert source.warning == ""
    os.chown(inventory, 65534, 65534)
    assert "belongs to nobody" in source.warning
