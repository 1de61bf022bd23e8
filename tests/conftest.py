"""
What every test may ask for: a lab, sinks for mail and web hooks, and the installed command as a real process.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests.lab import Command, HttpSink, Lab, SmtpSink, lab_folders

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _blocking_standard_input() -> None:
    """A browser driver makes the standard input that it shares with us non-blocking, and Ansible refuses that."""
    os.set_blocking(0, True)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """An empty fleet of real OpenSSH servers in a folder of its own."""
    with Lab(tmp_path / "lab") as lab:
        yield lab


@pytest.fixture
def smtp_sink() -> Iterator[SmtpSink]:
    """A real mail server that collects."""
    with SmtpSink() as sink:
        yield sink


@pytest.fixture
def http_sink() -> Iterator[HttpSink]:
    """A real web server that collects."""
    with HttpSink() as sink:
        yield sink


@pytest.fixture
def remotestatus(tmp_path: Path) -> Command:
    """The command itself: `remotestatus("run", "-i", lab.write_inventory()).returncode`."""
    return Command(tmp_path / "home")


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_the_lab_remains() -> Iterator[None]:
    """When all tests are done, no process of any lab lives and no folder of one is left."""
    yield
    folders = lab_folders()
    left = [process for process in psutil.process_iter(["pid", "cmdline", "cwd"]) if _belongs(process, folders)]
    assert not left, f"processes of the lab remain: {[process.info for process in left]}"
    assert not [folder for folder in folders if folder.exists()]


def _belongs(process: psutil.Process, folders: frozenset[Path]) -> bool:
    words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
    return any(str(folder) in word for folder in folders for word in words)
