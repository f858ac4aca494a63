"""Where eIMs inject packages into a device: HTTPS with the ASN.1 function binding (bindings §4.4).

One message at a time: it waits in the daemon's queue, and when the IPA has no time soon the eIM is asked to
come back (503 with Retry-After). A client certificate makes the eIM an authenticated one. Imports
keim.errors, keim.wire and its neighbours only.
"""

from __future__ import annotations

import queue
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from keim.errors import Refused
from keim.wire.esipa_http import read_request, write_answer
from keim.wire.http import HttpRequest, HttpResponse, plain

MOST_OCTETS: Final = 1 << 20
TAKEN_WITHIN_S: Final = 20.0
ANSWERED_WITHIN_S: Final = 120.0
RETRY_AFTER_S: Final = "30"


@dataclass
class Injected:
    """A message that came in; the daemon answers it, and learns whether the answer went out."""

    octets: bytes
    client: bytes | None
    """The client's certificate (DER)."""
    key: bytes = b""
    """The SHA-256 of the client's SubjectPublicKeyInfo, where the carrier has proved that."""
    eim_id: str | None = None
    """Whose it is, where the carrier has proved that."""
    is_abandoned: bool = False
    taken: threading.Event = field(default_factory=threading.Event)
    _answered: threading.Event = field(default_factory=threading.Event)
    _sent: threading.Event = field(default_factory=threading.Event)
    _answer: bytes = b""
    was_sent: bool = False

    def answer(self, octets: bytes) -> bool:
        """Gives the answer; returns whether it could be sent completely."""
        self._answer = octets
        self._answered.set()
        self._sent.wait(ANSWERED_WITHIN_S)
        return self.was_sent

    def wait(self) -> bytes | None:
        """The answer, or None when the IPA has no time."""
        if not self.taken.wait(TAKEN_WITHIN_S):
            self.is_abandoned = True
            return None
        self._answered.wait(ANSWERED_WITHIN_S)
        return self._answer or None

    def note_sent(self, *, was_sent: bool) -> None:
        self.was_sent = was_sent
        self._sent.set()


class Listener:
    """Serves in threads until closed."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, commands: queue.Queue[Any]) -> None:
        handler = type("InjectionHandler", (_Handler,), {"commands": commands})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as fault:
            raise Refused(f"{host}:{port}: {fault.strerror}", code="ipa.listener_unusable") from fault
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    commands: queue.Queue[Any]
    protocol_version = "HTTP/1.1"
    timeout = 30

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True  # a refused handshake or a client that went

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > MOST_OCTETS:
            self._send(plain(413, "too large"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        message = read_request(HttpRequest("POST", self.path, headers, self.rfile.read(int(length))))
        if isinstance(message, HttpResponse):
            self._send(message)
            return
        connection = self.connection
        client = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
        injected = Injected(message, client)
        self.commands.put(injected)
        answer = injected.wait()
        if answer is None:
            self._send(plain(503, "busy", retry_after=RETRY_AFTER_S))
            return
        try:
            self._send(write_answer(answer))
        except OSError:
            injected.note_sent(was_sent=False)
            raise
        injected.note_sent(was_sent=True)

    def _send(self, response: HttpResponse) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Events are told by the IPA."""
