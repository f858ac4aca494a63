"""AuthenticateClient up to the eUICC's signature: chain, identities, challenge (procedures §11.3 step 13).

Everything is verified over the octets as received: EUICCInfo2 of an IoT eUICC has members that we may not
know. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

import msgspec

from keim.authentication.server import Server
from keim.crypto.ecdsa import VerifyingKey
from keim.crypto.signed import euicc_signed1_tbs
from keim.crypto.suites import suite_of_curve
from keim.deciding import Deciding, ask
from keim.errors import Malformed, PeerError
from keim.ids import Eid
from keim.messages.authentication import AuthenticateResponseOk
from keim.messages.execution_status import (
    CI_UNKNOWN,
    EUICC_CERTIFICATE_INVALID,
    EUICC_SIGNATURE_INVALID,
    EUM_CERTIFICATE_INVALID,
    TRANSACTION_UNKNOWN,
    Failure,
    StatusCode,
)
from keim.messages.info import DeviceInfo, EUICCInfo2
from keim.pki import Certificate, Role
from keim.pki.codes import es9_code
from keim.pki.trust import as_certificate


class AuthenticatedEuicc(msgspec.Struct, frozen=True):
    """An eUICC whose chain, challenge and signature hold."""

    eid: Eid
    suite: str
    point: bytes
    """Its public key, with which everything that it signs later is verified."""
    signature1: bytes
    """The value of euiccSignature1: what the server signs next is chained onto it."""
    info2: EUICCInfo2
    matching_id: str | None
    device_info: DeviceInfo


def verifying_key(certificate: Certificate) -> VerifyingKey:
    curve = certificate.curve
    if curve is None:
        raise PeerError("the certificate's key is on no curve of ours", code="pki.unsupported_curve")
    return suite_of_curve(curve.domain).verifying_key(certificate.point)


def _proved_key(certificate: Certificate, signature: bytes, covered: bytes) -> VerifyingKey | None:
    key = verifying_key(certificate)
    return key if key.accepts(signature, covered) else None


def check_euicc_chain(
    server: Server, euicc: bytes, eum: bytes, *, now: datetime, ci_pk_id: bytes | None = None
) -> Deciding[Certificate | Failure]:
    """The eUICC's certificate as read, if its chain leads to a CI that the server trusts."""
    try:
        leaf = as_certificate(euicc, "leaf")
        maker = server.chains.authority(eum)
        if maker is not None:  # the certificate remembers what was found
            yield from ask(partial(leaf.is_signed_by, maker))
        validation = server.chains.validate(
            leaf,
            [eum, *server.intermediates],
            server.trust,
            role=Role.EUICC,
            now=now,
            crls=server.revocations,
        )
    except Malformed as error:
        is_leaf = error.path.startswith(("leaf", "path[0]"))
        code = EUICC_CERTIFICATE_INVALID if is_leaf else EUM_CERTIFICATE_INVALID
        return Failure(code, f"certificate unreadable: {error}")
    if (refused := es9_code(validation)) is not None:
        return Failure(StatusCode(*refused), validation.reason)
    if ci_pk_id is not None and validation.root.key_identifier != ci_pk_id:
        return Failure(CI_UNKNOWN, "the eUICC's chain leads to another CI than the one to be used")
    return validation.leaf


def authenticate_euicc(
    server: Server,
    response: AuthenticateResponseOk,
    *,
    transaction_id: bytes,
    server_address: str,
    server_challenge: bytes,
    ci_pk_id: bytes,
    now: datetime,
) -> Deciding[AuthenticatedEuicc | Failure]:
    leaf = yield from check_euicc_chain(
        server, response.euicc_certificate, response.eum_certificate, now=now, ci_pk_id=ci_pk_id
    )
    if isinstance(leaf, Failure):
        return leaf
    signed = response.euicc_signed1
    if signed.transaction_id != transaction_id:
        return Failure(TRANSACTION_UNKNOWN, "euiccSigned1 is of another transaction")
    if signed.server_challenge != server_challenge or signed.server_address != server_address:
        return Failure(EUICC_SIGNATURE_INVALID, "euiccSigned1 answers another challenge or another server")
    signature = response.euicc_signature1
    covered = euicc_signed1_tbs(signed.encode())
    key = yield from ask(partial(_proved_key, leaf, signature, covered))
    if key is None:
        return Failure(EUICC_SIGNATURE_INVALID, "euiccSignature1 does not verify")
    context = signed.ctx_params1.ctx_params_for_common_authentication
    if context is None:
        return Failure(EUICC_SIGNATURE_INVALID, "ctxParams1 is of a kind that is not known here")
    eid = leaf.names.serial_number
    return AuthenticatedEuicc(
        eid=Eid(eid or ""),
        suite=suite_of_curve(key.curve).name,
        point=key.point,
        signature1=signature,
        info2=signed.euicc_info2,
        matching_id=context.matching_id,
        device_info=context.device_info,
    )
