"""
A pseudo-terminal of a chosen size with a real command in it, and what a person would read there.
"""

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pexpect
import psutil

from tests.lab import Command

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]")


class Terminal:
    """`remotestatus` in a terminal of its own; a context manager that ends it."""

    def __init__(
        self,
        remotestatus: Command,
        *arguments: str | Path,
        width: int = 80,
        height: int = 30,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._child: Any = pexpect.spawn(
            sys.executable,
            ["-m", "remotestatus", *(str(argument) for argument in arguments)],
            dimensions=(height, width),
            timeout=90,
            encoding="utf-8",
            env={**remotestatus.environment, "TERM": "xterm-256color", **(environment or {})},
            cwd=str(remotestatus.home),
        )
        self.raw = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(self._child.pid)
            for member in (*family.children(recursive=True), family):
                with suppress(psutil.NoSuchProcess):
                    member.kill()
        self._child.close(force=True)

    def wait_for(self, pattern: str) -> str:
        """Wait until something is shown; returns what was shown since the last wait, without escapes."""
        self._child.expect(pattern)
        shown = str(self._child.before) + str(self._child.after)
        self.raw += shown
        return _ESCAPE.sub("", shown)

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        self._child.sendline(line)

    def press(self, key: str) -> None:
        """Press Ctrl and a key."""
        self._child.sendcontrol(key)

    def finish(self) -> tuple[int, str]:
        """Wait for the end; returns the exit code and all that was ever shown, without escapes."""
        self._child.expect(pexpect.EOF)
        self.raw += str(self._child.before)
        self._child.close()
        return int(self._child.exitstatus if self._child.exitstatus is not None else -1), _ESCAPE.sub("", self.raw)
