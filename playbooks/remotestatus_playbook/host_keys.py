"""
Finds out whose host key it is that answered in the place of another.

Takes what ssh said and the file of trusted host keys; returns names. ssh prints the fingerprint of the key it was
offered (SHA-256, as `ssh-keygen -l` shows it), and the file holds a key per remote and proxy: when a remote's port is
held by another remote's tunnel, the two meet.
"""

import base64
import binascii
import hashlib
import re
from pathlib import Path

_OFFERED = re.compile(r"key sent by the remote host is\s+SHA256:([A-Za-z0-9+/]{43})")
_HASHED, _MARKER = "|", "@"


def owners_of_offered_key(text: str, known_hosts: Path) -> tuple[str, ...]:
    """The names whose trusted key is the one that ssh's error text says was offered; empty when nobody's is."""
    offered = _OFFERED.search(text)
    if offered is None:
        return ()
    try:
        lines = known_hosts.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    owners: dict[str, None] = {}
    for line in lines:
        words = line.split()
        if len(words) >= 3 and words[0][0] not in (_HASHED, _MARKER, "#") and _fingerprint(words[2]) == offered[1]:
            owners |= dict.fromkeys(name for name in words[0].split(",") if name)
    return tuple(owners)


def _fingerprint(key: str) -> str | None:
    try:
        blob = base64.b64decode(key, validate=True)
    except binascii.Error:
        return None
    return base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
