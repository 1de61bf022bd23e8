"""
`remotestatus watch`: rounds in the foreground, as a service of a container or on a terminal, and how they end.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotestatus.cli.watch import next_start
from remotestatus.history.database import History
from remotestatus.model.errors import RoundError
from remotestatus.probe import AnsibleSource, PlaybookRunner
from tests.lab import Command, Lab, require_program, require_root
from tests.terminal import Terminal

TIMEOUT = 90.0


class Watch:
    """A running `remotestatus watch`, its output in files, and its private directories in a folder of their own."""

    def __init__(
        self, remotestatus: Command, folder: Path, *arguments: str | Path, prefix: tuple[str, ...] = ()
    ) -> None:
        self.out, self.err = folder / "watch.out", folder / "watch.err"
        self.private = Path(f"/tmp/rsw{os.getpid()}")
        self.private.mkdir(exist_ok=True)
        words = [*prefix, sys.executable, "-m", "remotestatus", "watch", *(str(argument) for argument in arguments)]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**remotestatus.environment, "TMPDIR": str(self.private)},
                start_new_session=True,
            )

    @property
    def lines(self) -> list[str]:
        return self.out.read_text().splitlines()

    @property
    def errors(self) -> str:
        return self.err.read_text()

    def until(self, true: Callable[[], object]) -> None:
        """Wait until this is true."""
        deadline = time.monotonic() + TIMEOUT
        while not true():
            assert self.process.poll() is None, f"it ended: {self.errors}"
            assert time.monotonic() < deadline, [*self.lines, self.errors]
            time.sleep(0.05)

    def family(self) -> list[psutil.Process]:
        """All processes that it started."""
        return [
            process
            for process in psutil.process_iter()
            if _mentions(process, str(self.private)) and process.pid != self.process.pid
        ]

    def is_checking(self) -> bool:
        """Whether it is in the middle of a round: the order to the playbook is written."""
        return any(self.private.glob("rs-*/order-1.json"))

    def end(self, number: signal.Signals) -> int:
        """Send it a signal and wait for its end."""
        self.process.send_signal(number)
        return self.process.wait(timeout=TIMEOUT)

    def close(self) -> None:
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.kill()
        self.process.wait()
        for folder in self.private.glob("*"):
            subprocess.run(["rm", "-rf", str(folder)], check=True)
        self.private.rmdir()


def _mentions(process: psutil.Process, text: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return text in " ".join(process.cmdline()) or process.environ().get("TMPDIR", "").startswith(text)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


@contextmanager
def watch(remotestatus: Command, folder: Path, *arguments: str | Path, prefix: tuple[str, ...] = ()) -> Iterator[Watch]:
    """A watch that is ended with whatever it left."""
    running = Watch(remotestatus, folder, *arguments, prefix=prefix)
    try:
        yield running
    finally:
        running.close()


def _rounds(lab: Lab) -> int:
    path = lab.directory / "history.sqlite3"
    if not path.exists():
        return 0
    with History.open(path, read_only=True) as history:
        return len(history.rounds())


LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ round (\d+): (.+) \((.+)\), \d+\.\d s")


def test_a_line_for_each_round_and_the_inventory_is_read_anew(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """
    The first round runs at once; a change of the inventory holds from the next round on; a broken inventory is an error
    and does not end it; SIGTERM between rounds ends it with 0 and leaves nothing.
    """
    lab.local("one")
    inventory = lab.write_inventory()
    with watch(remotestatus, tmp_path, "-i", inventory, "--every", "2s") as running:
        running.until(lambda: running.lines)
        first = LINE.fullmatch(running.lines[0])
        assert first, running.lines
        assert first.groups() == ("1", "The remote is up", "1 up")
        lab.local("two")
        lab.write_inventory()
        running.until(lambda: "All 2 remotes are up (2 up)" in running.lines[-1])
        good = (inventory / "remotes.yml").read_text()
        (inventory / "remotes.yml").write_text("all: [oops\n")
        running.until(lambda: "the inventory" in running.errors)
        (inventory / "remotes.yml").write_text(good)
        before = len(running.lines)
        running.until(lambda: len(running.lines) > before)
        running.until(lambda: not running.is_checking())
        assert running.end(signal.SIGTERM) == 0
        assert running.family() == []
        assert list(running.private.iterdir()) == []
        assert "Traceback" not in running.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_round_gives_it_up(
    lab: Lab, remotestatus: Command, tmp_path: Path, number: signal.Signals
) -> None:
    """
    While it waits for a remote that hangs, a signal ends it within seconds with 0: the round is not recorded, so that
    nothing false stands in the history, and no ssh, no Ansible and no private directory is left.
    """
    hanging = lab.remote("hanging-1")
    hanging.hang_shell()
    lab.remote("fine-1")
    inventory = lab.write_inventory()
    with watch(remotestatus, tmp_path, "-i", inventory) as running:
        running.until(running.is_checking)
        running.until(lambda: hanging.logins() > 0)
        assert len(running.family()) > 1
        begun = time.monotonic()
        assert running.end(number) == 0
        assert time.monotonic() - begun < 20
        assert running.family() == []
        assert list(running.private.iterdir()) == []
        assert running.lines == []
        assert "the round was given up; nothing of it was recorded" in running.errors
    assert _rounds(lab) == 0


def test_an_inventory_that_hangs_is_given_up_too(remotestatus: Command, tmp_path: Path) -> None:
    """A script that never prints its hosts: a signal ends the round, with the script; nothing is left."""
    script, said = tmp_path / "hosts", tmp_path / "asked"
    script.write_text(f"#!/bin/sh\ntouch {said}\nsleep 1000\n")
    script.chmod(0o755)
    with watch(remotestatus, tmp_path, "-i", script) as running:
        running.until(said.exists)
        assert running.end(signal.SIGTERM) == 0
        assert running.family() == []
        assert list(running.private.iterdir()) == []
        assert "the round was given up; nothing of it was recorded" in running.errors


def test_an_inventory_that_hangs_is_no_endless_round(tmp_path: Path) -> None:
    """After its timeout the error says what hangs and how to reproduce it."""
    script = tmp_path / "hosts"
    script.write_text("#!/bin/sh\nsleep 1000\n")
    script.chmod(0o755)
    with (
        PlaybookRunner(AnsibleSource((script,)), patience=2) as playbooks,
        pytest.raises(RoundError, match=r"has not read the inventory .*hosts in 2 s.*ansible-inventory --list"),
    ):
        playbooks.describe_inventory()
    assert not playbooks.workdir.exists()
    assert not [one for one in psutil.process_iter() if _mentions(one, str(playbooks.workdir))]


def test_a_second_signal_ends_it_at_once(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """Two signals, one after the other, end it with 128 and the signal's number, and still nothing is left."""
    hanging = lab.remote("hanging-1")
    hanging.hang_shell()
    inventory = lab.write_inventory()
    with watch(remotestatus, tmp_path, "-i", inventory) as running:
        running.until(lambda: hanging.logins() > 0)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        assert running.end(signal.SIGTERM) == 128 + signal.SIGTERM
        assert running.family() == []
        assert list(running.private.iterdir()) == []
    assert _rounds(lab) == 0


def test_run_is_stopped_as_cleanly(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """A single round that is stopped records nothing and ends with 128 and the signal's number."""
    hanging = lab.remote("hanging-1")
    hanging.hang_shell()
    inventory = lab.write_inventory()
    with Terminal(remotestatus, "run", "-i", inventory) as terminal:
        terminal.wait_for("Checking")
        deadline = time.monotonic() + TIMEOUT
        while not hanging.logins():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        terminal.press("c")
        code, shown = terminal.finish()
    assert code == 128 + signal.SIGINT
    assert "stopped: the round was given up; nothing of it was recorded" in shown
    assert _rounds(lab) == 0


def test_it_runs_as_process_1_of_a_container(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """As process 1 it heeds SIGTERM, which has no default there, and collects orphans that it never started."""
    require_root("a process table of its own")
    unshare = require_program("unshare", "a process table of its own")
    lab.local("checker")
    inventory = lab.write_inventory()
    prefix = (unshare, "--pid", "--fork", "--mount-proc", "--kill-child")
    with watch(remotestatus, tmp_path, "-i", inventory, "--every", "3s", prefix=prefix) as running:
        running.until(lambda: running.lines)
        (inside,) = psutil.Process(running.process.pid).children()
        orphan = ["nsenter", "--target", str(inside.pid), "--pid", "sh", "-c", "sleep 0.3 & exit"]
        subprocess.run(orphan, check=True)
        count = len(running.lines)
        running.until(lambda: len(running.lines) > count + 1)
        running.until(lambda: not running.is_checking())
        assert [child for child in inside.children() if child.status() == psutil.STATUS_ZOMBIE] == []
        inside.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=TIMEOUT) == 0


def test_a_terminal_sees_the_fleet_and_the_countdown(lab: Lab, remotestatus: Command) -> None:
    """On a terminal: verdict, problem, table and a countdown; Ctrl-C ends it with 0 and a last line."""
    lab.remote("gone-1", variables={"remotestatus_attempts": 1}).cut_tunnel()
    lab.remote("fine-1")
    inventory = lab.write_inventory(remotestatus_title="Harbour")
    with Terminal(remotestatus, "watch", "-i", inventory, "--every", "10m", width=70, height=24) as terminal:
        terminal.wait_for("reading the inventory")
        terminal.wait_for(r"checking: \d of 2")
        shown = terminal.wait_for(r"next round in 9 min") + terminal.wait_for("fine-1")
        for words in ("Harbour", "1 of 2 remotes needs attention", "gone-1", "tunnel-down"):
            assert words in shown, words
        before = len(terminal.raw)
        for _ in range(3):
            terminal.wait_for(r"next round in 9 min \d+ s")
        assert terminal.raw[before:].count("\x1b[H") <= 4, "painted although nothing had changed"
        terminal.press("c")
        code, shown = terminal.finish()
    assert code == 0
    assert LINE.search(shown.splitlines()[-1])
    assert terminal.raw.count("\x1b[?1049h") == terminal.raw.count("\x1b[?1049l") == 1


@given(
    st.integers(0, 10**6).map(float),
    st.integers(1, 10**5).map(float),
    st.floats(0, 10**7),
)
def test_rounds_keep_their_interval(last: float, every: float, later: float) -> None:
    """The next round begins after now, at most one interval later, and a whole number of intervals after the last."""
    now = last + later
    begins = next_start(last, every, now)
    assert now < begins <= now + every
    assert (begins - last) % every == 0


def test_an_invalid_interval_is_refused(remotestatus: Command) -> None:
    """--every without a unit is a usage error that shows how to write it."""
    done = remotestatus("watch", "--every", "10")
    assert done.returncode == 2
    assert "write for example 10m" in done.stderr
