"""The client's side of a handshake (RFC 6347 §4.2.4, flights 1, 3 and 5). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.wire.dtls import faults, hello, prf
from keim.wire.dtls.association import Association
from keim.wire.dtls.config import Target
from keim.wire.dtls.credentials import Credential
from keim.wire.dtls.events import Identity
from keim.wire.dtls.faults import HandshakeFailed
from keim.wire.dtls.fragments import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CERTIFICATE_VERIFY,
    CLIENT_HELLO,
    CLIENT_KEY_EXCHANGE,
    FINISHED,
    HELLO_VERIFY_REQUEST,
    NEW_SESSION_TICKET,
    SERVER_HELLO,
    SERVER_HELLO_DONE,
    SERVER_KEY_EXCHANGE,
    HandshakeMessage,
)
from keim.wire.dtls.handshake import (
    ECDSA_SHA256,
    SIGNATURE_HASHES,
    Handshake,
    Item,
    PeerProof,
    read_certificate,
)
from keim.wire.dtls.hello import (
    RAW_KEY,
    X509,
    ClientHello,
    ServerHello,
    read_hello_verify,
    read_server_hello,
)
from keim.wire.dtls.octets import Reader, numbers, vector
from keim.wire.dtls.records import CHANGE_CIPHER_SPEC, VERSION
from keim.wire.dtls.sessions import Session
from keim.wire.dtls.suites import SUITE_OF, Suite, key_share

if TYPE_CHECKING:
    from keim.wire.dtls.endpoint import DtlsEndpoint

_FRAGMENT_CODES = {octets: number for number, octets in hello.FRAGMENT_OCTETS.items()}


class ClientHandshake(Handshake):
    def __init__(self, endpoint: DtlsEndpoint, association: Association, target: Target, now: float) -> None:
        super().__init__(endpoint, association, now)
        self.target = target
        self.client_random = endpoint.entropy.bytes(32)
        session = target.session
        self._session: Session | None = None
        if isinstance(session, Session) and session.until > now and session.server_name == target.server_name:
            self._session = session
        self._offer = self._make_offer()
        self._answer: ServerHello | None = None
        self._server_type = X509
        self._client_type = X509
        self._proof: PeerProof | None = None
        self._is_asked = self._can_sign = False
        self._share = b""
        self._agreed: bytes | None = None
        self._ticket = b""
        self._ticket_lifetime_s = 0.0

    # ---- the offer

    def _suites(self) -> tuple[Suite, ...]:
        has_psk = self.target.psk is not None
        return tuple(
            suite
            for suite in self.config.suites
            if (has_psk if suite.exchange != "ecdsa" else self.config.trust is not None)
        )

    def _make_offer(self) -> ClientHello:
        config, extensions = self.config, dict[int, bytes]()
        suites = self._suites()
        if not suites:
            raise HandshakeFailed(
                "neither a trust nor a PSK: no suite to offer", faults.HANDSHAKE_FAILURE, code="dtls.no_offer"
            )
        if self.target.server_name is not None and not _is_ip_address(self.target.server_name):
            extensions[hello.SERVER_NAME] = hello.write_server_name(self.target.server_name)
        if config.max_fragment_length is not None:
            extensions[hello.MAX_FRAGMENT_LENGTH] = bytes((_FRAGMENT_CODES[config.max_fragment_length],))
        if any(suite.has_agreement for suite in suites):
            extensions[hello.SUPPORTED_GROUPS] = hello.write_list(config.groups)
            extensions[hello.POINT_FORMATS] = b"\x01\x00"
        if any(suite.exchange == "ecdsa" for suite in suites):
            extensions[hello.SIGNATURE_ALGORITHMS] = hello.write_list(tuple(SIGNATURE_HASHES))
            if config.certificate_types != (X509,):
                extensions[hello.SERVER_CERTIFICATE_TYPE] = hello.write_list(
                    config.certificate_types, length_octets=1, octets=1
                )
            own = self._own_types()
            if own not in ((), (X509,)):
                extensions[hello.CLIENT_CERTIFICATE_TYPE] = hello.write_list(own, length_octets=1, octets=1)
        extensions[hello.EXTENDED_MASTER_SECRET] = b""
        session = self._session
        if config.resumption == "tickets":
            extensions[hello.SESSION_TICKET] = b"" if session is None else session.ticket
        if config.cid_octets is not None:
            extensions[hello.CONNECTION_ID] = vector(1, self.endpoint.take_cid(self.association))
        session_id = b""
        if session is not None:
            session_id = session.id or (self.endpoint.entropy.bytes(32) if session.ticket else b"")
        return ClientHello(
            random=self.client_random,
            session_id=session_id,
            suites=(*(suite.number for suite in suites), hello.EMPTY_RENEGOTIATION_INFO),
            extensions=extensions,
        )

    def _own_types(self) -> tuple[int, ...]:
        """What we could prove ourselves with, certificates first."""
        credential = self._credential()
        if credential is None:
            return ()
        return (X509, RAW_KEY) if credential.chain else (RAW_KEY,)

    def _credential(self) -> Credential | None:
        return self.config.credentials[0] if self.config.credentials else None

    def start(self) -> None:
        self.next_steps = {HELLO_VERIFY_REQUEST: self._verify_request, SERVER_HELLO: self._server_hello}
        self.send_flight([self.message(CLIENT_HELLO, self._offer.encode())])

    def _verify_request(self, message: HandshakeMessage) -> None:
        """The transcript begins with the hello that carries the cookie."""
        cookie = read_hello_verify(message.body)
        self.transcript.clear()
        self._offer = ClientHello(
            random=self._offer.random,
            session_id=self._offer.session_id,
            cookie=cookie,
            suites=self._offer.suites,
            extensions=self._offer.extensions,
        )
        self.next_steps = {SERVER_HELLO: self._server_hello}
        self.send_flight([self.message(CLIENT_HELLO, self._offer.encode())])

    # ---- the server's answer

    def _server_hello(self, message: HandshakeMessage) -> None:
        answer = self._answer = read_server_hello(message.body)
        offered = self._offer
        if answer.version != VERSION:
            raise HandshakeFailed("the server does not speak DTLS 1.2", faults.PROTOCOL_VERSION)
        suite = SUITE_OF.get(answer.suite) if answer.suite in offered.suites else None
        if suite is None:
            raise faults.illegal("a suite that was not offered")
        allowed = {*offered.extensions, hello.RENEGOTIATION_INFO}
        if not allowed.issuperset(answer.extensions):
            raise HandshakeFailed("an extension that was not offered", faults.UNSUPPORTED_EXTENSION)
        self.suite = suite
        self.server_random = answer.random
        self.has_extended_master = hello.EXTENDED_MASTER_SECRET in answer.extensions
        self._read_extensions(answer)
        self.hear(message)
        session = self._session
        if session is not None and offered.session_id and answer.session_id == offered.session_id:
            self._resumed(session, suite)
        elif suite.exchange == "ecdsa":
            self.next_steps = {CERTIFICATE: self._certificate}
        else:
            self.next_steps = {SERVER_KEY_EXCHANGE: self._key_exchange}
            if not suite.has_agreement:
                self.next_steps[SERVER_HELLO_DONE] = self._hello_done

    def _read_extensions(self, answer: ServerHello) -> None:
        extensions = answer.extensions
        if extensions.get(hello.RENEGOTIATION_INFO, b"\0") != b"\0":
            raise HandshakeFailed("a renegotiation", faults.HANDSHAKE_FAILURE)
        if hello.CONNECTION_ID in extensions:
            reader = Reader(extensions[hello.CONNECTION_ID])
            self.association.peer_cid = reader.vector(1)
            reader.end()
        else:
            self.endpoint.drop_cid(self.association)
        if hello.MAX_FRAGMENT_LENGTH in extensions:
            if extensions[hello.MAX_FRAGMENT_LENGTH] != self._offer.extensions[hello.MAX_FRAGMENT_LENGTH]:
                raise faults.illegal("another maximum fragment length than was asked for")
            assert self.config.max_fragment_length is not None
            self.association.largest_fragment = self.config.max_fragment_length
        self._server_type = self._chosen_type(
            extensions.get(hello.SERVER_CERTIFICATE_TYPE), self.config.certificate_types
        )
        self._client_type = self._chosen_type(
            extensions.get(hello.CLIENT_CERTIFICATE_TYPE), self._own_types() or (X509,)
        )

    def _chosen_type(self, value: bytes | None, offered: tuple[int, ...]) -> int:
        if value is None:
            return X509
        if len(value) != 1 or value[0] not in offered:
            raise faults.illegal("a certificate type that was not offered")
        return value[0]

    def _resumed(self, session: Session, suite: Suite) -> None:
        if session.suite != suite.number or not self.has_extended_master:
            raise faults.illegal("a resumption with other parameters")
        self.association.is_resumed = True
        self.master, self.identity = session.master, session.identity
        self.set_keys()
        self.next_steps = {FINISHED: self._resumed_finished}
        if self._answer is not None and hello.SESSION_TICKET in self._answer.extensions:
            self.next_steps[NEW_SESSION_TICKET] = self._new_ticket

    def _certificate(self, message: HandshakeMessage) -> None:
        self._proof = read_certificate(
            message.body,
            self.config.trust,
            is_raw=self._server_type == RAW_KEY,
            name=self.target.server_name,
            is_server=True,
            now=self.now,
        )
        if self._proof is None:
            raise HandshakeFailed("the server proves nothing", faults.BAD_CERTIFICATE, code="dtls.untrusted")
        self.identity = self._proof.identity
        self.hear(message)
        self.next_steps = {SERVER_KEY_EXCHANGE: self._key_exchange}

    def _key_exchange(self, message: HandshakeMessage) -> None:
        assert self.suite is not None
        reader = Reader(message.body)
        if self.suite.exchange != "ecdsa":
            reader.vector(2)  # the hint says nothing that the configuration does not
        if self.suite.has_agreement:
            kind, group, share = reader.number(1), reader.number(2), reader.vector(1)
            if kind != 3 or group not in self.config.groups:
                raise faults.illegal("a group that was not offered")
            if self._proof is not None:
                parameters = b"\x03" + group.to_bytes(2, "big") + vector(1, share)
                algorithm, signature = reader.take(2), reader.vector(2)
                signed = self.client_random + self.server_random + parameters
                self._proof.check_signature(algorithm, signature, signed)
            self._share, agree = key_share(group)
            self._agreed = agree(share)
        reader.end()
        self.hear(message)
        self.next_steps = {SERVER_HELLO_DONE: self._hello_done}
        if self.suite.exchange == "ecdsa":
            self.next_steps[CERTIFICATE_REQUEST] = self._certificate_request

    def _certificate_request(self, message: HandshakeMessage) -> None:
        reader = Reader(message.body)
        kinds = reader.vector(1)
        algorithms = numbers(reader.vector(2))
        reader.vector(2)
        reader.end()
        self._is_asked = True
        self._can_sign = 0x40 in kinds and int.from_bytes(ECDSA_SHA256, "big") in algorithms
        self.hear(message)
        self.next_steps = {SERVER_HELLO_DONE: self._hello_done}

    # ---- our answer

    def _hello_done(self, message: HandshakeMessage) -> None:
        assert self.suite is not None
        if message.body:
            raise faults.malformed("a ServerHelloDone with something in it")
        self.hear(message)
        flight: list[Item] = []
        credential = self._credential() if self._is_asked and self._can_sign else None
        if self._is_asked:
            body = vector(3, b"")
            if credential is not None and self._client_type == RAW_KEY:
                body = credential.raw_key_message()
            elif credential is not None and credential.chain:
                body = credential.certificate_message()
            else:
                credential = None
            flight.append(self.message(CERTIFICATE, body))
        exchange, pre_master = self._client_exchange(self.suite)
        flight.append(self.message(CLIENT_KEY_EXCHANGE, exchange))
        self.derive_master(pre_master)
        if credential is not None:
            signature = credential.sign(bytes(self.transcript))
            flight.append(self.message(CERTIFICATE_VERIFY, ECDSA_SHA256 + vector(2, signature)))
        self.set_keys()
        flight += [CHANGE_CIPHER_SPEC, self.message(FINISHED, self.finished(is_client=True))]
        assert self._answer is not None
        self.next_steps = {FINISHED: self._finished}
        if hello.SESSION_TICKET in self._answer.extensions:
            self.next_steps = {NEW_SESSION_TICKET: self._new_ticket}
        self.send_flight(flight)

    def _client_exchange(self, suite: Suite) -> tuple[bytes, bytes]:
        """(body, pre-master secret)"""
        if suite.exchange == "ecdsa":
            assert self._agreed is not None
            return vector(1, self._share), self._agreed
        psk = self.target.psk
        assert psk is not None
        self.identity = Identity("psk", psk.identity)
        body = vector(2, psk.identity)
        if suite.has_agreement:
            body += vector(1, self._share)
        return body, prf.psk_pre_master(psk.key, self._agreed)

    def _new_ticket(self, message: HandshakeMessage) -> None:
        reader = Reader(message.body)
        lifetime_s, self._ticket = reader.number(4), reader.vector(2)
        reader.end()
        self._ticket_lifetime_s = float(lifetime_s)
        self.hear(message)
        self.next_steps = {
            FINISHED: self._resumed_finished if self.association.is_resumed else self._finished
        }

    def _finished(self, message: HandshakeMessage) -> None:
        self.check_finished(message, is_client=False)
        self._remember()
        self.done(keeps_tail=False)

    def _resumed_finished(self, message: HandshakeMessage) -> None:
        self.check_finished(message, is_client=False)
        flight: list[Item] = [CHANGE_CIPHER_SPEC, self.message(FINISHED, self.finished(is_client=True))]
        self._remember()
        self.send_flight(flight, is_last=True)
        self.done(keeps_tail=True)

    def _remember(self) -> None:
        answer, suite = self._answer, self.suite
        assert answer is not None
        assert suite is not None
        session_id = b"" if self._ticket else answer.session_id
        before = self._session if self.association.is_resumed else None
        ticket = self._ticket or (before.ticket if before is not None else b"")
        if before is not None and not self._ticket:
            session_id = before.id
        if not self.has_extended_master or not (session_id or ticket):
            return
        lifetime_s = min(self._ticket_lifetime_s or self.config.session_s, self.config.session_s)
        self.association.session = Session(
            id=session_id,
            suite=suite.number,
            master=self.master,
            until=self.now + lifetime_s if before is None or self._ticket else before.until,
            identity=self.identity,
            server_name=self.target.server_name,
            ticket=ticket,
        )


def _is_ip_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()
