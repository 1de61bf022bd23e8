"""
Receives what Apprise sends to `json://127.0.0.1:PORT/`, and keeps it as JSON lines.

The demo shows the messages that were really sent. A message is written to disk before its sender gets an answer.
"""

import json
import socket
import threading
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

_LONGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One received notification; `type` is Apprise's: info, success, warning or failure."""

    title: str
    body: str
    type: str


def read_messages(file: Path) -> tuple[ReceivedMessage, ...]:
    """Returns the messages kept in `file`, oldest first; none if nothing has arrived yet."""
    if not file.exists():
        return ()
    return tuple(ReceivedMessage(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines())


class MessageReceiver:
    """Serves on a listening socket, in a thread of its own, inside a `with`."""

    def __init__(self, listener: socket.socket, file: Path) -> None:
        self._server = _Server(listener, file)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, file: Path) -> None:
        super().__init__(listener.getsockname(), _RequestHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._file = file
        self._lock = threading.Lock()

    def keep(self, message: ReceivedMessage) -> None:
        with self._lock, self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(message), ensure_ascii=False) + "\n")


class _RequestHandler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
            sent = json.loads(self.rfile.read(length)) if 0 < length <= _LONGEST else None
        except ValueError:
            sent = None
        if not isinstance(sent, dict):
            self._answer(400)
            return
        self.server.keep(ReceivedMessage(*(str(sent.get(part, "")) for part in ("title", "message", "type"))))
        self._answer(200)

    def _answer(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the messages themselves are kept."""
