"""
Gives every remote a slug that is safe in file names and URLs, and the same in every round.

A plain name is its own slug. Other names, too long ones, and ones that differ only in case get a short hash as suffix.
"""

import hashlib
import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)
_ODD = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)


def make_slugs(names: Iterable[str]) -> dict[str, str]:
    """Map every name to its slug; slugs differ even if case is ignored."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    # Plain lower-case names first, so that they stay as they are whatever other names there are.
    for name in sorted(set(names), key=lambda name: (not _PLAIN.fullmatch(name), name.casefold() != name, name)):
        slug = name
        if not _PLAIN.fullmatch(name) or name.casefold() in taken:
            slug = f"{_ODD.sub('-', name)[:60].strip('-') or 'remote'}-{_hash(name, 8)}"
        if slug.casefold() in taken:
            slug = f"remote-{_hash(name, 32)}"
        found[name] = slug
        taken.add(slug.casefold())
    return found


def _hash(name: str, length: int) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:length]
