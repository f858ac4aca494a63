"""The second DTLS engine, on OpenSSL: the same verbs as keim.wire.dtls.DtlsEndpoint, and less.

For operators who want an audited TLS library, and to try the first engine against. It knows certificates
only: no connection ids, no raw keys, no shared keys, no snapshots; a peer costs about 60 KiB. Needs the
extra `coap`.
Stands in io because OpenSSL keeps state, time and chance of its own.
"""

from __future__ import annotations

import hmac
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from keim.errors import Malformed, Refused, Untrusted
from keim.wire.dtls import hello
from keim.wire.dtls.config import Target
from keim.wire.dtls.cookies import COOKIE_OCTETS
from keim.wire.dtls.events import NOBODY, Address, Data, DatagramEvent, Down, Identity, Up
from keim.wire.dtls.fragments import read_fragments
from keim.wire.dtls.hello import read_client_hello
from keim.wire.dtls.records import HANDSHAKE, HEADER_OCTETS, split
from keim.wire.dtls.timers import Timer, Timers
from keim.wire.dtls.trust import Trust, names_of, spki_of

try:
    from OpenSSL import SSL, crypto
except ImportError as error:
    raise Refused(
        "the OpenSSL engine needs the extra `coap` (pyOpenSSL)", code="dtls.openssl_absent"
    ) from error

DTLS_1_2: Final = 0xFEFD
LARGEST_RECORD: Final = 1 << 14
_RELEASE_BUFFERS: Final = 0x10
_NO_AUTO_CHAIN: Final = 0x08
SUITES: Final = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-ECDSA-AES128-CCM": "ECDHE_ECDSA_WITH_AES_128_CCM",
    "ECDHE-ECDSA-AES128-CCM8": "ECDHE_ECDSA_WITH_AES_128_CCM_8",
}


class OpenSslConfig(msgspec.Struct, frozen=True, kw_only=True):
    key: ec.EllipticCurvePrivateKey | None = None
    chain: tuple[x509.Certificate, ...] = ()
    """The leaf first, without the anchor."""
    trust: Trust | None = None
    client_proof: Literal["none", "optional", "required"] = "none"
    ciphers: tuple[str, ...] = tuple(SUITES)
    mtu: int = 1200
    half_open: int = 1024
    associations: int = 10_000


class OpenSslAssociation:
    __slots__ = (
        "address", "connection", "identity", "is_client", "is_resumed", "is_up", "largest_fragment",
        "session", "target", "timer",
    )  # fmt: skip

    def __init__(self, address: Address, connection: Any, target: Target | None) -> None:
        self.address = address
        self.connection = connection
        self.is_client = target is not None
        self.target = target
        self.is_up = self.is_resumed = False
        self.identity: Identity = NOBODY
        self.session: Any = None
        """Of a client: what resumes this association later, in a `Target`."""
        self.timer: Timer | None = None
        self.largest_fragment = LARGEST_RECORD


class OpenSslDatagrams:
    def __init__(self, config: OpenSslConfig) -> None:
        self.config = config
        self._secret = os.urandom(32)
        self._server = self._context(is_server=True) if config.key is not None else None
        self._client = self._context(is_server=False)
        self._listener: Any = None
        self._live: OrderedDict[Address, OpenSslAssociation] = OrderedDict()
        self._half_open: OrderedDict[Address, OpenSslAssociation] = OrderedDict()
        self._outbox: list[tuple[bytes, Address]] = []
        self._events: list[DatagramEvent] = []
        self.timers = Timers()

    def _context(self, *, is_server: bool) -> Any:
        config = self.config
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(DTLS_1_2)
        options = (SSL.OP_COOKIE_EXCHANGE, SSL.OP_NO_QUERY_MTU, SSL.OP_NO_RENEGOTIATION, SSL.OP_NO_TICKET)
        context.set_options(sum(option or 0 for option in options))
        context.set_mode(_RELEASE_BUFFERS | _NO_AUTO_CHAIN)
        level = "@SECLEVEL=0" if any("CCM8" in cipher for cipher in config.ciphers) else "@SECLEVEL=2"
        context.set_cipher_list(":".join((*config.ciphers, level)).encode())
        if config.key is not None:
            context.use_privatekey(config.key)
            context.use_certificate(config.chain[0])
            for certificate in config.chain[1:]:
                context.add_extra_chain_cert(crypto.X509.from_cryptography(certificate))
        verify = SSL.VERIFY_PEER
        if is_server:
            context.set_session_id(b"keim")
            context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
            context.set_cookie_generate_callback(lambda connection: self._cookie(connection.get_app_data()))
            context.set_cookie_verify_callback(
                lambda connection, cookie: hmac.compare_digest(
                    cookie, self._cookie(connection.get_app_data())
                )
            )
            if config.client_proof == "none":
                verify = SSL.VERIFY_NONE
            elif config.client_proof == "required":
                verify |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        # chains are judged after the handshake by the same code for both engines (see `_proven`)
        context.set_verify(verify, lambda *_: True)
        return context

    def _cookie(self, address: Address) -> bytes:
        return hmac.digest(self._secret, repr(address).encode(), "sha256")[:COOKIE_OCTETS]

    def _connection(self, context: Any) -> Any:
        connection = SSL.Connection(context, None)
        connection.set_ciphertext_mtu(self.config.mtu)
        return connection

    # ---- verbs

    def receive(self, datagram: bytes, address: Address, now: float) -> list[DatagramEvent]:
        if not datagram:
            return []
        half_open = self._half_open.get(address)
        live = self._live.get(address)
        if half_open is not None:
            self._feed(half_open, datagram, now)
        if live is not None and self._live.get(address) is live:
            if half_open is None and self._server is not None and _is_client_hello(datagram):
                self._listen(datagram, address, now)
            else:
                self._live.move_to_end(address)
                self._feed(live, datagram, now)
        elif half_open is None and self._server is not None and _is_client_hello(datagram):
            self._listen(datagram, address, now)
        return self._take_events()

    def send(self, association: OpenSslAssociation, data: bytes, now: float) -> None:
        if not association.is_up:
            return
        association.connection.send(data)
        self._flush(association.connection, association.address)

    def room(self, association: OpenSslAssociation) -> int:
        return association.largest_fragment

    def connect(self, address: Address, now: float, target: Target) -> OpenSslAssociation:
        connection = self._connection(self._client)
        connection.set_connect_state()
        if target.server_name is not None:
            connection.set_tlsext_host_name(target.server_name.encode("idna"))
        if isinstance(target.session, SSL.Session):
            connection.set_session(target.session)
        association = OpenSslAssociation(address, connection, target)
        self._half_open[address] = association
        self._go_on(association, now)
        return association

    def prove_with(self, key: ec.EllipticCurvePrivateKey, chain: tuple[x509.Certificate, ...]) -> None:
        """From now on; what is up and what is being made stays as it is."""
        self.config = msgspec.structs.replace(self.config, key=key, chain=chain)
        self._server, self._listener = self._context(is_server=True), None

    def is_up(self, association: OpenSslAssociation) -> bool:
        return association.is_up

    def close(self, association: OpenSslAssociation, now: float) -> list[DatagramEvent]:
        self._end(association, "closed")
        return self._take_events()

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        outbox, self._outbox = self._outbox, []
        return outbox

    def next_deadline(self) -> float | None:
        return self.timers.next_deadline()

    def handle_timer(self, now: float) -> list[DatagramEvent]:
        self.timers.run(now)
        return self._take_events()

    @property
    def half_open(self) -> int:
        return len(self._half_open)

    @property
    def associations(self) -> int:
        return len(self._live)

    # ---- inside

    def _listen(self, datagram: bytes, address: Address, now: float) -> None:
        """A hello; without its cookie nothing is kept but the one listener that all share."""
        listener = self._listener
        if listener is None:
            listener = self._listener = self._connection(self._server)
            listener.set_accept_state()
        listener.set_app_data(address)
        listener.bio_write(datagram)
        try:
            listener.DTLSv1_listen()
        except SSL.WantReadError:
            self._flush(listener, address)
            return
        except SSL.Error:
            self._listener = None  # what was fed in may still stick in its buffers
            return
        self._listener = None
        association = OpenSslAssociation(address, listener, None)
        association.largest_fragment = _records_wanted(datagram)
        self._half_open[address] = association
        if len(self._half_open) > self.config.half_open:
            _, oldest = self._half_open.popitem(last=False)
            self._stop_timer(oldest)
        self._go_on(association, now)

    def _feed(self, association: OpenSslAssociation, datagram: bytes, now: float) -> None:
        association.connection.bio_write(datagram)
        self._go_on(association, now)

    def _go_on(self, association: OpenSslAssociation, now: float) -> None:
        connection = association.connection
        try:
            if not association.is_up:
                connection.do_handshake()
                self._came_up(association, now)
            while association.is_up:
                self._events.append(Data(association, connection.recv(1 << 14)))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self._end(association, "closed")
        except SSL.Error:
            self._end(association, "dtls.handshake_failed" if not association.is_up else "dtls.broken")
        except Untrusted as error:
            self._end(association, error.code)
        self._flush(connection, association.address)
        self._set_timer(association, now)

    def _came_up(self, association: OpenSslAssociation, now: float) -> None:
        connection = association.connection
        association.is_resumed = bool(
            SSL._lib.SSL_session_reused(connection._ssl)  # type: ignore[attr-defined]  # there is no public way
        )
        association.identity = self._proven(association, now)
        association.is_up = True
        if association.is_client:
            association.session = connection.get_session()
        address = association.address
        self._half_open.pop(address, None)
        old = self._live.get(address)
        if old is not None:
            self._end(old, "replaced", tells_peer=False)
        self._live[address] = association
        while len(self._live) > self.config.associations:
            self._end(next(iter(self._live.values())), "evicted", tells_peer=False)
        name = connection.get_cipher_name() or ""
        self._events.append(
            Up(association, association.identity, SUITES.get(name, name), association.is_resumed)
        )

    def _proven(self, association: OpenSslAssociation, now: float) -> Identity:
        leaf = association.connection.get_peer_certificate(as_cryptography=True)
        if leaf is None:
            if association.is_client:
                raise Untrusted("the server proves nothing", code="dtls.untrusted")
            return NOBODY
        if self.config.trust is None:
            raise Untrusted("nothing says whom to trust", code="dtls.untrusted")
        sent = association.connection.get_peer_cert_chain(as_cryptography=True) or []
        chain = [leaf, *(certificate for certificate in sent if certificate != leaf)]
        target = association.target
        if not association.is_resumed:  # what a session stands for was judged when it was made
            self.config.trust.check_chain(
                chain,
                name=None if target is None else target.server_name,
                is_server=association.is_client,
                now=now,
            )
        names = names_of(leaf)
        return Identity("certificate", sha256(spki_of(leaf)).digest(), names[0] if names else "")

    def _end(self, association: OpenSslAssociation, reason: str, *, tells_peer: bool = True) -> None:
        connection, address = association.connection, association.address
        was_up, association.is_up = association.is_up, False
        if tells_peer:
            with suppress(SSL.Error):
                connection.shutdown()
            self._flush(connection, address)
        connection.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)  # else the session is lost
        self._stop_timer(association)
        for table in (self._live, self._half_open):
            if table.get(address) is association:
                del table[address]
        if was_up or association.is_client:
            self._events.append(Down(association, reason))

    def _flush(self, connection: Any, address: Address) -> None:
        try:
            data = connection.bio_read(1 << 16)
        except SSL.WantReadError:
            return
        for datagram in _datagrams(data, self.config.mtu):
            self._outbox.append((datagram, address))

    def _set_timer(self, association: OpenSslAssociation, now: float) -> None:
        self._stop_timer(association)
        if association.is_up or self._half_open.get(association.address) is association:
            timeout_s = association.connection.DTLSv1_get_timeout()
            if timeout_s is not None:
                association.timer = self.timers.at(now + timeout_s, lambda due: self._due(association, due))

    def _due(self, association: OpenSslAssociation, now: float) -> None:
        association.timer = None
        try:
            association.connection.DTLSv1_handle_timeout()
        except SSL.Error:
            self._end(association, "dtls.timed_out")
            return
        self._flush(association.connection, association.address)
        self._set_timer(association, now)

    def _stop_timer(self, association: OpenSslAssociation) -> None:
        if association.timer is not None:
            association.timer.cancel()
            association.timer = None

    def _take_events(self) -> list[DatagramEvent]:
        events, self._events = self._events, []
        return events


def _is_client_hello(datagram: bytes) -> bool:
    return (
        len(datagram) > HEADER_OCTETS
        and datagram[0] == HANDSHAKE
        and datagram[3:5] == b"\0\0"
        and datagram[HEADER_OCTETS] == 1
    )


def _records_wanted(datagram: bytes) -> int:
    """The largest records that a hello which OpenSSL took asks for; OpenSSL heeds it and does not tell."""
    with suppress(Malformed):
        for record in split(datagram, 0):
            for fragment in read_fragments(record.fragment):
                wanted = read_client_hello(fragment.data).extensions.get(hello.MAX_FRAGMENT_LENGTH, b"")
                return hello.FRAGMENT_OCTETS.get(int.from_bytes(wanted, "big"), LARGEST_RECORD)
    return LARGEST_RECORD


def _datagrams(data: bytes, mtu: int) -> Iterator[bytes]:
    """The memory BIO forgets where datagrams end: cut at records, packed again up to the MTU."""
    datagram, position = b"", 0
    while position + HEADER_OCTETS <= len(data):
        end = position + HEADER_OCTETS + (data[position + 11] << 8 | data[position + 12])
        record = data[position:end]
        if datagram and len(datagram) + len(record) > mtu:
            yield datagram
            datagram = b""
        datagram += record
        position = end
    if datagram:
        yield datagram
