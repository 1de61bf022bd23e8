"""
Pings a URL, such as of Healthchecks, at the start and the end of a round; the service alerts when no ping comes.

The rule: the URL is a secret. It appears in no error and no log.
"""

import urllib.error
import urllib.request
from collections.abc import Sequence
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from remotestatus.model.errors import RoundError, RoundGivenUp, say_error
from remotestatus.notify.failures import explain_failure
from remotestatus.notify.sendings import Attempt, run_together

HEARTBEAT_TIMEOUT = 10.0
"""Seconds that a ping may take."""


class Signal(StrEnum):
    """What a ping says, as the end of the URL's path: the signals of Healthchecks."""

    START = "/start"
    SUCCESS = ""
    FAILURE = "/fail"


class Heartbeat:
    """Pings the heartbeat's URL, if there is one, at the start and the end of a round, also of a failed one."""

    def __init__(self, url: str | None) -> None:
        self.url = url
        self.failures: list[str] = []
        """Why it could not be pinged."""

    def __enter__(self) -> Self:
        self._send(Signal.START)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, Exception) and not isinstance(error, RoundGivenUp):
            self._send(Signal.FAILURE, str(error) if isinstance(error, RoundError) else say_error(error))

    def finish(self, troubles: Sequence[str]) -> None:
        """Ping success, or failure with these troubles."""
        self._send(Signal.FAILURE if troubles else Signal.SUCCESS, "; ".join(troubles))

    def _send(self, signal: Signal, note: str = "") -> None:
        if self.url and (why_not := ping(self.url, signal, note)):
            self.failures.append(why_not)


def ping(heartbeat: str, signal: Signal, note: str = "") -> str:
    """Ping the heartbeat; returns why that failed, or nothing."""
    parts = urlsplit(heartbeat)
    url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + signal))

    def post() -> Attempt:
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

    ((_, attempt),) = run_together(["heartbeat"], lambda _: [post()], HEARTBEAT_TIMEOUT + 2)
    return "" if attempt.taken else f"the heartbeat could not be pinged: {attempt.error}"
