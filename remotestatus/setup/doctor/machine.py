"""Checks the machine that runs rounds: versions, programs, locale, clock. Connects to nothing."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from remotestatus import __version__
from remotestatus.model.text import count
from remotestatus.model.untrusted_text import one_line
from remotestatus.probe import AnsibleSource, locale_is_utf8, remove_dead_directories
from remotestatus.setup.doctor.examined import Result, fine, skipped, warning, wrong

OLDEST_SSH = (8, 4)
"""The first OpenSSH with SSH_ASKPASS_REQUIRE."""

OLDEST_ANSIBLE, NEWEST_ANSIBLE = Version("2.19"), Version("2.21")
"""The oldest and the newest ansible-core that this was tested with."""

_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
_SECONDS = 20

SET_CLOCK = "set the clock by the network: timedatectl set-ntp true"
_INSTALL_SSH = "install the OpenSSH client: apt-get install openssh-client"
_UPDATE_SSH = "update OpenSSH, or put another ssh first on PATH"


def run(*command: str) -> tuple[int, str]:
    """Run a program; returns its exit code (127: not found, 124: timeout) and its output."""
    environment = {**os.environ, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} hangs"
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    return done.returncode, done.stdout + done.stderr


def check_versions() -> Iterator[Result]:
    """Check the versions of Python, remotestatus, and the packages that it needs."""
    yield fine(f"remotestatus {__version__} on Python {'.'.join(map(str, sys.version_info[:3]))}")
    try:
        needed = [Requirement(text) for text in metadata.requires("remotestatus") or ()]
    except metadata.PackageNotFoundError:
        yield warning("remotestatus itself is not installed, only its files are there", "pip install remotestatus")
        return
    good = []
    for requirement in needed:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        remedy = f"{sys.executable} -m pip install '{requirement.name}{requirement.specifier}'"
        try:
            version = Version(metadata.version(requirement.name))
        except metadata.PackageNotFoundError:
            yield wrong(f"the package {requirement.name} is not installed", remedy)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield wrong(f"{requirement.name} is {version}, and {requirement.specifier} is needed", remedy)
            continue
        if requirement.name == "ansible-core" and version.release[:2] > NEWEST_ANSIBLE.release:
            yield warning(
                f"ansible-core {version} is newer than {NEWEST_ANSIBLE}, the newest that this was tested with",
                f"if rounds fail: {sys.executable} -m pip install 'ansible-core<={NEWEST_ANSIBLE}.99'",
            )
        if requirement.name in ("ansible-core", "ansible-runner", "apprise"):
            good.append(f"{requirement.name} {version}")
    yield fine(f"packages: {', '.join(good)}")


def check_locale() -> Iterator[Result]:
    """Ansible needs a UTF-8 locale."""
    if locale_is_utf8():
        yield fine("the locale is UTF-8")
    else:
        yield warning(
            "the locale is not UTF-8, or not installed; rounds run under C.UTF-8 instead", "export LC_ALL=C.UTF-8"
        )


def check_ssh() -> Iterator[Result]:
    """Check that the OpenSSH client exists, in a version that rounds can use."""
    path = shutil.which("ssh")
    if path is None:
        yield wrong("there is no program `ssh`", _INSTALL_SSH)
        return
    _, text = run("ssh", "-V")
    found = re.search(r"OpenSSH_(?:for_Windows_)?(\d+)\.(\d+)", text)
    if not found:
        yield wrong(f"{path} is no OpenSSH: {one_line(text, 80)}", _UPDATE_SSH)
        return
    if (int(found[1]), int(found[2])) < OLDEST_SSH:
        oldest = ".".join(map(str, OLDEST_SSH))
        yield wrong(f"{path} is OpenSSH {found[1]}.{found[2]}, and {oldest} is needed", _UPDATE_SSH)
    else:
        yield fine(f"{path} is OpenSSH {found[1]}.{found[2]}")
    missing = [name for name in ("ssh-keygen", "ssh-keyscan") if shutil.which(name) is None]
    if missing:
        yield wrong(f"there is no program {' or '.join(missing)}", _INSTALL_SSH)


def check_timeout() -> Iterator[Result]:
    """Check that timeout(1) works."""
    code, text = run("timeout", "-k", "1", "5", "true")
    if code == 0:
        yield fine("the program `timeout` works")
    else:
        yield wrong(
            f"the program `timeout` does not work: {one_line(text, 200) or code}",
            "install coreutils: apt-get install coreutils",
        )


def check_dead_rounds() -> Iterator[Result]:
    """Remove what killed rounds left: private directories, and open connections."""
    if removed := remove_dead_directories():
        places = ", ".join(map(str, removed[:3]))
        yield warning(f"{count(len(removed), 'round')} ended by being killed; removed what was left: {places}")


def check_owner(source: AnsibleSource) -> Iterator[Result]:
    """Warn root about an inventory of another user."""
    if source.warning:
        yield warning(source.warning)


def check_clock(now: datetime) -> Iterator[Result]:
    """Check that the clock is plausible and, if known, synchronized."""
    if now < _BUILT:
        yield wrong(f"the clock says {now:%Y-%m-%d %H:%M} UTC, which is past", SET_CLOCK)
        return
    finding = f"the clock says {now:%Y-%m-%d %H:%M:%S} UTC"
    if shutil.which("timedatectl") is None or not Path("/run/systemd/system").is_dir():
        yield skipped(f"{finding}; nothing here knows whether it is synchronized")
        return
    code, text = run("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if code != 0:
        yield skipped(f"{finding}; timedatectl does not know whether it is synchronized")
    elif text.strip() == "yes":
        yield fine(f"{finding}, and it is synchronized")
    else:
        yield warning(f"{finding}, and it is not synchronized", SET_CLOCK)
