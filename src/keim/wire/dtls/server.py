"""The server's side of a handshake, once the cookie was right (RFC 6347 §4.2.4, flights 4 and 6). Pure."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING

from keim.wire.dtls import faults, hello, prf
from keim.wire.dtls.association import Association
from keim.wire.dtls.events import Identity
from keim.wire.dtls.faults import HandshakeFailed
from keim.wire.dtls.fragments import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CERTIFICATE_VERIFY,
    CLIENT_KEY_EXCHANGE,
    FINISHED,
    NEW_SESSION_TICKET,
    SERVER_HELLO,
    SERVER_HELLO_DONE,
    SERVER_KEY_EXCHANGE,
    HandshakeMessage,
    Reassembly,
)
from keim.wire.dtls.handshake import ECDSA_SHA256, Handshake, Item, PeerProof, read_certificate
from keim.wire.dtls.hello import RAW_KEY, ClientHello, ServerHello
from keim.wire.dtls.negotiation import Chosen, check_offer, choose
from keim.wire.dtls.octets import Reader, vector
from keim.wire.dtls.records import CHANGE_CIPHER_SPEC
from keim.wire.dtls.sessions import Session
from keim.wire.dtls.suites import SUITE_OF, key_share

if TYPE_CHECKING:
    from keim.wire.dtls.endpoint import DtlsEndpoint

_CERTIFICATE_REQUEST = b"\x01\x40" + b"\x00\x02" + ECDSA_SHA256 + b"\x00\x00"
"""ecdsa_sign, SHA-256 with ECDSA, no names of authorities: that saves octets."""


class ServerHandshake(Handshake):
    def __init__(
        self, endpoint: DtlsEndpoint, association: Association, offer: ClientHello, now: float
    ) -> None:
        super().__init__(endpoint, association, now)
        self.offer = offer
        self.client_random = offer.random
        self.server_random = endpoint.entropy.bytes(32)
        self.has_extended_master = hello.EXTENDED_MASTER_SECRET in offer.extensions
        self._chosen: Chosen | None = None
        self._agree: Callable[[bytes], bytes] | None = None
        self._proof: PeerProof | None = None
        self._session_id = b""
        self._issues_ticket = False
        self.repeats_itself = bool(offer.cookie)

    def start(self, message: HandshakeMessage, record_sequence: int) -> None:
        """Our numbers go on from those of the hello that brought the cookie (RFC 6347 §4.2.2)."""
        self.reassembly = Reassembly(message.sequence + 1)
        self.send_sequence = message.sequence
        self.record_sequence = record_sequence
        self.hear(message)
        check_offer(self.offer)
        session = resumable(self.endpoint, self.offer, self.now)
        if session is not None:
            self._resume(session)
        else:
            self._full()

    # ---- hello

    def _answered_extensions(self) -> dict[int, bytes]:
        """Only what was offered, and only what both do."""
        offered = self.offer.extensions
        answer: dict[int, bytes] = {}
        if hello.RENEGOTIATION_INFO in offered or hello.EMPTY_RENEGOTIATION_INFO in self.offer.suites:
            answer[hello.RENEGOTIATION_INFO] = b"\0"
        if self.has_extended_master:
            answer[hello.EXTENDED_MASTER_SECRET] = b""
        if hello.MAX_FRAGMENT_LENGTH in offered:
            wanted = offered[hello.MAX_FRAGMENT_LENGTH]
            octets = hello.FRAGMENT_OCTETS.get(int.from_bytes(wanted, "big"))
            if octets is None:
                raise faults.illegal("a maximum fragment length that is none")
            self.association.largest_fragment = octets
            answer[hello.MAX_FRAGMENT_LENGTH] = wanted
        if hello.CONNECTION_ID in offered and self.config.cid_octets is not None:
            reader = Reader(offered[hello.CONNECTION_ID])
            self.association.peer_cid = reader.vector(1)
            reader.end()
            own = self.endpoint.take_cid(self.association)
            answer[hello.CONNECTION_ID] = vector(1, own)
        return answer

    def _server_hello(self, suite: int, extensions: dict[int, bytes]) -> HandshakeMessage:
        made = ServerHello(
            random=self.server_random, session_id=self._session_id, suite=suite, extensions=extensions
        )
        return self.message(SERVER_HELLO, made.encode())

    # ---- resumption

    def _resume(self, session: Session) -> None:
        self.suite = SUITE_OF[session.suite]
        self.master = session.master
        self.identity = session.identity
        self._session_id = self.offer.session_id
        self.association.is_resumed = True
        flight: list[Item] = [self._server_hello(session.suite, self._answered_extensions())]
        self.set_keys()
        flight += [CHANGE_CIPHER_SPEC, self.message(FINISHED, self.finished(is_client=False))]
        self.next_steps = {FINISHED: self._last_finished}
        self.send_flight(flight)

    def _last_finished(self, message: HandshakeMessage) -> None:
        self.check_finished(message, is_client=True)
        self.done(keeps_tail=False)

    # ---- full handshake

    def _full(self) -> None:
        chosen = self._chosen = choose(self.offer, self.config)
        self.suite = chosen.suite
        extensions = self._answered_extensions()
        offered = self.offer.extensions
        if chosen.credential is not None and hello.SERVER_CERTIFICATE_TYPE in offered:
            extensions[hello.SERVER_CERTIFICATE_TYPE] = bytes((chosen.server_type,))
        if chosen.client_type is not None and hello.CLIENT_CERTIFICATE_TYPE in offered:
            extensions[hello.CLIENT_CERTIFICATE_TYPE] = bytes((chosen.client_type,))
        if chosen.suite.has_agreement and hello.POINT_FORMATS in offered:
            extensions[hello.POINT_FORMATS] = b"\x01\x00"
        if (
            self.has_extended_master
            and self.config.resumption == "tickets"
            and hello.SESSION_TICKET in offered
        ):
            extensions[hello.SESSION_TICKET] = b""
        elif self.has_extended_master and self.config.resumption != "none":
            self._session_id = self.endpoint.entropy.bytes(32)
        self._issues_ticket = hello.SESSION_TICKET in extensions
        flight: list[Item] = [self._server_hello(chosen.suite.number, extensions)]
        credential = chosen.credential
        if credential is not None:
            is_raw = chosen.server_type == RAW_KEY
            body = credential.raw_key_message() if is_raw else credential.certificate_message()
            flight.append(self.message(CERTIFICATE, body))
        if chosen.suite.has_agreement:
            flight.append(self.message(SERVER_KEY_EXCHANGE, self._key_exchange(chosen)))
        if chosen.client_type is not None:
            flight.append(self.message(CERTIFICATE_REQUEST, _CERTIFICATE_REQUEST))
        flight.append(self.message(SERVER_HELLO_DONE, b""))
        self.next_steps = (
            {CLIENT_KEY_EXCHANGE: self._client_key_exchange}
            if chosen.client_type is None
            else {CERTIFICATE: self._certificate}
        )
        self.send_flight(flight)

    def _key_exchange(self, chosen: Chosen) -> bytes:
        share, self._agree = key_share(chosen.group)
        parameters = b"\x03" + chosen.group.to_bytes(2, "big") + vector(1, share)
        if chosen.credential is None:
            return vector(2, b"") + parameters  # no hint; the key itself proves us (RFC 5489)
        signature = chosen.credential.sign(self.client_random + self.server_random + parameters)
        return parameters + ECDSA_SHA256 + vector(2, signature)

    def _certificate(self, message: HandshakeMessage) -> None:
        assert self._chosen is not None
        self._proof = read_certificate(
            message.body,
            self.config.trust,
            is_raw=self._chosen.client_type == RAW_KEY,
            name=None,
            is_server=False,
            now=self.now,
        )
        if self._proof is None and self.config.client_proof == "required":
            raise HandshakeFailed(
                "the client proves nothing", faults.HANDSHAKE_FAILURE, code="dtls.client_unproved"
            )
        self.hear(message)
        self.next_steps = {CLIENT_KEY_EXCHANGE: self._client_key_exchange}

    def _client_key_exchange(self, message: HandshakeMessage) -> None:
        suite = self.suite
        assert suite is not None
        reader = Reader(message.body)
        key: bytes | None = None
        if suite.exchange != "ecdsa":
            identity = reader.vector(2)
            find = self.config.find_psk
            key = None if find is None else find(identity)
            if key is None:
                raise HandshakeFailed(
                    "an unknown PSK identity", faults.UNKNOWN_PSK_IDENTITY, code="dtls.unknown_psk"
                )
            self.identity = Identity("psk", identity)
        share = reader.vector(1) if suite.has_agreement else b""
        reader.end()
        self.hear(message)
        secret = None if self._agree is None else self._agree(share)
        self._agree = None
        pre_master = secret if key is None else prf.psk_pre_master(key, secret)
        assert pre_master is not None
        self.derive_master(pre_master)
        self.set_keys()
        self.next_steps = (
            {FINISHED: self._finished}
            if self._proof is None
            else {CERTIFICATE_VERIFY: self._certificate_verify}
        )

    def _certificate_verify(self, message: HandshakeMessage) -> None:
        assert self._proof is not None
        reader = Reader(message.body)
        algorithm, signature = reader.take(2), reader.vector(2)
        reader.end()
        if algorithm != ECDSA_SHA256:
            raise faults.illegal("a signature of a kind that was not asked for")
        self._proof.check_signature(algorithm, signature, bytes(self.transcript))
        self.identity = self._proof.identity
        self.hear(message)
        self.next_steps = {FINISHED: self._finished}

    def _finished(self, message: HandshakeMessage) -> None:
        self.check_finished(message, is_client=True)
        suite = self.suite
        assert suite is not None
        flight: list[Item] = []
        session = Session(
            id=self._session_id,
            suite=suite.number,
            master=self.master,
            until=self.now + self.config.session_s,
            identity=self.identity,
            server_name=self.offer.server_name,
        )
        if self._issues_ticket:
            ticket = self.endpoint.tickets.seal(session, self.now)
            lifetime = int(self.config.session_s).to_bytes(4, "big")
            flight.append(self.message(NEW_SESSION_TICKET, lifetime + vector(2, ticket)))
        elif self._session_id:
            self.endpoint.sessions.put(session)
        flight += [CHANGE_CIPHER_SPEC, self.message(FINISHED, self.finished(is_client=False))]
        self.send_flight(flight, is_last=True)
        self.done(keeps_tail=True)


def resumable(endpoint: DtlsEndpoint, offer: ClientHello, now: float) -> Session | None:
    """The session that this hello goes on with; a full handshake follows where there is none."""
    config = endpoint.config
    session: Session | None = None
    ticket = offer.extensions.get(hello.SESSION_TICKET)
    if config.resumption == "tickets" and ticket:
        session = endpoint.tickets.open(ticket, now)
    elif config.resumption != "none" and offer.session_id:
        session = endpoint.sessions.get(offer.session_id, now)
    if (
        session is None
        or hello.EXTENDED_MASTER_SECRET not in offer.extensions
        or session.suite not in offer.suites
        or session.suite not in {suite.number for suite in config.suites}
        or session.server_name != offer.server_name
        or (config.client_proof == "required" and session.identity.kind == "nobody")
    ):
        return None
    return session


def is_same_hello(one: ClientHello, other: ClientHello) -> bool:
    return hmac.compare_digest(one.random, other.random)
