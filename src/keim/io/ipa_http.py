"""The IPA's HTTP client: one kept connection per peer, checked before the first octet is sent.

Synchronous and small: a gateway has one exchange at a time (bindings §3.3). Imports keim.wire, keim.ipa and
its neighbours only.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal

from keim.errors import KeimError, Malformed, TimedOut, Unreachable, Untrusted
from keim.io.ipa_carriers import EimCarrier
from keim.io.ipa_tls import check_eim, check_server, eim_context, server_context
from keim.ipa.effects import PeerBusy, ServerReply, ServerRequest
from keim.ipa.trust import EimPeer
from keim.pki import Certificate, TrustStore
from keim.wire import es9p_asn1, es9p_json, esipa_http, esipa_json
from keim.wire.es9p import function_of as server_function_of
from keim.wire.esipa import IPAD_HEADERS, PATH_ASN1
from keim.wire.http import HttpRequest, HttpResponse

HTTPS_PORT: Final = 443
MOST_OCTETS: Final = 8 << 20
"""No answer of this world is longer; a peer that sends more is cut off."""
SERVER_HEADERS: Final = {**IPAD_HEADERS, "x-admin-protocol": "gsma/rsp/v2.2.2"}

Binding = Literal["asn1", "json"]
Check = Callable[[ssl.SSLSocket], None]


class Connection:
    """One peer: opened when needed, kept until it breaks or is closed."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, check: Check) -> None:
        self._host, self._port = host, port
        self._context, self._check = context, check
        self._http: http.client.HTTPSConnection | None = None

    def exchange(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """One request and its answer. A kept connection that the server has closed is opened anew, once."""
        is_kept = self._http is not None
        try:
            return self._exchange(request, timeout_s)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as broken:
            self.close()
            if not is_kept:
                raise _unreachable(self._host, broken) from broken
        except KeimError:
            self.close()
            raise
        except (OSError, http.client.HTTPException) as fault:
            self.close()
            raise self._told(fault) from fault
        try:
            return self._exchange(request, timeout_s)
        except KeimError:
            self.close()
            raise
        except (OSError, http.client.HTTPException) as fault:
            self.close()
            raise self._told(fault) from fault

    def reach(self, timeout_s: float) -> None:
        """Only the TLS handshake, and the check of who is there: nothing is sent."""
        try:
            self._opened(timeout_s)
        except OSError as fault:
            raise self._told(fault) from fault

    def _told(self, fault: Exception) -> KeimError:
        """What went wrong, in our words."""
        match fault:
            case TimeoutError():
                return TimedOut(f"{self._host} did not answer in time", code="ipa.peer_silent")
            case ssl.SSLCertVerificationError():
                word = f"{self._host}: {fault.verify_message}"
                return Untrusted(word, code="ipa.peer_untrusted", party=self._host)
        return _unreachable(self._host, fault)

    def _exchange(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        connection = self._opened(timeout_s)
        assert connection.sock is not None
        connection.sock.settimeout(timeout_s)
        headers = {name.title(): value for name, value in request.headers.items()}
        connection.request(request.method, request.path, body=request.body, headers=headers)
        answer = connection.getresponse()
        body = answer.read(MOST_OCTETS + 1)
        if len(body) > MOST_OCTETS:
            raise Malformed("the answer does not end", offset=MOST_OCTETS, party=self._host)
        if answer.will_close:
            self.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        response = HttpResponse(answer.status, found, body)
        if response.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            raise PeerBusy(f"{self._host} is busy", retry_after_s=_seconds(found.get("retry-after")))
        return response

    def _opened(self, timeout_s: float) -> http.client.HTTPSConnection:
        if self._http is None:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout_s, context=self._context
            )
            connection.connect()
            try:
                self._check(connection.sock)
            except KeimError:
                connection.close()
                raise
            self._http = connection
        return self._http

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None


def _unreachable(host: str, fault: Exception) -> Unreachable:
    return Unreachable(f"{host}: {fault}", code="ipa.peer_unreachable")


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 60.0


class HttpPeers:
    """All eIMs and RSP servers of one IPA: over HTTPS, but for eIMs that have another carrier."""

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        bindings: dict[str, Binding] | None = None,
        paths: dict[str, str] | None = None,
        eim_roots: tuple[Certificate, ...] | None = None,
        server_roots: tuple[Certificate, ...] | None = None,
        server_binding: Binding = "json",
        addresses: dict[str, tuple[str, int]] | None = None,
        carriers: Mapping[str, EimCarrier] | None = None,
    ) -> None:
        """`bindings`, `paths` and `carriers` by eimId; `addresses`: other places, for laboratories."""
        self._now = now
        self._bindings, self._paths = bindings or {}, paths or {}
        self._eim_roots, self._server_roots = eim_roots, server_roots
        self._server_binding = server_binding
        self._addresses = addresses or {}
        self._carriers = carriers or {}
        self._connections: dict[tuple[str, str], Connection] = {}

    def call_eim(self, peer: EimPeer, message: bytes, timeout_s: float) -> bytes:
        """One ESipa function in the binding of this eIM."""
        carrier = self._carriers.get(peer.eim_id)
        if carrier is not None:
            return carrier.call_eim(peer, message, timeout_s)
        connection = self._eim(peer)
        if self._bindings.get(peer.eim_id) == "json":
            response = connection.exchange(esipa_json.write_request(message), timeout_s)
            return esipa_json.read_answer(esipa_json.function_of(message), response, party=peer.eim_id)
        path = self._paths.get(peer.eim_id, PATH_ASN1)
        response = connection.exchange(esipa_http.write_request(message, path=path), timeout_s)
        return esipa_http.read_answer(response, party=peer.eim_id)

    def reach_eim(self, peer: EimPeer, timeout_s: float) -> None:
        """Whether this eIM is there and trusted; it is asked for nothing."""
        carrier = self._carriers.get(peer.eim_id)
        if carrier is not None:
            carrier.reach_eim(peer, timeout_s)
        else:
            self._eim(peer).reach(timeout_s)

    def call_server(self, address: str, request: ServerRequest, timeout_s: float) -> ServerReply:
        """One function of ES9+ or ES11."""
        connection = self._server(address)
        function = server_function_of(request)
        if self._server_binding == "asn1":
            sent = es9p_asn1.write_request(request, SERVER_HEADERS)
            return es9p_asn1.read_reply(function, connection.exchange(sent, timeout_s), party=address)
        sent = es9p_json.write_request(request, SERVER_HEADERS)
        return es9p_json.read_reply(function, connection.exchange(sent, timeout_s), party=address)

    def close(self) -> None:
        """No connection and no resolved name survives (procedures §20)."""
        self._close_connections()
        for carrier in dict.fromkeys(self._carriers.values()):
            carrier.close()

    def end(self) -> None:
        """For good."""
        self._close_connections()
        for carrier in dict.fromkeys(self._carriers.values()):
            carrier.end()

    def _close_connections(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _eim(self, peer: EimPeer) -> Connection:
        key = ("eim", f"{peer.eim_id} {peer.address} {peer.credential.hex()}")
        if key not in self._connections:
            context = eim_context(peer, roots=self._eim_roots, now=self._now())
            host, port = peer.host, peer.port(HTTPS_PORT)
            self._connections[key] = self._connection(
                host, port, context, lambda connection: check_eim(connection, peer)
            )
        return self._connections[key]

    def _server(self, address: str) -> Connection:
        key = ("server", address)
        if key not in self._connections:
            host, separator, port = address.rpartition(":")
            name = host if separator and port.isdecimal() else address
            number = int(port) if separator and port.isdecimal() else HTTPS_PORT
            trust = None if self._server_roots is None else TrustStore(self._server_roots)
            context = server_context(self._server_roots, now=self._now())
            self._connections[key] = self._connection(
                name,
                number,
                context,
                lambda connection: check_server(connection, trust, host=name, now=self._now()),
            )
        return self._connections[key]

    def _connection(self, host: str, port: int, context: ssl.SSLContext, check: Check) -> Connection:
        where = self._addresses.get(host)
        if where is None:
            return Connection(host, port, context, check)
        return RedirectedConnection(host, where, context, check)


class RedirectedConnection(Connection):
    """Speaks TLS to the name, but connects elsewhere: for laboratories without a DNS of their own."""

    def __init__(self, host: str, where: tuple[str, int], context: ssl.SSLContext, check: Check) -> None:
        super().__init__(host, where[1], context, check)
        self._where = where

    def _opened(self, timeout_s: float) -> http.client.HTTPSConnection:
        if self._http is None:
            plain = socket.create_connection(self._where, timeout=timeout_s)
            try:
                wrapped = self._context.wrap_socket(plain, server_hostname=self._host)
            except OSError:
                plain.close()
                raise
            try:
                self._check(wrapped)
            except KeimError:
                wrapped.close()
                raise
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s)
            connection.auto_open = 0  # a broken connection is opened here, never to the name itself
            connection.sock = wrapped
            self._http = connection
        return self._http
