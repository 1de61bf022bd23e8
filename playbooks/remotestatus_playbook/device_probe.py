"""
Connects to devices behind a remote, through the remote's SSH connection.

Nothing runs on the remote: its SSH server opens a channel to each device, all at the same time.
"""

import re
import socket
import ssl
import time
from calendar import timegm
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from remotestatus_playbook.control_socket import ConnectError, connect_through
from remotestatus_playbook.protocol import DeviceOutput

SECONDS = 8.0
"""Seconds in which a device must answer; about those of a TCP connect without an answer."""

_VALIDITY = re.compile(rb"(?:\x17\r\d{12}|\x18\x0f\d{14})Z(?:\x17\r(\d{12})|\x18\x0f(\d{14}))Z")
"""From when until when a certificate is valid (DER), each a UTCTime or a GeneralizedTime: RFC 5280, 4.1.2.5."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device: host and port as the remote sees them, and whether it speaks TLS there."""

    name: str
    host: str
    port: int
    tls: bool = False


def ask_devices(control: Path | None, devices: Sequence[Device], seconds: float) -> tuple[DeviceOutput, ...]:
    """Connect to all of them; without a control socket directly from here, because the remote is this machine."""
    limit = max(1.0, min(SECONDS, seconds))
    with ThreadPoolExecutor(max_workers=max(1, min(len(devices), 16))) as pool:
        return tuple(pool.map(lambda device: _ask(control, device, limit), devices))


def _ask(control: Path | None, device: Device, seconds: float) -> DeviceOutput:
    started = time.monotonic()
    connected = None
    try:
        with connect_through(control, device.host, device.port, seconds) as stream:
            connected = round((time.monotonic() - started) * 1000)
            if not device.tls:
                return DeviceOutput(device.name, connected=True, connect_ms=connected)
            until = _certificate_of(stream, device, seconds - (time.monotonic() - started))
            return DeviceOutput(device.name, connected=True, connect_ms=connected, certificate_until=until)
    except ConnectError as error:
        return DeviceOutput(device.name, connected=False if error.known else None, error=str(error))
    except (OSError, ValueError) as error:
        # Connected, but the answer is not TLS.
        words = f"no TLS: {_say_fault(error)}"[:200]
        return DeviceOutput(device.name, connected=connected is not None, connect_ms=connected, error=words)


def _say_fault(error: OSError | ValueError) -> str:
    """What a device did instead of a TLS handshake, in a few words."""
    if isinstance(error, TimeoutError):
        return "it says nothing"
    if isinstance(error, ConnectionError | ssl.SSLEOFError):
        return "it ends the connection"
    reason = str(getattr(error, "reason", None) or type(error).__name__)
    return reason.lower().replace("_", " ")


def _certificate_of(stream: socket.socket, device: Device, seconds: float) -> float | None:
    """When the device's certificate expires. Its signature is not verified, because nothing is sent."""
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


def valid_until(certificate: bytes) -> float | None:
    """When a certificate (DER) ends, in seconds since the epoch. Nothing is verified."""
    found = _VALIDITY.search(certificate)
    if found is None:
        return None
    # Years from 50 are those of the last century.
    written = found[2] or (b"19" if found[1] >= b"50" else b"20") + found[1]
    with suppress(ValueError, OverflowError):
        return float(timegm(time.strptime(written.decode(), "%Y%m%d%H%M%S")))
    return None
