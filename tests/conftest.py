"""
What every test may ask for: a lab, sinks for mail and web hooks, and the installed command as a real process.

A test that asks for something which takes seconds to start gets the marker `slow`; `make test-fast` leaves it out.
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

SLOW_FIXTURES = frozenset({"lab", "remotestatus", "shell", "smtp_sink"})
"""What starts real SSH and mail servers, the probe in a real shell, or the command with Ansible behind it."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Mark as slow what uses one of these fixtures, or one that is kept for a whole module because it is expensive; and
    what has a group of its own, because that must not run beside itself, and the slow tests run beside the quick ones.

    Tests with such a kept fixture stay on one worker, so that it is made once. What takes minutes begins first, so that
    no worker waits for it at the end.
    """
    for item in items:
        if isinstance(item, pytest.Function):
            kept = _keeps_a_fixture(item)
            group = item.get_closest_marker("xdist_group")
            if kept or group or SLOW_FIXTURES & set(item.fixturenames):
                item.add_marker(pytest.mark.slow)
            if kept and not group:
                item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: (not item.get_closest_marker("takes_minutes"), not item.get_closest_marker("slow")))


def _keeps_a_fixture(item: pytest.Function) -> bool:
    definitions = item._fixtureinfo.name2fixturedefs
    return any(one.scope == "module" for name in item.fixturenames for one in definitions.get(name, ()))


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
