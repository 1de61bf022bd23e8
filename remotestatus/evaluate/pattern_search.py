"""
Searches regular expressions in text of remotes, within a time limit.

A search may take quadratic time or worse: `ffmpeg .*-f (mp4|mkv)` does in an argument full of `ffmpeg`. So all searches
in one remote's processes share one time limit. What was not searched by then is unknown.
"""

from functools import lru_cache
from time import thread_time
from typing import Protocol

SECONDS = 0.5
"""
CPU seconds for all searches in one remote's processes. 400 usual command lines take 1 % of it. It is not wall time, so
that a busy or suspended machine makes no difference.
"""


class PatternSearch:
    """All searches in the processes of one remote."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._left = seconds

    def find(self, pattern: str, text: str, *, any_case: bool = False) -> bool | None:
        """Whether the expression is found in the text; None when the time for it was up."""
        if self._left <= 0:
            return None
        begun = thread_time()
        try:
            return _compile(pattern, any_case=any_case).search(text, timeout=self._left) is not None
        except TimeoutError:
            return None
        finally:
            self._left -= thread_time() - begun


class _Expression(Protocol):
    """A compiled expression of the library `regex`."""

    def search(self, string: str, *, timeout: float) -> object | None:
        """Search it; raises TimeoutError."""
        ...


@lru_cache(maxsize=1024)
def _compile(pattern: str, *, any_case: bool) -> _Expression:
    # Loaded on use: it takes as long as `re`, and many fleets have no expression.
    import regex

    return regex.compile(pattern, regex.IGNORECASE if any_case else 0)
