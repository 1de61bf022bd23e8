"""
Searches regular expressions in what remotes say, within a limit on the work.

An expression and a text come in; whether it is found goes out, or that nobody knows. The rule worth knowing: with
`ffmpeg .*-f (mp4|mkv)` an argument full of `ffmpeg` takes time quadratic in its length, and other expressions take
longer. All searches in one remote's processes share one amount of time; what is left then is unknown, and costs no
other remote anything.
"""

from functools import lru_cache
from time import thread_time
from typing import Protocol

SECONDS = 0.5
"""
Of processor time, for all searches in one remote's processes. 400 usual command lines take a hundredth of it, and a
machine that is busy with something else, or was asleep, makes no difference.
"""


class PatternSearch:
    """The searches in the processes of one remote."""

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
    # Takes as long as all of `re` to load: who has no expression does without.
    import regex

    return regex.compile(pattern, regex.IGNORECASE if any_case else 0)
