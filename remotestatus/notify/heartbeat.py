"""
Pings the heartbeat: a URL that hears when a round starts and how it ended, and raises an alarm when it hears nothing.

The rule: the URL is a secret. It appears in no error and no log.
"""

import urllib.error
import urllib.request
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from remotestatus.model.errors import RoundError, RoundGivenUp
from remotestatus.notify.attempts import Attempt, run_together
from remotestatus.notify.failures import explain_failure

HEARTBEAT_TIMEOUT = 10.0
"""Seconds that a ping may take."""


class Heartbeat:
    """Tells the heartbeat's URL, if there is one, that a round starts, and how it ended, also when it could not."""

    def __init__(self, url: str | None) -> None:
        self.url = url
        self.failures: list[str] = []
        """Why it could not be pinged."""

    def __enter__(self) -> Self:
        if self.url:
            self._note(ping_start(self.url))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.url and isinstance(error, RoundError) and not isinstance(error, RoundGivenUp):
            ping_failure(self.url, str(error))

    def finish(self, troubles: Sequence[str]) -> None:
        """The round was recorded; say so, or what of it failed."""
        if self.url:
            ping = ping_failure if troubles else ping_success
            self._note(ping(self.url, "; ".join(troubles)))

    def _note(self, why_not: str) -> None:
        if why_not:
            self.failures.append(why_not)


def ping_start(heartbeat: str) -> str:
    """Tell the heartbeat that a round starts; returns why that failed, or nothing."""
    return _ping(heartbeat, "/start", "")


def ping_success(heartbeat: str, note: str = "") -> str:
    """Tell the heartbeat that a round is done; returns why that failed, or nothing."""
    return _ping(heartbeat, "", note)


def ping_failure(heartbeat: str, note: str = "") -> str:
    """Tell the heartbeat that a round could not be done; returns why that failed, or nothing."""
    return _ping(heartbeat, "/fail", note)


def _ping(heartbeat: str, suffix: str, note: str) -> str:
    parts = urlsplit(heartbeat)
    url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))

    def ping() -> Attempt:
        request = urllib.request.Request(url, data=note.encode()[:10_000], method="POST")  # noqa: S310 - http(s) only
        request.add_header("User-Agent", "remotestatus")
        try:
            with urllib.request.urlopen(request, timeout=HEARTBEAT_TIMEOUT):  # noqa: S310
                return Attempt("heartbeat", taken=True)
        except urllib.error.HTTPError as error:
            error.close()
            return Attempt("heartbeat", taken=False, error=f"its server answers {error.code}")
        except (OSError, ValueError) as error:
            why, _ = explain_failure([f"DEBUG {error}"], ())
            return Attempt("heartbeat", taken=False, error=why)

    ((_, attempt),) = run_together(["heartbeat"], lambda _: [ping()], HEARTBEAT_TIMEOUT + 2)
    return "" if attempt.taken else f"the heartbeat could not be pinged: {attempt.error}"
