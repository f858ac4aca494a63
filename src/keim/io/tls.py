"""TLS contexts for every connection of the standard (crypto §5, bindings §3): versions, suites, trust, pins.

TLS 1.2 at least. Key-exchange groups are not restricted, so that a platform whose OpenSSL prefers a hybrid
post-quantum group uses it. The exception is brainpool: OpenSSL wants the curve named on both sides, and the
handshake then stays below TLS 1.3, which has no such group.
Role rules are ours: `check_peer` runs right after the handshake, before anything is sent.
Imports keim.errors, keim.io.pem and keim.pki only.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from hmac import compare_digest
from pathlib import Path
from typing import Final

import msgspec

from keim.errors import Refused, Untrusted
from keim.io.pem import key_pem, read_certificates, read_private_key
from keim.pki import Certificate, Curve, Role, TrustStore, Validation, require
from keim.pki.crl import Crl, Revocations
from keim.pki.roles import TLS_ROLES
from keim.pki.world import Credential

OUR_SUITES: Final = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
"""Of TLS 1.2; those of TLS 1.3 are OpenSSL's."""
OLD_DEVICE_SUITE: Final = "ECDHE-ECDSA-AES128-SHA256"
"""The test specification lets an IPA offer CBC: device servers accept it last, our clients never offer it."""
PUBLIC_WEB_SUITES: Final = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"


class Pin(msgspec.Struct, frozen=True):
    """trustedPublicKeyDataTls of an eIM entry, as one of its two forms."""

    spki: bytes | None = None
    """The server's SubjectPublicKeyInfo: neither name nor dates are looked at."""
    certificate: bytes | None = None
    """A leaf or a CA as the only anchor: name and dates are checked."""


class ClientCertificate(Enum):
    NOT_ASKED = ssl.CERT_NONE
    OPTIONAL = ssl.CERT_OPTIONAL
    REQUIRED = ssl.CERT_REQUIRED


def server_context(
    credential: Credential,
    *,
    clients: Iterable[Certificate] = (),
    ask: ClientCertificate = ClientCertificate.NOT_ASKED,
    for_devices: bool = False,
) -> ssl.SSLContext:
    """A server's context. `for_devices`: ESipa, ES9+ and ES11; `clients` are the roots of mutual TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    suites = f"{OUR_SUITES}:{OLD_DEVICE_SUITE}" if for_devices else OUR_SUITES
    _settle(context, suites, credential.curve)
    _load(context, credential)
    roots = list(clients)
    if ask is not ClientCertificate.NOT_ASKED:
        if not roots:
            raise Refused("mutual TLS needs the roots of its clients", code="pki.incomplete_request")
        _trust(context, roots)
        context.verify_mode = ssl.VerifyMode(ask.value)
    return context


def operators_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's context from PEM files of any public CA: for people's browsers and programs, not devices."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _settle(context, f"{OUR_SUITES}:{PUBLIC_WEB_SUITES}", Curve.NIST)
    _load_files(context, certificate, key)
    return context


def _load_files(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"{certificate}, {key}: {error}", code="pki.file_unreadable") from None


def replace_certificate(context: ssl.SSLContext, credential: Credential, *, now: datetime) -> None:
    """New connections get the new certificate; open ones and session tickets live on.

    What OpenSSL does not take, or what is not valid now, is refused before the context is touched.
    """
    refuse_unless_valid(credential.certificate, now)
    try:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), credential)
        _load(context, credential)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"{credential.name}: {error}", code="pki.file_unreadable") from None


def replace_files(context: ssl.SSLContext, certificate: Path, key: Path, *, now: datetime) -> Certificate:
    """The same from two PEM files."""
    leaf = read_certificates(certificate)[0]
    refuse_unless_valid(leaf, now)
    _load_files(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    _load_files(context, certificate, key)
    return leaf


def refuse_unless_valid(certificate: Certificate, now: datetime) -> None:
    if now >= certificate.valid_until:
        raise Refused(f"it has ended at {certificate.valid_until}", code="pki.expired")
    if now < certificate.valid_from:
        raise Refused(f"it begins at {certificate.valid_from}", code="pki.not_yet_valid")


def client_context(
    roots: Iterable[Certificate] | None = None,
    *,
    pin: Pin | None = None,
    credential: Credential | None = None,
    curve: Curve = Curve.NIST,
    with_public_web: bool = False,
) -> ssl.SSLContext:
    """A client's context. Without `roots` and `pin` the platform's CA store decides.

    With a pinned SPKI the handshake accepts everybody: `check_peer` or `check_spki` must follow at once.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _settle(context, f"{OUR_SUITES}:{PUBLIC_WEB_SUITES}" if with_public_web else OUR_SUITES, curve)
    if pin is not None and pin.spki is not None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif pin is not None and pin.certificate is not None:
        _trust(context, [Certificate(pin.certificate)])
    elif roots is not None:
        _trust(context, list(roots))
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if credential is not None:
        _load(context, credential)
    return context


def _settle(context: ssl.SSLContext, suites: str, curve: Curve) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suites)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if curve is Curve.BRAINPOOL:
        context.set_ecdh_curve("brainpoolP256r1")
        context.maximum_version = ssl.TLSVersion.TLSv1_2


def _trust(context: ssl.SSLContext, anchors: list[Certificate]) -> None:
    # An anchor that is not self-signed ends the chain too: a pinned leaf or a sub-CA.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata="".join(anchor.pem.decode("ascii") for anchor in anchors))


def _load(context: ssl.SSLContext, credential: Credential) -> None:
    chain = b"".join(c.pem for c in (credential.certificate, *credential.chain))
    with _readable(chain + key_pem(credential.private_key)) as path:
        context.load_cert_chain(path)


@contextmanager
def _readable(octets: bytes) -> Iterator[str]:
    """A path for OpenSSL that only we can read; in memory where the platform has that."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("keim", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, octets)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory(prefix="keim-") as folder:
        path = Path(folder, "chain.pem")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, octets)
        finally:
            os.close(descriptor)
        yield str(path)


def tls_credential(certificate: Path, key: Path, role: Role) -> Credential:
    """A credential from two files of one's own: certificate with its intermediates, and key (mode 0600)."""
    leaf, *chain = read_certificates(certificate)
    private_key = read_private_key(key)
    if private_key.public_key() != leaf.public_key:
        raise Refused(f"{key} is not the key of {certificate}", code="pki.key_mismatch")
    curve = Curve.of_key(private_key)
    return Credential(
        name=role.value, role=role, curve=curve, certificate=leaf, chain=tuple(chain), key=private_key
    )


def peer_certificate(connection: ssl.SSLSocket | ssl.SSLObject, party: str) -> Certificate:
    der = connection.getpeercert(binary_form=True)
    if not der:
        raise Untrusted("no certificate was sent", code="pki.no_peer_certificate", party=party)
    return Certificate(der)


def check_spki(
    connection: ssl.SSLSocket | ssl.SSLObject, spki: bytes, *, party: str = "server"
) -> Certificate:
    """The pin is the identity (bindings §3.2): the key must be equal, nothing else is looked at."""
    certificate = peer_certificate(connection, party)
    if not compare_digest(certificate.spki, spki):
        raise Untrusted(
            "the server's key is not the pinned one",
            code="pki.pinned_key_mismatch",
            party=party,
            evidence=f"SPKI {certificate.spki.hex()}",
        )
    return certificate


def check_peer(
    connection: ssl.SSLSocket | ssl.SSLObject,
    trust: TrustStore,
    *,
    role: Role,
    now: datetime,
    intermediates: Iterable[Certificate] = (),
    crls: Revocations | Iterable[Crl | bytes] = (),
    server_name: str | None = None,
    server_oid: str | None = None,
    as_client: bool = False,
    party: str = "server",
) -> Validation:
    """The role rules on the peer's certificate; OpenSSL lets a wrong role pass. For dp-, ds- and eim-tls.

    `intermediates` are those known beforehand: Python's ssl shows only the peer's own before 3.13.
    """
    if role not in TLS_ROLES:
        raise Refused(f"{role} is no role of a TLS certificate", code="pki.unknown_role")
    sent = [Certificate(der) for der in _sent_chain(connection)[1:]]
    return require(
        peer_certificate(connection, party),
        [*sent, *intermediates],
        trust,
        role=role,
        now=now,
        crls=crls,
        server_name=server_name,
        server_oid=server_oid,
        as_client=as_client,
        party=party,
    )


def _sent_chain(connection: ssl.SSLSocket | ssl.SSLObject) -> list[bytes]:
    unverified = getattr(connection, "get_unverified_chain", None)  # Python 3.13
    return list(unverified() or []) if unverified is not None else []
