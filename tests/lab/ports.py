"""
Reserves TCP ports of 127.0.0.1, and stands in for a server that misbehaves.

A port is reserved by a bound socket that never listens: the kernel gives such a port to nobody else, in no other test
process, yet a server that sets SO_REUSEADDR (as sshd and Python's servers do) may listen on it, stop, and come again.
"""

import contextlib
import socket
import threading
from enum import StrEnum
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LISTEN = "0A"


class Port:
    """A port that is ours until closed; nothing listens on it yet."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind((LOOPBACK, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.number: int = self._socket.getsockname()[1]

    def listened_to(self) -> bool:
        """Does anything listen here? Read from proc(5), so that whoever listens does not notice the question."""
        local = f"0100007F:{self.number:04X}"
        rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return any(row[1] == local and row[3] == _LISTEN for row in rows)

    def close(self) -> None:
        self._socket.close()


class Manner(StrEnum):
    """How an impostor misbehaves."""

    DROPPING = "the connection is never accepted: the queue of the socket is full, and the kernel drops packets"
    SILENT = "the connection is accepted, and nothing is ever said"
    CLOSING = "the connection is accepted and closed at once"


class Impostor:
    """A real listening socket in the place of a server."""

    def __init__(self, port: int, manner: Manner) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((LOOPBACK, port))
        self._listener.listen(0 if manner is Manner.DROPPING else 256)
        self._fillers: list[socket.socket] = []
        self._thread: threading.Thread | None = None
        match manner:
            case Manner.DROPPING:
                self._fill(port)
            case Manner.CLOSING:
                self._thread = threading.Thread(target=self._close_each, daemon=True)
                self._thread.start()
            case Manner.SILENT:
                pass

    def close(self) -> None:
        # A blocked accept() is woken by shutdown, not by close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._thread:
            self._thread.join(timeout=5)
        self._listener.close()
        for filler in self._fillers:
            filler.close()

    def _fill(self, port: int) -> None:
        for _ in range(16):
            filler = socket.socket()
            self._fillers.append(filler)
            filler.settimeout(0.2)
            try:
                filler.connect((LOOPBACK, port))
            except TimeoutError:
                return
        raise RuntimeError("the queue of a listening socket could not be filled")

    def _close_each(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.close()
