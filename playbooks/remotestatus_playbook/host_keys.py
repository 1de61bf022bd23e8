"""
Finds whose host key was offered in place of the expected one.

ssh prints the SHA-256 fingerprint of the offered key, and the file of trusted host keys has a key per remote and proxy.
If another remote's tunnel holds a remote's port, the keys match.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

_OFFERED = re.compile(r"key sent by the remote host is\s+SHA256:([A-Za-z0-9+/]{43})")
_HASHED, _MARKER = "|", "@"


def owners_of_offered_key(text: str, known_hosts: Path) -> tuple[str, ...]:
    """Find the names whose trusted key is the offered one in ssh's error text; may be empty."""
    offered = _OFFERED.search(text)
    if offered is None:
        return ()
    try:
        found = known_hosts.stat()
        return _owners(known_hosts, found.st_mtime_ns, found.st_size).get(offered[1], ())
    except OSError:
        return ()


@lru_cache(maxsize=1)
def _owners(known_hosts: Path, _written_at: int, _size: int) -> Mapping[str, tuple[str, ...]]:
    """The names of each key, by its fingerprint. Where every remote offers another key, the file is read once."""
    owners: dict[str, dict[str, None]] = {}
    for line in known_hosts.read_text(errors="replace").splitlines():
        words = line.split()
        if len(words) >= 3 and words[0][0] not in (_HASHED, _MARKER, "#") and (fingerprint := _fingerprint(words[2])):
            owners.setdefault(fingerprint, {}).update(dict.fromkeys(name for name in words[0].split(",") if name))
    return {fingerprint: tuple(names) for fingerprint, names in owners.items()}


def _fingerprint(key: str) -> str | None:
    try:
        blob = base64.b64decode(key, validate=True)
    except binascii.Error:
        return None
    return base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
