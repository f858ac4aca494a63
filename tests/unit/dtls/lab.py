"""A small laboratory: keys and certificates of its own, a server and clients in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.unit.coap.lossy import Link, SeededEntropy

from keim.wire.dtls.association import Association
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.credentials import Credential, PreSharedKey, credential_of
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.events import Data, Up
from keim.wire.dtls.trust import Anchors, PinnedKeys

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = NOW.timestamp() + 1000.0
PSK = PreSharedKey(b"device-7", b"a key of a laboratory")
SERVER = ("192.0.2.1", 5684)


def device(number: int = 1) -> tuple[str, int]:
    return (f"198.51.100.{number % 250 + 1}", 40000 + number)


def make_certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    *,
    is_authority: bool = False,
    uses: tuple[x509.ObjectIdentifier, ...] = (
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    ),
    signs: bool = True,
    days: int = 365,
    start: datetime = NOW,
    dns: tuple[str, ...] | None = None,
    is_flagged: bool | None = None,
    path_length: int | None = None,
    critical: x509.ExtensionType | None = None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(
            x509.BasicConstraints(
                ca=is_authority if is_flagged is None else is_flagged, path_length=path_length
            ),
            critical=True,
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=signs and not is_authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=is_authority,
                crl_sign=is_authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    if not is_authority:
        names = [name] if dns is None else list(dns)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(dns_name) for dns_name in names]), critical=False
            )
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=True)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


def new_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


class Party:
    """A key with a certificate under the laboratory's root."""

    def __init__(self, name: str, *, curve: ec.EllipticCurve | None = None, **more: Any) -> None:
        self.key = new_key(curve)
        self.certificate = make_certificate(name, self.key, root(), **more)
        self.credential: Credential = credential_of(self.key, [self.certificate.public_bytes(Encoding.DER)])
        self.raw: Credential = credential_of(self.key)


@cache
def root() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = new_key()
    return make_certificate("laboratory root", key, None, is_authority=True, days=3650), key


@cache
def eim() -> Party:
    return Party("eim.example.com")


@cache
def ipa() -> Party:
    return Party("device.example.com")


def anchors() -> Anchors:
    return Anchors([root()[0]])


def server_config(**more: Any) -> DtlsConfig:
    return DtlsConfig(**{"credentials": (eim().credential,), "cid_octets": 8, **more})


def client_config(**more: Any) -> DtlsConfig:
    return DtlsConfig(**{"trust": anchors(), "cid_octets": 0, **more})


def pinned() -> PinnedKeys:
    return PinnedKeys([eim().credential.spki])


TARGET = Target(server_name="eim.example.com")


class Lab:
    """One server, any number of clients; the server answers each datagram with the same in upper case."""

    def __init__(
        self, server: DtlsConfig | None = None, *, link: Link | None = None, seed: object = 0
    ) -> None:
        self.link = link or Link()
        self.link.now = START
        self.seed = seed
        self.server = DtlsEndpoint(server or server_config(), entropy=SeededEntropy(("server", seed)))
        self.link.join(SERVER, self.server)
        self.link.on_event = self._on_event
        self.clients: dict[Any, DtlsEndpoint] = {}

    def _on_event(self, address: Any, event: Any, now: float) -> None:
        if address == SERVER and isinstance(event, Data):
            self.server.send(event.association, event.data.upper(), now)

    def client(self, config: DtlsConfig | None = None, number: int = 1) -> DtlsEndpoint:
        made = DtlsEndpoint(config or client_config(), entropy=SeededEntropy(("client", number, self.seed)))
        self.clients[device(number)] = made
        self.link.join(device(number), made)
        return made

    def connect(
        self, config: DtlsConfig | None = None, target: Target = TARGET, number: int = 1
    ) -> tuple[DtlsEndpoint, Association]:
        client = self.client(config, number)
        association = client.connect(SERVER, self.link.now, target)
        self.link.run(600.0, lambda: association.handshake is None)
        return client, association

    def up(self, address: Any = SERVER) -> list[Up]:
        return self.link.seen(Up, address)

    def echo(self, client: DtlsEndpoint, association: Association, data: bytes = b"hello") -> bytes | None:
        """What comes back for one datagram, or None; without repetition."""
        before = len(self.received(association))
        client.send(association, data, self.link.now)
        self.link.run(5.0, lambda: len(self.received(association)) > before)
        after = self.received(association)
        return after[before] if len(after) > before else None

    def received(self, association: Association) -> list[bytes]:
        return [event.data for event in self.link.seen(Data) if event.association is association]


def psk_of(identity: bytes) -> bytes | None:
    return PSK.key if identity == PSK.identity else None
