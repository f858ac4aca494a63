"""An HTTPS server on loopback made of one function, for clients that must meet real TLS."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from keim.wire.http import HttpRequest, HttpResponse

Answer = Callable[[HttpRequest], HttpResponse]


class HttpsPeer:
    """Answers every request with `answer`; counts connections. Ends with `close`."""

    def __init__(self, context: ssl.SSLContext, answer: Answer) -> None:
        self.connections = 0
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                peer.connections += 1

            def do_GET(self) -> None:
                self._exchange()

            def do_POST(self) -> None:
                self._exchange()

            def _exchange(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                response = answer(HttpRequest(self.command, self.path, headers, body))
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                if response.status != 204:
                    self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                self.wfile.write(response.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # refused handshakes are what some tests are about

            def get_request(self) -> tuple[ssl.SSLSocket, object]:
                plain, address = super().get_request()
                plain.settimeout(10)
                try:
                    return context.wrap_socket(plain, server_side=True), address
                except OSError:
                    plain.close()
                    raise

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        self._thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(10)
