"""HTTPS inside of a card: TLS over memory buffers, carried by BIP commands that a conversation yields.

A conversation yields complete proactive commands and receives the terminal's responses; it yields AWAIT when
nothing is left to say until an event (data available, timer) comes.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator
from datetime import datetime
from typing import Final, TypeAlias

from keim.errors import Malformed, TimedOut, Unreachable, Untrusted
from keim.io.ipa_tls import check_eim, check_server, eim_context, server_context
from keim.ipa.effects import PeerBusy, ServerReply, ServerRequest
from keim.ipa.trust import EimPeer
from keim.pki import Certificate, TrustStore
from keim.wire import bip, dns, es9p_json, esipa_http
from keim.wire.es9p import function_of
from keim.wire.esipa import PROTOCOL, USER_AGENT_IPAE
from keim.wire.http import HttpRequest, HttpResponse

Conversation: TypeAlias = Generator[bytes, bytes, None]
AWAIT: Final = b""
READ_TIMER: Final = 3
HEADERS: Final = {"user-agent": USER_AGENT_IPAE, "x-admin-protocol": PROTOCOL}
MOST_OCTETS: Final = 1 << 20
HTTPS_PORT: Final = 443
WINDOW: Final = 16_384


class BipFailed(Unreachable):
    """The terminal could not do what a BIP command asked."""

    code = "ipa.bip_failed"


class HttpsOverBip:
    """One HTTPS connection at a time; a connection to another peer closes the one before."""

    def __init__(
        self,
        dns_server: bytes,
        eim_roots: tuple[Certificate, ...] | None,
        server_roots: tuple[Certificate, ...] | None,
        random: Callable[[int], bytes],
    ) -> None:
        self._dns_server, self._random = dns_server, random
        self._eim_roots, self._server_roots = eim_roots, server_roots
        self._link: TlsLink | None = None

    def call_eim(
        self, peer: EimPeer, message: bytes, now: datetime, timeout_s: float
    ) -> Generator[bytes, bytes, bytes]:
        """One ESipa function; a card speaks the ASN.1 binding."""

        def connect() -> Generator[bytes, bytes, TlsLink]:
            context = eim_context(peer, roots=self._eim_roots, now=now)
            link = yield from self._connect(peer.host, peer.port(HTTPS_PORT), context)
            check_eim(link.tls, peer)
            return link

        request = esipa_http.write_request(message, headers=HEADERS)
        response = yield from self._exchange(peer.address, connect, request, timeout_s)
        return esipa_http.read_answer(response, party=peer.eim_id)

    def call_server(
        self, address: str, request: ServerRequest, now: datetime, timeout_s: float
    ) -> Generator[bytes, bytes, ServerReply]:
        host, separator, port = address.rpartition(":")
        name = host if separator and port.isdecimal() else address
        number = int(port) if separator and port.isdecimal() else HTTPS_PORT

        def connect() -> Generator[bytes, bytes, TlsLink]:
            link = yield from self._connect(name, number, server_context(self._server_roots, now=now))
            trust = None if self._server_roots is None else TrustStore(self._server_roots)
            check_server(link.tls, trust, host=name, now=now)
            return link

        sent = es9p_json.write_request(request, HEADERS)
        response = yield from self._exchange(address, connect, sent, timeout_s)
        return es9p_json.read_reply(function_of(request), response, party=address)

    def close(self) -> Conversation:
        if self._link is not None:
            link, self._link = self._link, None
            yield from link.close()

    def _exchange(
        self,
        address: str,
        connect: Callable[[], Generator[bytes, bytes, TlsLink]],
        request: HttpRequest,
        timeout_s: float,
    ) -> Generator[bytes, bytes, HttpResponse]:
        """A kept link that turns out to be broken is opened anew, once."""
        for is_last in (False, True):
            is_kept = self._link is not None and self._link.address == address
            if not is_kept:
                yield from self.close()
                self._link = yield from connect()
                self._link.address = address
            assert self._link is not None
            try:
                response = yield from self._link.exchange(request, address, timeout_s)
            except (Unreachable, Malformed):
                yield from self.close()
                if is_last or not is_kept:
                    raise
                continue
            if response.status == 503:
                wait = response.headers.get("retry-after", "")
                raise PeerBusy(f"{address} is busy", retry_after_s=float(wait) if wait.isdecimal() else 60.0)
            return response
        raise BipFailed(f"{address} cannot be kept connected")

    def _connect(self, host: str, port: int, context: ssl.SSLContext) -> Generator[bytes, bytes, TlsLink]:
        address = yield from self._resolve(host)
        channel = yield from _open(bip.open_channel(address, port))
        link = TlsLink(channel, context, host)
        yield from link.handshake()
        return link

    def _resolve(self, host: str) -> Generator[bytes, bytes, bytes]:
        """By the DNS over a UDP channel, unless the host is an address already."""
        parts = host.split(".")
        if len(parts) == 4 and all(part.isdecimal() and int(part) < 256 for part in parts):
            return bytes(int(part) for part in parts)
        number = int.from_bytes(self._random(2), "big")
        channel = yield from _open(bip.open_channel(self._dns_server, dns.PORT, protocol=bip.UDP))
        yield from _send(channel, dns.question(host, number))
        datagram = yield from _receive(channel)
        yield bip.close_channel(channel)
        address = dns.address_in(datagram, number)
        if address is None:
            raise BipFailed(f"{host} has no address")
        return address


def _open(command: bytes) -> Generator[bytes, bytes, int]:
    answer = bip.read_response((yield command))
    status = answer.members.get(bip.CHANNEL_STATUS, b"")
    if not answer.is_performed or len(status) < 2 or not status[0] & 0x80:
        raise BipFailed(f"the terminal opened no channel: result {answer.result:02X}")
    return status[0] & 0x07


def _send(channel: int, octets: bytes) -> Conversation:
    for start in range(0, len(octets), bip.MOST_DATA):
        part = octets[start : start + bip.MOST_DATA]
        answer = bip.read_response((yield bip.send_data(channel, part)))
        if not answer.is_performed:
            raise BipFailed(f"the terminal did not send: result {answer.result:02X}")


def _receive(channel: int, timeout_s: float = 30.0) -> Generator[bytes, bytes, bytes]:
    """What has arrived; waits for an event when nothing has, within the time."""
    is_timer_running = False
    while True:
        answer = bip.read_response((yield bip.receive_data(channel)))
        if not answer.is_performed:
            raise BipFailed(f"the terminal did not receive: result {answer.result:02X}")
        data = answer.members.get(bip.CHANNEL_DATA, b"")
        if data:
            return data
        if not is_timer_running:
            yield bip.start_timer(READ_TIMER, int(timeout_s))
            is_timer_running = True
        event = yield AWAIT
        members = bip.inside(event, event[0])
        if event[0] == bip.TIMER_EXPIRATION and members.get(bip.TIMER_ID) == bytes((READ_TIMER,)):
            raise TimedOut("the peer did not answer in time", code="ipa.peer_silent")
        status = members.get(bip.CHANNEL_STATUS, b"\x80\x00")
        if members.get(bip.EVENT_LIST) == bytes((bip.EVENT_CHANNEL_STATUS,)) and not status[0] & 0x80:
            raise BipFailed("the link broke")


class TlsLink:
    """TLS in memory on one channel, and HTTP/1.1 on it."""

    def __init__(self, channel: int, context: ssl.SSLContext, host: str) -> None:
        self.address = ""
        self._channel, self._host = channel, host
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._plain = b""

    def handshake(self) -> Conversation:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                yield from self._flush()
                self._incoming.write((yield from _receive(self._channel)))
            except ssl.SSLCertVerificationError as refused:
                yield from self.close()
                raise Untrusted(
                    f"{self._host}: {refused.verify_message}", code="ipa.peer_untrusted", party=self._host
                ) from refused
            except ssl.SSLError as broken:
                yield from self.close()
                raise BipFailed(f"{self._host}: {broken}") from broken
            else:
                yield from self._flush()
                return

    def _flush(self) -> Conversation:
        pending = self._outgoing.read()
        if pending:
            yield from _send(self._channel, pending)

    def exchange(
        self, request: HttpRequest, address: str, timeout_s: float
    ) -> Generator[bytes, bytes, HttpResponse]:
        headers = {"host": address, "content-length": str(len(request.body)), **request.headers}
        head = f"{request.method} {request.path} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        self.tls.write(head.encode("ascii") + b"\r\n" + request.body)
        yield from self._flush()
        self._plain = b""
        head_octets = yield from self._read_until(b"\r\n\r\n", timeout_s)
        status, found = _head(head_octets)
        length = found.get("content-length", "0")
        if not length.isdecimal() or len(length) > 9 or int(length) > MOST_OCTETS:
            raise Malformed("the answer's length is no number or too large", offset=0, party=self._host)
        while len(self._plain) < int(length):
            yield from self._more(timeout_s)
        body, self._plain = self._plain[: int(length)], self._plain[int(length) :]
        return HttpResponse(status, found, body)

    def _read_until(self, mark: bytes, timeout_s: float) -> Generator[bytes, bytes, bytes]:
        while mark not in self._plain:
            if len(self._plain) > WINDOW:
                raise Malformed("the answer has no end of its head", offset=WINDOW, party=self._host)
            yield from self._more(timeout_s)
        head, _, self._plain = self._plain.partition(mark)
        return head

    def _more(self, timeout_s: float) -> Conversation:
        while True:
            try:
                octets = self.tls.read(WINDOW)
            except ssl.SSLWantReadError:
                yield from self._flush()
                self._incoming.write((yield from _receive(self._channel, timeout_s)))
                continue
            except ssl.SSLError as broken:
                raise BipFailed(f"{self._host}: {broken}") from broken
            if not octets:
                raise BipFailed(f"{self._host} closed the connection")
            self._plain += octets
            return

    def close(self) -> Conversation:
        yield bip.close_channel(self._channel)


def _head(octets: bytes) -> tuple[int, dict[str, str]]:
    lines = octets.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise Malformed("the answer is not HTTP/1.1", offset=0, code="ipa.answer_unreadable")
    pairs = (line.partition(":") for line in lines[1:])
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}
