"""
Reads a worker's untrusted stream, as a file for ansible-runner's `process` stage.

It reads two descriptors: the stream, and the command's standard error. Lines, archive, total size, silence and time are
limited. The archive is kept in memory and never reaches ansible-runner, which would unpack it: its paths may be
malicious.
"""

import base64
import binascii
import json
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass

from remotestatus.model.worker_faults import FaultKind
from remotestatus.probe.workers.time_limits import FIRST_LINE_SECONDS, SILENCE_SECONDS

LINE_BYTES = 2 * 1024 * 1024
"""ansible-runner cuts an event's result at 700,000 characters."""

TOTAL_BYTES = 256 * 1024 * 1024

FEWEST_LINES, LINES_PER_REMOTE = 10_000, 20
"""Lines that are always allowed, and lines per remote: ansible-runner sends two for each."""

STDERR_KEPT = 6000
_CHUNK = 65536
_POLL_MILLISECONDS = 200


class WorkerFault(Exception):
    """A worker failed: `fault` is the kind, `seen` the evidence, `stderr` its command's standard error."""

    def __init__(self, fault: FaultKind, seen: str = "") -> None:
        super().__init__(seen)
        self.fault = fault
        self.seen = seen
        self.stderr = ""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """
    How long a worker may take: `deadline` is on the monotonic clock. `given_up` tells whether the round was cancelled.
    `archive_bytes` and `lines` are size limits.
    """

    deadline: float
    archive_bytes: int
    given_up: Callable[[], bool] = lambda: False
    silence: float = SILENCE_SECONDS
    first_line: float = FIRST_LINE_SECONDS
    lines: int = FEWEST_LINES


class WorkerStream:
    """The lines of one process stream. Every limit that is passed raises WorkerFault."""

    def __init__(self, stream: int, errors: int, bounds: StreamLimits) -> None:
        self.archive = b""
        self.stderr = b""
        self.cut = False
        """Whether the stream ended without its end mark."""
        self._stream = stream
        self._bounds = bounds
        self._buffer = bytearray()
        self._total = self._lines = 0
        self._heard = False
        self._errors_open = True
        self._silent = 0.0
        self._poll = select.poll()
        for descriptor in (stream, errors):
            self._poll.register(descriptor, select.POLLIN | select.POLLHUP)

    def readline(self) -> bytes:
        """The next line of the stream, without archives. Empty when the stream has ended."""
        while True:
            line = self._line()
            if not line:
                self.cut = True
                return b""
            try:
                data = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise WorkerFault(FaultKind.GARBAGE, _quote(line)) from error
            if not isinstance(data, dict) or isinstance(data.get("status"), list | dict):
                raise WorkerFault(FaultKind.GARBAGE, _quote(line))
            if "zipfile" not in data:
                return line
            self._keep_archive(data["zipfile"])

    def drain(self, seconds: float) -> None:
        """Read the command's standard error until it ends, or for this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._errors_open:
            for descriptor, _event in self._poll.poll(left * 1000):
                chunk = os.read(descriptor, _CHUNK)
                if descriptor == self._stream:
                    self._poll.unregister(descriptor)
                else:
                    self._keep_error(descriptor, chunk)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LINE_BYTES:
                raise WorkerFault(FaultKind.GARBAGE, "a line without end")
            if not self._fill():
                if self._buffer:
                    raise WorkerFault(FaultKind.GARBAGE, _quote(bytes(self._buffer)))
                return b""
        self._lines += 1
        if self._lines > self._bounds.lines:
            raise WorkerFault(FaultKind.GARBAGE, "it sends lines without end")
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    def _keep_archive(self, size: object) -> None:
        """Keep the archive that follows: base64, without a line's end (ansible_runner.utils.base64io)."""
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= self._bounds.archive_bytes:
            raise WorkerFault(FaultKind.GARBAGE, "an archive of an impossible size")
        encoded = (size + 2) // 3 * 4
        while len(self._buffer) < encoded:
            if not self._fill():
                raise WorkerFault(FaultKind.ENDED, "the stream ended within its archive")
        try:
            self.archive = base64.b64decode(self._buffer[:encoded], validate=True)
        except binascii.Error as error:
            raise WorkerFault(FaultKind.GARBAGE, "an archive that is not base64") from error
        del self._buffer[:encoded]

    def _fill(self) -> bool:
        """Wait for more of the stream; False when it has ended."""
        while True:
            self._check_time()
            begun = time.monotonic()
            for descriptor, _event in self._poll.poll(_POLL_MILLISECONDS):
                chunk = os.read(descriptor, _CHUNK)
                if descriptor != self._stream:
                    self._keep_error(descriptor, chunk)
                    continue
                self._heard, self._silent = True, 0.0
                self._total += len(chunk)
                if self._total > TOTAL_BYTES:
                    raise WorkerFault(FaultKind.GARBAGE, "it sends without end")
                self._buffer += chunk
                return bool(chunk)
            # Counted only while we read: a busy or suspended checker must not take it for silence.
            self._silent += min(time.monotonic() - begun, 2 * _POLL_MILLISECONDS / 1000)

    def _keep_error(self, descriptor: int, chunk: bytes) -> None:
        if not chunk:
            self._poll.unregister(descriptor)
            self._errors_open = False
        self.stderr = (self.stderr + chunk)[:STDERR_KEPT]

    def _check_time(self) -> None:
        now, bounds = time.monotonic(), self._bounds
        if bounds.given_up():
            raise WorkerFault(FaultKind.GIVEN_UP)
        if now > bounds.deadline:
            raise WorkerFault(FaultKind.TOO_SLOW)
        if self._silent > (bounds.silence if self._heard else bounds.first_line):
            raise WorkerFault(FaultKind.SILENT)


def _quote(line: bytes) -> str:
    """The start of an invalid line, without the environment that ansible-runner prints, which may hold passwords."""
    return line.partition(b'"env"')[0][:200].decode("utf-8", "replace")
