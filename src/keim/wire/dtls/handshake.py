"""What both sides of a handshake share: flights, their repetition, the transcript, Finished. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from keim.errors import KeimError, Malformed, Untrusted
from keim.wire.dtls import faults, prf
from keim.wire.dtls.association import Association
from keim.wire.dtls.events import Identity
from keim.wire.dtls.faults import HandshakeFailed
from keim.wire.dtls.fragments import FINISHED, HandshakeMessage, Reassembly, read_fragments
from keim.wire.dtls.octets import Reader
from keim.wire.dtls.records import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, Record, clear_record
from keim.wire.dtls.suites import Suite
from keim.wire.dtls.timers import Timer
from keim.wire.dtls.trust import Trust, names_of, spki_of

if TYPE_CHECKING:
    from keim.wire.dtls.endpoint import DtlsEndpoint

SIGNATURE_HASHES: Final[dict[int, hashes.HashAlgorithm]] = {
    0x0403: hashes.SHA256(),
    0x0503: hashes.SHA384(),
    0x0603: hashes.SHA512(),
}
ECDSA_SHA256: Final = b"\x04\x03"
EARLY_RECORDS: Final = 8
UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises over certificates and keys that a peer made up."""

Item = HandshakeMessage | int
"""One piece of a flight: a message, or the content type of the ChangeCipherSpec that turns the epoch."""


class Handshake:
    """The machine of one handshake. Sides define `next_steps`: message type -> method that takes it."""

    def __init__(self, endpoint: DtlsEndpoint, association: Association, now: float) -> None:
        self.endpoint = endpoint
        self.config = endpoint.config
        self.association = association
        self.now = now
        self.transcript = bytearray()
        self.reassembly = Reassembly(0)
        self.send_sequence = 0
        self.record_sequence = 0
        self.next_steps: dict[int, Callable[[HandshakeMessage], None]] = {}
        self.suite: Suite | None = None
        self.master = b""
        self.client_random = self.server_random = b""
        self.has_extended_master = False
        self.identity = association.identity
        self.early: list[Record] = []
        """Protected records that came before their keys, or data that came before the Finished."""
        self.early_data: list[bytes] = []
        self.is_done = False
        self.repeats_itself = True
        """False towards an address that showed no cookie: it gets a flight again only when it asks again."""
        self._flight: list[Item] = []
        self._timer: Timer | None = None
        self._timeout_s = self.config.timeout_s
        self._tries = 0
        self._sent_at = now

    # ---- in

    def receive(self, payload: bytes, epoch: int, now: float) -> None:
        """Handshake records of epoch 0, and the opened ones of epoch 1."""
        self.now = now
        try:
            fragments = list(read_fragments(payload))
        except Malformed:
            return
        for fragment in fragments:
            if self.is_done or fragment.message_sequence < self.reassembly.next_sequence:
                self.peer_repeats(now)
                return
            if (fragment.type == FINISHED) != (epoch == 1):
                if epoch == 1 or self.association.has_keys:
                    continue  # forged: a Finished is protected, all else is not
                raise faults.unexpected("a Finished without protection")
            for message in self.reassembly.add(fragment):
                self._take(message)

    def _take(self, message: HandshakeMessage) -> None:
        step = self.next_steps.get(message.type)
        if step is None:
            raise faults.unexpected(f"handshake message {message.type} at the wrong moment")
        try:
            step(message)
        except Malformed as error:
            raise HandshakeFailed(str(error), faults.DECODE_ERROR) from error
        except Untrusted as error:
            raise HandshakeFailed(error.message, faults.BAD_CERTIFICATE, code=error.code) from error

    def hear(self, message: HandshakeMessage) -> None:
        self.transcript += message.encode()

    def take_early(self) -> list[Record]:
        early, self.early = self.early, []
        return early

    # ---- out

    def message(self, kind: int, body: bytes, *, is_heard: bool = True) -> HandshakeMessage:
        made = HandshakeMessage(kind, self.send_sequence, body)
        self.send_sequence += 1
        if is_heard:
            self.transcript += made.encode()
        return made

    def send_flight(self, flight: list[Item], *, is_last: bool = False) -> None:
        """Sends it now and again until the peer goes on; the last flight is repeated only when asked for."""
        self.stop_timer()
        self._flight = flight
        self._timeout_s, self._tries = self.config.timeout_s, 0
        self._transmit()
        if not is_last:
            self._set_timer()

    def _transmit(self) -> None:
        self._sent_at = self.now
        records: list[bytes] = []
        epoch = 0
        room = self.config.mtu - 64  # headers of record and fragment, explicit nonce, tag and connection id
        largest = min(room, self.association.largest_fragment - 12)
        for item in self._flight:
            if isinstance(item, int):
                records.append(self._clear(CHANGE_CIPHER_SPEC, b"\x01"))
                epoch = 1
                continue
            octets = len(item.body)
            for offset in range(0, max(octets, 1), largest):
                data = item.fragment(offset, min(largest, octets - offset))
                if epoch:
                    records.append(self.association.seal(HANDSHAKE, data))
                else:
                    records.append(self._clear(HANDSHAKE, data))
        self._pack(records)

    def _clear(self, kind: int, data: bytes) -> bytes:
        record = clear_record(kind, self.record_sequence, data)
        self.record_sequence += 1
        return record

    def _pack(self, records: list[bytes]) -> None:
        datagram = b""
        for record in records:
            if datagram and len(datagram) + len(record) > self.config.mtu:
                self.endpoint.post(datagram, self.association.address)
                datagram = b""
            datagram += record
        if datagram:
            self.endpoint.post(datagram, self.association.address)

    def send_alert(self, alert: int) -> None:
        body = bytes((2, alert))
        self.endpoint.post(self._clear(ALERT, body), self.association.address)

    def _set_timer(self) -> None:
        self._timer = self.endpoint.timers.at(self.now + self._timeout_s, self._due)

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, now: float) -> None:
        self.now = now
        self._timer = None
        self._tries += 1
        if self._tries >= self.config.tries:
            self.endpoint.give_up(self, "dtls.timed_out", now)
            return
        self._timeout_s = min(self._timeout_s * 2, self.config.largest_timeout_s)
        if self.repeats_itself:
            self._transmit()
        self._set_timer()

    def peer_repeats(self, now: float) -> None:
        """The peer missed our flight; not more often than four times per timeout, whoever asks."""
        if self._flight and now - self._sent_at >= self._timeout_s / 4:
            self.now = now
            self._transmit()

    # ---- keys and Finished

    def derive_master(self, pre_master: bytes) -> None:
        suite = self.suite
        assert suite is not None
        if self.has_extended_master:
            digest = prf.transcript_hash(suite.hash_name, self.transcript)
            self.master = prf.extended_master(suite.hash_name, pre_master, digest)
        else:
            self.master = prf.plain_master(
                suite.hash_name, pre_master, self.client_random, self.server_random
            )

    def set_keys(self) -> None:
        suite = self.suite
        assert suite is not None
        block = prf.key_block(
            suite.hash_name, self.master, self.client_random, self.server_random, suite.key_block_octets
        )
        self.association.set_keys(suite, block)

    def finished(self, *, is_client: bool) -> bytes:
        suite = self.suite
        assert suite is not None
        digest = prf.transcript_hash(suite.hash_name, self.transcript)
        return prf.verify_data(suite.hash_name, self.master, is_client=is_client, digest=digest)

    def check_finished(self, message: HandshakeMessage, *, is_client: bool) -> None:
        if not hmac.compare_digest(message.body, self.finished(is_client=is_client)):
            raise HandshakeFailed("the Finished is wrong", faults.DECRYPT_ERROR, code="dtls.wrong_finished")
        self.hear(message)

    def done(self, *, keeps_tail: bool) -> None:
        """The association is up; `keeps_tail` when ours was the last flight."""
        self.stop_timer()
        self.is_done = True
        self.next_steps = {}
        self.transcript = bytearray()
        if not keeps_tail:
            self._flight = []
        self.endpoint.finish(self, keeps_tail=keeps_tail)

    def keep_tail(self, seconds: float) -> None:
        self._timer = self.endpoint.timers.at(self.now + seconds, lambda _due: self.cut_tail())

    def cut_tail(self) -> None:
        """The peer has our last flight, or had time enough to ask for it again: nothing of this is needed."""
        self.stop_timer()
        self._flight = []
        if self.association.tail is self:
            self.association.tail = None


# ---- what a peer proves


class PeerProof:
    """The key of a peer's certificate or raw key, and whom it stands for."""

    def __init__(self, key: ec.EllipticCurvePublicKey, identity: Identity) -> None:
        self.key = key
        self.identity = identity

    def check_signature(self, algorithm: bytes, signature: bytes, signed: bytes) -> None:
        chosen = SIGNATURE_HASHES.get(int.from_bytes(algorithm, "big"))
        if chosen is None:
            raise faults.illegal("a signature of a kind that was not offered")
        try:
            self.key.verify(signature, signed, ec.ECDSA(chosen))
        except InvalidSignature:
            raise HandshakeFailed(
                "the handshake's signature is wrong", faults.DECRYPT_ERROR, code="dtls.wrong_signature"
            ) from None


def read_certificate(
    body: bytes, trust: Trust | None, *, is_raw: bool, name: str | None, is_server: bool, now: float
) -> PeerProof | None:
    """Checks a Certificate message; None for an empty one, the way in which a client proves nothing."""
    reader = Reader(body)
    content = reader.vector(3)
    reader.end()
    if not content:
        return None
    if trust is None:
        raise Untrusted("nothing says whom to trust", code="dtls.untrusted")
    try:
        if is_raw:
            trust.check_raw_key(content)
            key: object = load_der_public_key(content)
            identity = Identity("raw_key", sha256(content).digest())
        else:
            key, identity = _read_chain(content, trust, name=name, is_server=is_server, now=now)
    except KeimError:
        raise
    except UNREADABLE as error:
        raise HandshakeFailed(
            "a certificate that cannot be read", faults.BAD_CERTIFICATE, code="dtls.untrusted"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise HandshakeFailed("not a key for ECDSA", faults.UNSUPPORTED_CERTIFICATE, code="dtls.untrusted")
    return PeerProof(key, identity)


def _read_chain(
    content: bytes, trust: Trust, *, name: str | None, is_server: bool, now: float
) -> tuple[object, Identity]:
    inner = Reader(content)
    chain = []
    while not inner.is_at_end:
        chain.append(x509.load_der_x509_certificate(inner.vector(3)))
        if len(chain) > 8:
            raise Untrusted("the chain is too long", code="dtls.untrusted")
    trust.check_chain(chain, name=name, is_server=is_server, now=now)
    names = names_of(chain[0])
    value = sha256(spki_of(chain[0])).digest()
    return chain[0].public_key(), Identity("certificate", value, names[0] if names else "")
