"""
Takes what the playbook says of the inventory through a named pipe that only we can read.

The evaluated inventory holds secrets in clear text: URLs of destinations, commands of checks. So it is never in a file,
which would stay behind when the round is killed. Whoever reads has to go on reading until it is whole: a pipe holds
only so much.
"""

import os
from contextlib import suppress
from pathlib import Path


class InventoryPipe:
    """The pipe, from the first on; the playbook writes one line of JSON into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._received = bytearray()
        os.mkfifo(path, 0o600)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> str | None:
        """What was written, once it is whole."""
        with suppress(BlockingIOError):
            while part := os.read(self._descriptor, 1 << 20):
                self._received += part
        return self._received.decode() if self._received.endswith(b"\n") else None

    def close(self) -> None:
        """Remove it. The playbook writes nothing where there is no pipe."""
        os.close(self._descriptor)
        with suppress(OSError):  # the round's directory goes with the round
            self.path.unlink()
