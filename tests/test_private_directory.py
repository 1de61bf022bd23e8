"""
The private directories of rounds: what is left of a round that was killed is removed, and nothing else.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from remotestatus_playbook.children import Child, run_all
from remotestatus_playbook.private_directory import MARKER, dead_directories, make_private_directory, write_pipe

from remotestatus.probe import remove_dead_directories
from remotestatus.probe.secret_channels import SecretPipe
from tests.lab import Command, Lab
from tests.rounds import await_that


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where private directories lie: a folder with a short path."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def dead_process() -> int:
    """The number of a process that has died."""
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


def test_only_what_is_ours_and_dead_is_removed(place: Path) -> None:
    """A living round's stays, and so does what has no marker, another mode, a link, or another's name."""
    living, dead = make_private_directory(os.getpid()), make_private_directory(dead_process())
    unmarked = place / "rs-abcdefgh"
    unmarked.mkdir(mode=0o700)
    open_to_all = make_private_directory(dead_process())
    open_to_all.chmod(0o755)
    link = place / "rs-linklink"
    link.symlink_to(dead)
    named = dead.rename(place / "rs-other-name")
    marked = make_private_directory(dead_process())
    assert [one for one in dead_directories() if one.parent == place] == [marked]
    assert marked in remove_dead_directories()
    assert sorted(one.name for one in place.iterdir()) == sorted(
        one.name for one in (living, unmarked, open_to_all, link, named)
    )


@pytest.mark.parametrize(
    ("boot", "namespace", "is_dead"),
    [("another", "same", True), ("same", "another", False), ("", "same", False)],
    ids=["before the machine started", "another container", "no /proc"],
)
def test_whose_process_it_is(place: Path, boot: str, namespace: str, is_dead: bool) -> None:
    """A number means nothing after the machine was started again, and in another container it is somebody else's."""
    made = make_private_directory(dead_process())
    owner, own_boot, own_namespace, started = json.loads((made / MARKER).read_text())
    values = [owner, own_boot if boot == "same" else boot, own_namespace if namespace == "same" else namespace, started]
    (made / MARKER).write_text(json.dumps(values))
    assert (made in list(dead_directories())) is is_dead


@pytest.mark.parametrize("marker", ["", "[", "[1]", "{}", "[" * 200_000, "null"], ids=range(6))
def test_a_damaged_marker_is_none(place: Path, marker: str) -> None:
    """Whatever stands in it: nothing is removed, and nothing fails."""
    made = make_private_directory(dead_process())
    (made / MARKER).write_text(marker)
    assert made not in list(dead_directories())


def test_a_directory_that_cannot_be_marked_does_not_stay(place: Path) -> None:
    """A file system without room for the marker: nobody would know later whose the directory was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OSError, match="no private directory could be made"):
            make_private_directory(os.getpid())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(place.iterdir()) == []


def test_a_large_inventory_comes_whole_through_the_pipe(tmp_path: Path) -> None:
    """A pipe holds 64 KiB; what is larger comes in parts, and is there when its last part is."""
    path = tmp_path / "inventory.json"
    pipe = SecretPipe(path)
    value = {"text": "x" * 3_000_000}
    code = "import sys, pathlib; from remotestatus_playbook.private_directory import write_pipe; "
    code += "write_pipe(pathlib.Path(sys.argv[1]), {'text': 'x' * 3_000_000})"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], env={**os.environ, "PYTHONPATH": "playbooks"}):
        text = None
        end = time.monotonic() + 20
        while text is None and time.monotonic() < end:
            text = pipe.read()
    pipe.close()
    assert json.loads(text or "") == value
    write_pipe(path, value)
    assert not path.exists()


def test_what_a_program_reads_is_in_no_file(tmp_path: Path) -> None:
    """Commands of checks may hold passwords: standard input has no name anywhere."""
    child = Child("x", ["sh", "-c", f"ls {tmp_path}; cat"], b"secret-command", tmp_path / "x", seconds=10)
    for ended in run_all([child], 1):
        assert ended.out.read_text().split() == ["x.err", "x.out", "secret-command"]
        ended.forget()


def test_a_killed_round_leaves_no_secret_and_no_folder(lab: Lab, remotestatus: Command) -> None:
    """While a round runs no file holds a secret of the inventory, and the next one removes what a kill -9 left."""
    secret = "hunter2-hunter2"
    remote = lab.remote("hangs", variables={"remotestatus_checks": [{"name": "c", "command": f"echo {secret}"}]})
    remote.hang_shell()
    inventory = lab.write_inventory(
        remotestatus_timeout=8,
        remotestatus_apprise=[f"json://user:{secret}@127.0.0.1:9/x"],
        remotestatus_heartbeat=f"http://127.0.0.1:9/{secret}",
    )
    environment = {**remotestatus.environment, "XDG_RUNTIME_DIR": str(lab.scratch)}
    with subprocess.Popen(
        [sys.executable, "-m", "remotestatus", "run", "-q", "-i", inventory],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as checker:
        found: set[str] = set()
        while remote.logins() == 0:
            found |= set(holding(lab.scratch, secret))
        found |= set(holding(lab.scratch, secret))
        checker.send_signal(signal.SIGKILL)
    assert found == set()
    [left] = lab.scratch.glob("rs-*")
    remote.restore()
    await_that(lambda: remotestatus("doctor", "--offline", "-i", inventory, environment=environment).returncode >= 0)
    assert not left.exists()


def holding(folder: Path, text: str) -> list[str]:
    """The files below a folder that hold a text."""
    done = subprocess.run(
        ["grep", "-rlaF", "-D", "skip", text, str(folder)], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()
