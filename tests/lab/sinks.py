"""
Real mail and web servers on loopback that collect what they are sent, and fail when told to.

Both are context managers that listen from the first; `stop` and `start` take them down and up again on the same port.
"""

import contextlib
import email.policy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller

from tests.lab.ports import LOOPBACK, Port


class _Sink:
    """A server on a port of its own that can come and go."""

    def __init__(self) -> None:
        self._port = Port()
        self.start()

    @property
    def port(self) -> int:
        return self._port.number

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._port.close()


class SmtpSink(_Sink):
    """A mail server; `messages` holds what it accepted."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.attempts = 0
        """How many messages were handed over, those that were refused included."""
        self.refusal: str | None = None
        """The answer to each message instead of accepting it, for instance "451 4.3.0 try again later"."""
        self.refused_text: str | None = None
        """A message that holds this text is refused for good, as by a spam filter."""
        self._controller: Any = None
        super().__init__()

    @property
    def url(self) -> str:
        """The Apprise URL of this sink."""
        return f"mailto://{LOOPBACK}:{self.port}?from=checker@example.com&to=admin@example.com&mode=insecure"

    def start(self) -> None:
        if self._controller is None:
            self._controller = Controller(self, hostname=LOOPBACK, port=self.port, ready_timeout=20)
            self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def wait_for(self, count: int, timeout: float = 10) -> list[EmailMessage]:
        """The messages, as soon as there are at least this many; raises AssertionError after `timeout` seconds."""
        _await(lambda: len(self.messages) >= count, timeout, lambda: f"{len(self.messages)} of {count} messages came")
        return self.messages

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.attempts += 1
        if self.refusal is not None:
            return self.refusal
        message = BytesParser(_class=EmailMessage, policy=email.policy.default).parsebytes(envelope.content)
        if self.refused_text is not None and self.refused_text in _words_of(message):
            return "554 5.7.1 message content rejected"
        self.messages.append(message)
        return "250 OK"


def _words_of(message: EmailMessage) -> str:
    """Everything in a mail that a person reads."""
    parts = (part.get_content() for part in message.walk() if part.get_content_maintype() == "text")
    return "\n".join([str(message["Subject"]), *parts])


@dataclass(frozen=True, slots=True)
class Request:
    """What one HTTP request said; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class HttpSink(_Sink):
    """A web server; `requests` holds what it was asked, whatever it answered."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.status = 200
        """The status code of each answer."""
        self.hangs = False
        """Take requests and never answer, until stopped."""
        self._released = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/hook"

    @property
    def apprise_url(self) -> str:
        """The Apprise URL that posts JSON to this sink."""
        return f"json://{LOOPBACK}:{self.port}/hook"

    def start(self) -> None:
        if self._server is None:
            self._released = threading.Event()
            self._server = ThreadingHTTPServer((LOOPBACK, self.port), _handler(self))
            self._server.daemon_threads = False
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._released.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join(timeout=10)
            self._server.server_close()
            self._server = self._thread = None

    def wait_for(self, count: int, timeout: float = 10) -> list[Request]:
        """The requests, as soon as there are at least this many; raises AssertionError after `timeout` seconds."""
        _await(lambda: len(self.requests) >= count, timeout, lambda: f"{len(self.requests)} of {count} requests came")
        return self.requests

    def take(self, request: Request) -> int | None:
        """Record a request; returns the status to answer, None for no answer at all."""
        self.requests.append(request)
        if self.hangs:
            self._released.wait(timeout=900)
            return None
        return self.status


def _handler(sink: HttpSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle_one_request()

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = sink.take(Request(self.command, self.path, headers, self.rfile.read(length)))
            self.close_connection = True
            if status is not None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing on standard error."""

    return Handler


def _await(done: Callable[[], bool], timeout: float, complaint: Callable[[], str]) -> None:
    deadline = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < deadline, f"only {complaint()} within {timeout} s"
        time.sleep(0.01)
