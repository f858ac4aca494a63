"""InitiateAuthentication: which CI, which certificate, and the signed first word of the server.

SGP.22 §5.6.1; procedures §11.3 steps 5 and 6. Pure; imports floor 0 only.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from keim.crypto.ecdsa import MemorySigner
from keim.crypto.signed import server_signed1_tbs
from keim.crypto.suites import suite_of_curve
from keim.deciding import Deciding, ask
from keim.der import Certificate as CertificateOctets
from keim.errors import Refused
from keim.ids import Oid
from keim.messages.authentication import ServerSigned1
from keim.messages.es9p import InitiateAuthenticationOkEs9, InitiateAuthenticationRequest
from keim.messages.execution_status import Failure, StatusCode
from keim.pki import Certificate, Revocations, TrustStore
from keim.pki.cache import ChainCache
from keim.pki.world import Credential
from keim.seams import Signer


class RefusalCodes(msgspec.Struct, frozen=True):
    """The four refusals of InitiateAuthentication: SM-DP+ and SM-DS name different subjects."""

    address: StatusCode
    no_common_ci: StatusCode
    version: StatusCode
    no_certificate: StatusCode


class ServerIdentity(msgspec.Struct, frozen=True):
    """A certificate of the server under one CI, and the signer that holds its key."""

    ci_pk_id: bytes
    certificate: bytes
    signer: Signer
    oid: Oid


LOWEST_SVN: Final = b"\x02\x00\x00"
HIGHEST_SVN: Final = b"\x02\xff\xff"
"""Version 2 of SGP.22 is what we speak, whatever its minor number."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What a server is and whom it trusts. `identities` are those of DPauth or DSauth, best first."""

    addresses: tuple[str, ...]
    """Its names; the first is the one that it puts into what it signs."""
    identities: tuple[ServerIdentity, ...]
    trust: TrustStore
    codes: RefusalCodes
    intermediates: tuple[bytes, ...] = ()
    """Certificates between EUM and CI that eUICCs do not send (CI and EUM sub-CAs)."""
    revocations: Revocations = Revocations(())
    chains: ChainCache = msgspec.field(default_factory=lambda: ChainCache(size=0))
    """Devices come once in a long while: what is worth keeping is their makers' certificates."""
    lowest_svn: bytes = LOWEST_SVN
    highest_svn: bytes = HIGHEST_SVN

    @property
    def address(self) -> str:
        return self.addresses[0]

    def own_name(self, asked: str) -> str | None:
        """The name under which we answer, if the client asked for one of ours: case and port do not count."""
        wanted = without_port(asked).rstrip(".").lower()
        return next((name for name in self.addresses if without_port(name).lower() == wanted), None)


def without_port(address: str) -> str:
    name, colon, port = address.rpartition(":")
    return name if colon and port.isdecimal() else address


def server_identity(credential: Credential, root: Certificate) -> ServerIdentity:
    """From a credential of a PKI directory; its key stays in memory."""
    oids = credential.certificate.alternative_names.registered_ids
    if len(oids) != 1:
        raise Refused(
            f"the certificate of {credential.name} has {len(oids)} registeredID instead of one",
            code="pki.missing_extension",
        )
    curve = credential.curve.domain
    signer = MemorySigner(suite_of_curve(curve).name, curve, credential.private_key)
    return ServerIdentity(root.key_identifier, credential.certificate.der, signer, oids[0])


class Terms(msgspec.Struct, frozen=True):
    """What an accepted InitiateAuthentication has settled, and a session goes by from then on."""

    identity: ServerIdentity
    ci_pk_id: bytes
    """The CI under which the eUICC shall sign."""
    server_address: str


def settle_terms(server: Server, request: InitiateAuthenticationRequest) -> Terms | Failure:
    codes = server.codes
    own_name = server.own_name(request.smdp_address)
    if own_name is None:
        return Failure(codes.address, f"this server is not {request.smdp_address[:100]!r}")
    info = request.euicc_info1
    identity = _choose_identity(server, info.euicc_ci_pk_id_list_for_verification)
    if isinstance(identity, Failure):
        return identity
    ci_pk_id = _choose_signing_ci(server, identity, info.euicc_ci_pk_id_list_for_signing)
    if ci_pk_id is None:
        return Failure(codes.no_common_ci, "no CI under which this eUICC signs is trusted here")
    if not server.lowest_svn <= info.svn <= server.highest_svn:
        shown = ".".join(str(number) for number in info.svn)
        return Failure(codes.version, f"SGP.22 version {shown} of the eUICC is not supported")
    return Terms(identity, ci_pk_id, own_name)


def sign_first_word(
    terms: Terms, request: InitiateAuthenticationRequest, *, transaction_id: bytes, server_challenge: bytes
) -> Deciding[InitiateAuthenticationOkEs9]:
    signed = ServerSigned1(
        transaction_id=transaction_id,
        euicc_challenge=request.euicc_challenge,
        server_address=terms.server_address,
        server_challenge=server_challenge,
    )
    covered = server_signed1_tbs(signed.encode())
    signature = yield from ask(partial(terms.identity.signer.sign, covered))
    return InitiateAuthenticationOkEs9(
        transaction_id=transaction_id,
        server_signed1=signed,
        server_signature1=signature,
        euicc_ci_pk_id_to_be_used=terms.ci_pk_id,
        server_certificate=CertificateOctets(terms.identity.certificate),
    )


def _choose_identity(server: Server, offered: tuple[bytes, ...]) -> ServerIdentity | Failure:
    """The eUICC's order of preference decides among the CIs under which we have a certificate."""
    for ci_pk_id in offered:
        for identity in server.identities:
            if identity.ci_pk_id == ci_pk_id:
                return identity
    if any(server.trust.named(ci_pk_id) for ci_pk_id in offered):
        return Failure(server.codes.no_certificate, "no certificate under a CI that this eUICC verifies")
    return Failure(server.codes.no_common_ci, "none of the CIs that this eUICC verifies is known here")


def _choose_signing_ci(server: Server, identity: ServerIdentity, offered: tuple[bytes, ...]) -> bytes | None:
    """One CI for both directions where possible, else the eUICC's first that we trust."""
    if identity.ci_pk_id in offered and server.trust.named(identity.ci_pk_id):
        return identity.ci_pk_id
    return next((ci_pk_id for ci_pk_id in offered if server.trust.named(ci_pk_id)), None)
