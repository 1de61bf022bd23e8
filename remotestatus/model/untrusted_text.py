"""
Makes text that came from elsewhere fit to be shown: on a terminal, in a message, in an error.

Any text comes in, hostile ones too; a single line without control characters goes out.
"""

import re

_EVIDENCE = 300
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

_PLAIN = re.compile(r"(?:[!-~]++(?: [!-~]++)*+)?")
"""Words of ASCII with one space between them: nearly all texts are that, and stay as they are."""


def one_line(text: object, limit: int = _EVIDENCE) -> str:
    """Fold any text to one line without control or direction-changing characters, at most `limit` characters long."""
    if type(text) is str and len(text) <= limit and _PLAIN.fullmatch(text):
        return text
    cleaned = " ".join(_CONTROL.sub(" ", str(text)[: limit * 20]).split())
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1].rstrip() + "…"


def defuse(text: str) -> str:
    """
    Write text of a remote so that no service takes it for a mention, a link or a tag: `@everyone`, `[x](http://y)`.

    A space without width breaks what would be one. An address (`me@box`) stays as it is, because people copy it.
    """
    return _ACTIVE.sub("\\g<0>\u200b", text)


_ACTIVE = re.compile(r"(?<![\w.+-])@(?=\w)|<(?=\S)|\](?=[(\[:])|!(?=\[)")
"""What a mention begins with, a tag, the middle of a Markdown link, and an image."""
