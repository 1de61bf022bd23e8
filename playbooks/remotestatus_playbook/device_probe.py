"""
Connects to devices behind a remote through the remote's own SSH connection: is it the box, or the camera?

Takes the control socket of the remote's connection (ssh_config(5), ControlPath) and the devices; returns a DeviceOutput
for each. Nothing runs on the remote: its SSH server opens a channel to each device, all at the same time. What ssh -W
does with a process for each is done here with the protocol of its own control socket (PROTOCOL.mux of OpenSSH), so it
costs no process, and the time to a connection is the device's and not ssh's.
"""

import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from remotestatus_playbook.certificate_dates import valid_until
from remotestatus_playbook.protocol import DeviceOutput

SECONDS = 8.0
"""A device may take so long to answer; a TCP connection that gets no answer is given up after about that."""

_HELLO, _VERSION = 0x00000001, 4
_NEW_STDIO_FORWARD, _TERMINATE = 0x10000008, 0x10000005
_OK, _SESSION_OPENED = 0x80000001, 0x80000006


@dataclass(frozen=True, slots=True)
class Device:
    """A device: host and port as the remote sees them, and whether it speaks TLS there."""

    name: str
    host: str
    port: int
    tls: bool = False


class DeviceError(Exception):
    """Why a device could not be connected to, in a few words. `known`: it is the device's doing."""

    def __init__(self, words: str, *, known: bool = True) -> None:
        super().__init__(words)
        self.known = known


def ask_devices(control: Path | None, devices: Sequence[Device], seconds: float) -> tuple[DeviceOutput, ...]:
    """Connect to all of them; without a control socket directly from here, because the remote is this machine."""
    limit = max(1.0, min(SECONDS, seconds))
    with ThreadPoolExecutor(max_workers=max(1, min(len(devices), 16))) as pool:
        return tuple(pool.map(lambda device: _ask(control, device, limit), devices))


@contextmanager
def connect_through(control: Path | None, device: Device, seconds: float) -> Iterator[socket.socket]:
    """A stream to a host and port, through an open connection or directly; raises DeviceError."""
    with _Channel(control, seconds) if control else _Direct() as way:
        yield way.connect(device, seconds)


def end_connection(control: Path) -> None:
    """End the remote's connection, if it is there."""
    with suppress(DeviceError, OSError), _Channel(control, 2) as channel:
        channel.send(struct.pack(">II", _TERMINATE, 1))
        channel.receive()


def _ask(control: Path | None, device: Device, seconds: float) -> DeviceOutput:
    started = time.monotonic()
    connected = None
    try:
        with _Channel(control, seconds) if control else _Direct() as way:
            stream = way.connect(device, seconds)
            connected = round((time.monotonic() - started) * 1000)
            if not device.tls:
                return DeviceOutput(device.name, connected=True, connect_ms=connected)
            until = _certificate_of(stream, device, seconds - (time.monotonic() - started))
            return DeviceOutput(device.name, connected=True, connect_ms=connected, certificate_until=until)
    except DeviceError as error:
        return DeviceOutput(device.name, connected=False if error.known else None, error=str(error))
    except (OSError, ValueError) as error:
        # It was connected to, and what came then is no TLS.
        words = f"no TLS: {_say_fault(error)}"[:200]
        return DeviceOutput(device.name, connected=connected is not None, connect_ms=connected, error=words)


def _say_fault(error: OSError | ValueError) -> str:
    """What a device did in place of a handshake, in a few words."""
    if isinstance(error, TimeoutError):
        return "it says nothing"
    if isinstance(error, ConnectionError | ssl.SSLEOFError):
        return "it ends the connection"
    reason = str(getattr(error, "reason", None) or type(error).__name__)
    return reason.lower().replace("_", " ")


def _certificate_of(stream: socket.socket, device: Device, seconds: float) -> float | None:
    """When the device's certificate ends. Whoever signed it: it is only looked at, and nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(ValueError, ssl.SSLError):
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("ALL:@SECLEVEL=0")
    stream.settimeout(max(1.0, seconds))
    with context.wrap_socket(stream, server_hostname=device.host, do_handshake_on_connect=True) as secured:
        certificate = secured.getpeercert(binary_form=True)
    return valid_until(certificate) if certificate else None


class _Direct:
    """A connection from this machine itself."""

    def __init__(self) -> None:
        self._stream: socket.socket | None = None

    def __enter__(self) -> "_Direct":
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def connect(self, device: Device, seconds: float) -> socket.socket:
        """Connect; raises DeviceError."""
        try:
            self._stream = socket.create_connection((device.host, device.port), timeout=seconds)
        except TimeoutError as error:
            raise DeviceError(f"no answer within {seconds:.0f} s") from error
        except OSError as error:
            raise DeviceError((error.strerror or type(error).__name__).lower()) from error
        return self._stream


class _Channel:
    """One client of the remote's shared connection. What it opens ends with it."""

    def __init__(self, control: Path, seconds: float) -> None:
        self._client = socket.socket(socket.AF_UNIX)
        self._ends: list[socket.socket] = []
        self._client.settimeout(seconds + 1)
        try:
            self._client.connect(str(control))
            self.send(struct.pack(">II", _HELLO, _VERSION))
            kind, version = struct.unpack(">II", self.receive()[:8])
        except (OSError, struct.error) as error:
            self._client.close()
            raise DeviceError("the connection to the remote is gone", known=False) from error
        if (kind, version) != (_HELLO, _VERSION):
            self._client.close()
            raise DeviceError("this ssh speaks another protocol", known=False)

    def __enter__(self) -> "_Channel":
        return self

    def __exit__(self, *_: object) -> None:
        for one in (*self._ends, self._client):
            one.close()

    def send(self, body: bytes) -> None:
        """Send one message."""
        self._client.sendall(struct.pack(">I", len(body)) + body)

    def receive(self) -> bytes:
        """Receive one message."""
        (length,) = struct.unpack(">I", self._read(4))
        return self._read(min(length, 65536))

    def _read(self, length: int) -> bytes:
        found = b""
        while len(found) < length:
            part = self._client.recv(length - len(found))
            if not part:
                raise OSError("the connection has ended")
            found += part
        return found

    def connect(self, device: Device, seconds: float) -> socket.socket:
        """Let the remote's SSH server connect; raises DeviceError."""
        ours, theirs = socket.socketpair()
        self._ends += [ours, theirs]
        host = device.host.encode("idna" if not device.host.isascii() else "ascii")
        self.send(struct.pack(">IIII", _NEW_STDIO_FORWARD, 1, 0, len(host)) + host + struct.pack(">I", device.port))
        for _ in range(2):  # what the channel reads from, and what it writes to
            socket.send_fds(self._client, [b"\0"], [theirs.fileno()])
        theirs.close()
        if not select.select([self._client], [], [], seconds)[0]:
            raise DeviceError(f"no answer within {seconds:.0f} s")
        try:
            (kind,) = struct.unpack(">I", self.receive()[:4])
        except (OSError, struct.error) as error:
            raise DeviceError("the connection to the remote has ended", known=False) from error
        if kind not in (_OK, _SESSION_OPENED):
            raise DeviceError("refused, or no way there")
        return ours
