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
from keim.io.ipa_tls import check_eim, check_server, eim_context, is_clock_set, server_context
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
    """One peer: opened when needed, kept until it breaks or is closed. Its TLS session is resumed.

    `where` is another place than the name's, for laboratories without a DNS of their own.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        check: Check,
        *,
        where: tuple[str, int] | None = None,
        is_resumed: bool = False,
    ) -> None:
        self._host, self._where = host, where or (host, port)
        self._name = host if self._where[1] == HTTPS_PORT else f"{host}:{self._where[1]}"
        self._context, self._check = context, check
        self._is_resumed = is_resumed
        self._session: ssl.SSLSession | None = None
        self._socket: ssl.SSLSocket | None = None

    def exchange(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """One request and its answer. A kept connection that the server has closed is opened anew, once."""
        is_kept = self._socket is not None
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
        connection.settimeout(timeout_s)
        headers = {"Host": self._name, "Content-Length": str(len(request.body))}
        headers |= {name.title(): value for name, value in request.headers.items()}
        lines = (
            f"{request.method} {request.path} HTTP/1.1",
            *(f"{name}: {text}" for name, text in headers.items()),
        )
        # in one piece: on a slow link a header that travels alone costs a packet and a record
        connection.sendall("\r\n".join((*lines, "", "")).encode("latin-1") + request.body)
        answer = http.client.HTTPResponse(connection, method=request.method)
        answer.begin()
        body = answer.read(MOST_OCTETS + 1)
        if len(body) > MOST_OCTETS:
            raise Malformed("the answer does not end", offset=MOST_OCTETS, party=self._host)
        found = {name.lower(): value for name, value in answer.getheaders()}
        response = HttpResponse(answer.status, found, body)
        if answer.will_close:
            self.close()
        if response.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            raise PeerBusy(f"{self._host} is busy", retry_after_s=_seconds(found.get("retry-after")))
        return response

    def _opened(self, timeout_s: float) -> ssl.SSLSocket:
        if self._socket is None:
            plain = socket.create_connection(self._where, timeout=timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                wrapped = self._context.wrap_socket(plain, server_hostname=self._host, session=self._session)
            except OSError:
                plain.close()
                raise
            try:
                self._check(wrapped)
            except KeimError:
                wrapped.close()
                raise
            self._socket = wrapped
        return self._socket

    def close(self) -> None:
        if self._socket is not None:
            if self._is_resumed:
                self._session = self._socket.session  # with TLS 1.3 it came after the handshake
            self._socket.close()
            self._socket = None


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

    def _eim(self, peer: EimPeer) -> Connection:
        now = self._now()
        trusted = f"{peer.address} {peer.trust.name} {peer.credential.hex()} {is_clock_set(now)}"
        key = ("eim", f"{peer.eim_id} {trusted}")
        if key not in self._connections:
            self._connections[key] = Connection(
                peer.host,
                peer.port(HTTPS_PORT),
                eim_context(peer, roots=self._eim_roots, now=now),
                lambda connection: check_eim(connection, peer),
                where=self._addresses.get(peer.host),
                is_resumed=True,
            )
        return self._connections[key]

    def _server(self, address: str) -> Connection:
        now = self._now()
        key = ("server", f"{address} {is_clock_set(now)}")
        if key not in self._connections:
            host, separator, port = address.rpartition(":")
            name = host if separator and port.isdecimal() else address
            number = int(port) if separator and port.isdecimal() else HTTPS_PORT
            trust = None if self._server_roots is None else TrustStore(self._server_roots)
            self._connections[key] = Connection(
                name,
                number,
                server_context(self._server_roots, now=now),
                lambda connection: check_server(connection, trust, host=name, now=self._now()),
                where=self._addresses.get(name),
            )
        return self._connections[key]
