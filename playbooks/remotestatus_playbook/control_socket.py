"""
A client for ssh's control socket (ssh_config(5), ControlPath).

It checks a connection, ends it, or opens a stream through it, like `ssh -O` and `ssh -W`, but with the socket's
protocol (OpenSSH's PROTOCOL.mux). So it needs no process, and measures the connect time without ssh's own start.
"""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

_SECONDS = 10
"""Seconds in which the connection's local end must answer."""

_BANNER_SECONDS = 4.0
_LONGEST_LINE = 255  # RFC 4253, 4.2

_HELLO, _VERSION = 0x00000001, 4
_ALIVE_CHECK, _TERMINATE, _NEW_STDIO_FORWARD = 0x10000004, 0x10000005, 0x10000008
_OK, _ALIVE, _SESSION_OPENED = 0x80000001, 0x80000005, 0x80000006


class ConnectError(Exception):
    """Why a connection failed, in a few words. `known`: the other end caused it."""

    def __init__(self, words: str, *, known: bool = True) -> None:
        super().__init__(words)
        self.known = known


def is_open(control: Path) -> bool:
    """Whether the shared connection of this socket is open, as far as its local end knows."""
    with suppress(ConnectError, OSError, struct.error), _greeted(control, _SECONDS) as client:
        client.send(_ALIVE_CHECK, 1)
        return client.receive()[0] == _ALIVE
    return False


def end_connection(control: Path) -> None:
    """End the shared connection behind this socket, if there is one, and wait until it is gone."""
    with suppress(ConnectError, OSError), _greeted(control, _SECONDS) as client:
        client.send(_TERMINATE, 1)
        while client.answers.read(4096):
            pass


def end_connections(folder: Path) -> None:
    """End every shared connection whose socket lies in this folder."""
    for path in folder.iterdir():
        if path.is_socket():
            end_connection(path)


@contextmanager
def connect_through(control: Path | None, host: str, port: int, seconds: float) -> Iterator[socket.socket]:
    """A stream to a host and port, through a shared connection or directly; raises ConnectError."""
    if control is None:
        with _connect(host, port, seconds) as stream:
            yield stream
        return
    ours, theirs = socket.socketpair()
    with ours, _greeted(control, seconds) as client:
        with theirs:
            name = host.encode("ascii" if host.isascii() else "idna")
            client.send(_NEW_STDIO_FORWARD, 1, 0, len(name), more=name + struct.pack(">I", port))
            for _ in range(2):  # what the channel reads from, and what it writes to
                socket.send_fds(client.stream, [b"\0"], [theirs.fileno()])
        try:
            kind, _ = client.receive()
        except TimeoutError as error:
            raise ConnectError(_no_answer(seconds)) from error
        except (OSError, struct.error) as error:
            raise ConnectError("the connection to the remote has ended", known=False) from error
        if kind not in (_OK, _SESSION_OPENED):
            raise ConnectError("refused, or no way there")
        yield ours


def read_banner(control: Path | None, address: str, port: int, seconds: float = _BANNER_SECONDS) -> str:
    """
    The first line of the SSH server at this address, as the proxy sees it; empty when there is none within its time.

    A server that limits connections (MaxStartups, PerSourcePenalties; sshd_config(5)) closes them at once, like a
    missing one; only the text before tells them apart, and ssh does not print it.
    """
    end = time.monotonic() + seconds
    with suppress(ConnectError, OSError, ValueError), connect_through(control, address, port, seconds) as way:
        return _first_line(way, end)
    return ""


def _first_line(way: socket.socket, end: float) -> str:
    """Read one line, until `end` (monotonic) even if it comes byte by byte."""
    found = b""
    while b"\n" not in found and len(found) < _LONGEST_LINE:
        way.settimeout(max(0.01, end - time.monotonic()))
        part = way.recv(_LONGEST_LINE)
        if not part:
            break
        found += part
    text = found.partition(b"\n")[0][:_LONGEST_LINE].decode("ascii", "replace")
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _connect(host: str, port: int, seconds: float) -> socket.socket:
    try:
        return socket.create_connection((host, port), timeout=seconds)
    except TimeoutError as error:
        raise ConnectError(_no_answer(seconds)) from error
    except OSError as error:
        raise ConnectError((error.strerror or type(error).__name__).lower()) from error


def _no_answer(seconds: float) -> str:
    return f"no answer within {seconds:.0f} s"


class _Client(NamedTuple):
    """A client of a shared connection; its streams end with it."""

    stream: socket.socket
    answers: BinaryIO

    def send(self, *numbers: int, more: bytes = b"") -> None:
        body = struct.pack(f">{len(numbers)}I", *numbers) + more
        self.stream.sendall(struct.pack(">I", len(body)) + body)

    def receive(self) -> tuple[int, int]:
        """Receive one message: its kind, and the number after it. Raises OSError or struct.error where it has ended."""
        (length,) = struct.unpack(">I", self.answers.read(4))
        kind, number = struct.unpack(">II", self.answers.read(min(length, 65536))[:8])
        return kind, number


@contextmanager
def _greeted(control: Path, seconds: float) -> Iterator[_Client]:
    """Yield a client after the hello; raises ConnectError if there is no connection, or another protocol."""
    with socket.socket(socket.AF_UNIX) as stream, stream.makefile("rb") as answers:
        stream.settimeout(seconds)
        client = _Client(stream, answers)
        try:
            stream.connect(str(control))
            client.send(_HELLO, _VERSION)
            greeting = client.receive()
        except (OSError, struct.error) as error:
            raise ConnectError("the connection to the remote is gone", known=False) from error
        if greeting != (_HELLO, _VERSION):
            raise ConnectError("this ssh speaks another protocol", known=False)
        yield client
