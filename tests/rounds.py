"""
Runs rounds over a lab, as a timer would, and reads back what they recorded.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from remotestatus.history.database import History
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult
from remotestatus.model.states import Kind, State
from tests.lab import Command, Lab
from tests.lab.inventory import known_name


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one round recorded: check results by name, states, how long it took in seconds, and what it printed."""

    readings: Mapping[str, CheckResult]
    states: Mapping[tuple[Kind, str], State]
    seconds: float
    printed: str

    @property
    def causes(self) -> dict[str, Cause | None]:
        """The first cause of every remote; None for one that is up."""
        return {name: result.trouble.cause if result.trouble else None for name, result in self.readings.items()}

    @property
    def proxy_causes(self) -> dict[str, Cause | None]:
        """The same for every proxy."""
        return {
            name: state.troubles[0].cause if state.troubles else None
            for (kind, name), state in self.states.items()
            if kind is Kind.PROXY
        }

    def words(self, name: str) -> str:
        """Everything people are told of one remote: message, hint and the line of evidence of each finding."""
        return "\n".join(f"{one.message} {one.hint} {one.detail}" for one in self.readings[name].troubles)


def run_round(lab: Lab, remotestatus: Command, inventory: Path, *, timeout: float = 120) -> Recorded:
    """Run one round, which has to succeed whatever it finds."""
    started = time.monotonic()
    done = remotestatus("run", "-i", inventory, timeout=timeout)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stdout + done.stderr
    with History.open(lab.directory / "history.sqlite3") as history:
        return Recorded(history.check_results(), history.states(), seconds, done.stdout)


def forget_key(lab: Lab, name: str) -> None:
    """Take the trusted host key of one host away."""
    name = known_name(lab.proxies[name], lab.way) if name in lab.proxies else name
    lines = lab.known_hosts.read_text().splitlines(keepends=True)
    lab.known_hosts.write_text("".join(line for line in lines if not line.startswith(f"{name} ")))


def await_that(done: Callable[[], bool]) -> None:
    """Return as soon as it is done; raises AssertionError after 20 seconds."""
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether there is such a process. One that has ended and that nobody collects, as in many a container, is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
