"""
Cleans untrusted text for terminals, messages and errors.

The result is one line without control characters.
"""

import re

EVIDENCE = 300
"""Most characters of what a remote or ssh said, where nothing else is given."""

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

_PLAIN = re.compile(r"(?:[!-~]++(?: [!-~]++)*+)?")
"""ASCII words with single spaces: nearly all texts are, and need no cleaning."""


def one_line(text: object, limit: int = EVIDENCE) -> str:
    """Fold any text to one line without control or direction-changing characters, at most `limit` characters long."""
    if type(text) is str and len(text) <= limit and _PLAIN.fullmatch(text):
        return text
    cleaned = " ".join(_CONTROL.sub(" ", str(text)[: limit * 20]).split())
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1].rstrip() + "…"


def defuse(text: str) -> str:
    """
    Escape text of a remote, so that no service takes it for a mention, a link or a tag: `@everyone`, `[x](http://y)`.

    A zero-width space breaks those. An address (`me@box`) stays as it is, because people copy it.
    """
    return _ACTIVE.sub("\\g<0>\u200b", text)


_ACTIVE = re.compile(r"(?<![\w.+-])@(?=\w)|<(?=\S)|\](?=[(\[:])|!(?=\[)")
"""What a mention begins with, a tag, the middle of a Markdown link, and an image."""
