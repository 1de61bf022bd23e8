"""
Finds the hosts that an Ansible pattern means, as in `hosts:` of a play.

Pure: the same inputs give the same names. Parts are separated by `:` or `,`; `&` intersects, `!` excludes, `~` begins a
regular expression, and names may hold `*`, `?` and `[...]`
(https://docs.ansible.com/ansible/latest/inventory_guide/intro_patterns.html).
"""

import fnmatch
import re
from collections.abc import Collection, Mapping


def match_hosts(pattern: str, groups: Mapping[str, Collection[str]]) -> frozenset[str]:
    """The hosts that a pattern matches; `groups` are by host. Raises ValueError for a wrong regular expression."""
    parts = [part.strip() for part in re.split(r"[:,](?![^\[]*\])", pattern) if part.strip()]
    # As in Ansible: what is added comes first, then what is intersected, then what is excluded.
    found = frozenset(name for part in parts if part[0] not in "&!" for name in _one(part, groups))
    if parts and all(part[0] in "&!" for part in parts):
        found = frozenset(groups)
    for part in parts:
        if part[0] == "&":
            found &= _one(part[1:], groups)
    for part in parts:
        if part[0] == "!":
            found -= _one(part[1:], groups)
    return found


def _one(part: str, groups: Mapping[str, Collection[str]]) -> frozenset[str]:
    if part in ("all", "*"):
        return frozenset(groups)
    expression = part[1:] if part.startswith("~") else fnmatch.translate(part)
    try:
        matches = re.compile(expression).match
    except re.error as error:
        raise ValueError(f"{part!r} is not a regular expression: {error}") from error
    return frozenset(name for name, within in groups.items() if matches(name) or any(map(matches, within)))
