"""
Makes and reads the codes for replies to messages.

A code is the number of a message with a signature, in 16 letters and digits that can be typed: only the checker's key
can make one. What it allows, and until when, is kept in the history.
"""

import base64
import hashlib
import hmac

_NUMBER = 3
_SIGNATURE = 7


def write_code(key: bytes, number: int) -> str:
    """Write the code of a message's number: `ABCD-EFGH-IJKL-MNOP`."""
    raw = number.to_bytes(_NUMBER, "big")
    text = base64.b32encode(raw + _sign(key, raw)).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def read_code(key: bytes, code: str) -> int | None:
    """Read the number of a code that was made with this key; None for any other text."""
    try:
        raw = base64.b32decode(code.replace("-", "").upper())
    except ValueError:
        return None
    number, signature = raw[:_NUMBER], raw[_NUMBER:]
    return int.from_bytes(number, "big") if hmac.compare_digest(signature, _sign(key, number)) else None


def _sign(key: bytes, number: bytes) -> bytes:
    return hmac.new(key, b"answer " + number, hashlib.sha256).digest()[:_SIGNATURE]
