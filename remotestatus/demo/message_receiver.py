"""
Receives what Apprise sends to `json://127.0.0.1:PORT/`, and keeps it as JSON lines.

The demo shows the messages that were really sent. A message is written to disk before its sender gets an answer.
"""

import json
import socket
import threading
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

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


class MessageReceiver(HTTPServer):
    """Serves on a listening socket, in a thread of its own, until its process ends."""

    def __init__(self, listener: socket.socket, file: Path) -> None:
        super().__init__(listener.getsockname(), _RequestHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.file = file
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _RequestHandler(BaseHTTPRequestHandler):
    server: MessageReceiver
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
        message = ReceivedMessage(*(str(sent.get(part, "")) for part in ("title", "message", "type")))
        with self.server.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(message), ensure_ascii=False) + "\n")
        self._answer(200)

    def _answer(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the messages themselves are kept."""
