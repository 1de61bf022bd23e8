"""
Says what the lab needs of this machine, loudly where it matters.

A missing program fails a test on CI (the environment variable CI is set) and everywhere else too, since nothing of
the lab works without; a missing privilege fails it on CI and skips it elsewhere. A test that silently did not run
proves nothing.
"""

import os
import re
import shutil
import subprocess
from functools import cache
from typing import NoReturn

import pytest

_PROGRAMS = ("sshd", "ssh", "ssh-keygen")
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/local/sbin"))


def program(name: str) -> str:
    """
    The absolute path of a program; fails the test when it is not installed.

    SERVER_PROGRAMS may name a folder that is searched first for `sshd`: one of another version lies there.
    """
    first = os.environ.get("SERVER_PROGRAMS") if name == "sshd" else None
    path = shutil.which(name, path=os.pathsep.join(filter(None, [first, _SEARCH])))
    if path is None:
        pytest.fail(f"{name} is not installed and this test needs it: apt-get install {_PACKAGES.get(name, name)}")
    return path


_PACKAGES = {"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client", "unshare": "util-linux"}


def require_ssh() -> None:
    """Fail the test unless OpenSSH's server and client are installed."""
    missing = [name for name in _PROGRAMS if shutil.which(name, path=_SEARCH) is None]
    if missing:
        pytest.fail(
            f"the lab needs real OpenSSH, and {', '.join(missing)} is not installed: apt-get install openssh-server"
        )


def require_root(purpose: str) -> None:
    """Skip the test unless it runs as root; on CI, fail it."""
    if os.geteuid() != 0:
        _refuse(f"{purpose} needs root: run the tests as root, for example with sudo .venv/bin/pytest")


def require_program(name: str, purpose: str) -> str:
    """The absolute path of an optional program, say a login shell; without it skip the test, on CI fail it."""
    path = shutil.which(name, path=_SEARCH)
    if path is None:
        _refuse(f"{purpose} needs {name}: apt-get install {name}")
    return path


@cache
def server_version() -> tuple[int, int]:
    """The version of the lab's OpenSSH servers, for instance (9, 2)."""
    # Those before 9.3 know no -V, and say their version among the words about that.
    text = subprocess.run([program("sshd"), "-V"], check=False, capture_output=True, text=True).stderr
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", text)
    if found is None:
        pytest.fail(f"the lab needs OpenSSH, and sshd -V says {text.strip()!r}")
    return int(found[1]), int(found[2])


def _refuse(sentence: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)
