"""
Reads until when an X.509 certificate is valid.

Takes the certificate as a device sent it (DER); returns seconds since the epoch, or None when it cannot be read. Only
the way to that one field is walked (RFC 5280, 4.1): nothing is verified, and a hostile certificate costs nothing.
"""

from calendar import timegm
from time import strptime

_SEQUENCE, _INTEGER, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x02, 0xA0, 0x17, 0x18


def valid_until(certificate: bytes) -> float | None:
    """When the certificate ends."""
    try:
        _, whole, _ = _read(certificate)
        _, signed, _ = _read(whole)
        kind, _, rest = _read(signed)
        if kind == _VERSION:
            kind, _, rest = _read(rest)  # the serial number
        for _ in range(2):  # the algorithm and the issuer
            _, _, rest = _read(rest)
        _, validity, _ = _read(rest)
        _, _, rest = _read(validity)
        kind, text, _ = _read(rest)
        written = text.decode("ascii")
        if kind == _UTC_TIME:
            # Years from 50 are those of the last century (RFC 5280, 4.1.2.5.1).
            written = ("19" if int(written[:2]) >= 50 else "20") + written
        elif kind != _GENERALIZED_TIME:
            return None
        return float(timegm(strptime(written, "%Y%m%d%H%M%SZ")))
    except (ValueError, IndexError, OverflowError):
        return None


def _read(data: bytes) -> tuple[int, bytes, bytes]:
    """The kind and content of the first value, and what follows it."""
    kind, length, start = data[0], data[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 0 < count <= 4:
            raise ValueError("no certificate is that long")
        length = int.from_bytes(data[2 : 2 + count], "big")
        start += count
    if start + length > len(data):
        raise ValueError("it is cut short")
    return kind, data[start : start + length], data[start + length :]
