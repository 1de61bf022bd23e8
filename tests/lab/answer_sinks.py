"""
Servers on loopback that people answer through: an ntfy topic and a mailbox by IMAP, with what a test puts into them.
"""

import json
import socketserver
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab.ports import LOOPBACK


class _Server:
    """A server in a thread of its own."""

    def __init__(self, make: Callable[[], socketserver.BaseServer]) -> None:
        self._server: Any = make()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join(timeout=10)
        self._server.server_close()


class NtfyTopic(_Server):
    """A topic of an ntfy server: what was published, in the format of its JSON stream."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.paths: list[str] = []
        self.authorizations: list[str] = []
        super().__init__(lambda: ThreadingHTTPServer((LOOPBACK, 0), _ntfy_handler(self)))

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/answers"

    def stream(self, since: str) -> bytes:
        """What a poll returns: every message after the one with this id."""
        begin = int(since.removeprefix("m")) if since.startswith("m") else 0
        events: list[dict[str, str]] = [{"id": "x", "event": "open", "topic": "answers"}]
        for number, text in enumerate(self.messages, start=1):
            if number > begin:
                events.append({"id": f"m{number}", "event": "message", "topic": "answers", "message": text})
        return "".join(json.dumps(event) + "\n" for event in events).encode()


def _ntfy_handler(topic: NtfyTopic) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            topic.paths.append(self.path)
            topic.authorizations.append(self.headers.get("Authorization", ""))
            since = self.path.partition("since=")[2]
            body = topic.stream(since)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing on standard error."""

    return Handler


class Mailbox(_Server):
    """
    A mailbox that speaks as much of IMAP4rev1 (RFC 3501) as reading new mails takes; `mails` are raw messages.

    With a certificate it speaks TLS, from the start or after STARTTLS.
    """

    def __init__(self, password: str = "secret", certificate: Path | None = None, *, starttls: bool = False) -> None:
        self.mails: list[bytes] = []
        self.password = password
        self.commands: list[str] = []
        self.validity = 7
        self.starttls = starttls
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if certificate:
            self.tls.load_cert_chain(certificate)
        self.scheme = "imaps" if certificate and not starttls else "imap"
        super().__init__(lambda: socketserver.ThreadingTCPServer((LOOPBACK, 0), _imap_handler(self)))

    @property
    def url(self) -> str:
        return f"{self.scheme}://answers%40example.com:{self.password}@{LOOPBACK}:{self.port}/INBOX"


def _imap_handler(mailbox: Mailbox) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        timeout = 30

        def handle(self) -> None:
            if mailbox.scheme == "imaps" and not self.protect():
                return
            self.say("* OK ready")
            while line := self.rfile.readline().decode().strip():
                tag, _, rest = line.partition(" ")
                mailbox.commands.append(rest.split()[0] if not rest.startswith("UID") else " ".join(rest.split()[:2]))
                done = self.answer(rest)
                self.say(f"{tag} {done}")
                if rest == "LOGOUT" or (rest == "STARTTLS" and not self.protect()):
                    return

        def finish(self) -> None:
            super().finish()
            self.request.close()  # the server closes the one that TLS took the place of

        def protect(self) -> bool:
            """Change to TLS; False where the client does not want this certificate."""
            try:
                self.request = mailbox.tls.wrap_socket(self.request, server_side=True)
            except (ssl.SSLError, OSError):
                return False
            self.rfile.close()
            self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
            return True

        def answer(self, rest: str) -> str:
            words = rest.split()
            match [words[0].upper(), *words[1:]]:
                case ["CAPABILITY"]:
                    self.say("* CAPABILITY IMAP4rev1" + " STARTTLS" * mailbox.starttls)
                case ["LOGIN", _, password]:
                    return "OK done" if password.strip('"') == mailbox.password else "NO [AUTHENTICATIONFAILED] no"
                case ["EXAMINE" | "SELECT", _]:
                    self.say(f"* {len(mailbox.mails)} EXISTS")
                    self.say(f"* OK [UIDVALIDITY {mailbox.validity}] ")
                case ["UID", "SEARCH", *_, span]:
                    # A range whose begin is over the last number means the last mail: RFC 3501, 6.4.8.
                    begin = min(int(span.partition(":")[0].strip("()")), max(len(mailbox.mails), 1))
                    found = " ".join(str(number) for number in range(begin, len(mailbox.mails) + 1))
                    self.say(f"* SEARCH {found}")
                case ["UID", "FETCH", number, *_]:
                    raw = mailbox.mails[int(number) - 1]
                    self.wfile.write(f"* {number} FETCH (UID {number} BODY[]<0> {{{len(raw)}}}\r\n".encode() + raw)
                    self.say(")")
                case ["LOGOUT"]:
                    self.say("* BYE")
            return "OK done"

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    return Handler
