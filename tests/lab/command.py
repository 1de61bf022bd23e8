"""
Runs one command to its end, or ends it with its whole family; above all `remotestatus` itself.

Like subprocess.run, but a timeout also ends the children (ssh's jump, Ansible's workers), which would otherwise hold
the pipes open and outlive the test.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil


def run_command(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    timeout: float,
    text: str = "",
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Raises subprocess.TimeoutExpired, with the output so far, after `timeout` seconds."""
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        try:
            stdout, stderr = process.communicate(text, timeout=timeout)
        except subprocess.TimeoutExpired:
            _end_family(process.pid)
            stdout, stderr = process.communicate(timeout=10)
            raise subprocess.TimeoutExpired(argv, timeout, stdout, stderr) from None
        except BaseException:
            _end_family(process.pid)
            raise
    return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)


class Command:
    """Runs `remotestatus` as a process of its own, with a clean environment and an empty home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """
        Nothing of the person's who runs the tests, but where programs are.

        CHECKER_PROGRAMS may name a folder that is searched first: an `ssh` of another version lies there.
        """
        first = os.environ.get("CHECKER_PROGRAMS")
        search = (*([first] if first else []), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
        return {"PATH": os.pathsep.join(search), "HOME": str(self.home), "LANG": "C.UTF-8", "TZ": "UTC"}

    def __call__(
        self,
        *arguments: str | Path,
        timeout: float = 120,
        text: str = "",
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; raises subprocess.TimeoutExpired after `timeout` seconds, with all its children ended."""
        return run_command(
            [sys.executable, "-m", "remotestatus", *(str(argument) for argument in arguments)],
            environment={**self.environment, **(environment or {})},
            timeout=timeout,
            text=text,
            folder=folder or self.home,
        )


def _end_family(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for member in (*parent.children(recursive=True), parent):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
