"""AuthenticateServer, PrepareDownload, CancelSession: every error code, and what it does to the session."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID
from tests.card_lab import NOW, SMDP_OID, Lab, signer, signer_of, world

from keim.der import tlv
from keim.messages.authentication import (
    AuthenticateServerResponse,
    CancelSessionResponse,
    PrepareDownloadResponse,
)
from keim.pki import Curve
from keim.pki.issue import particulars_of
from keim.pki.load_crl import request_of
from keim.pki.world import Credential, WorldPlan, add, create_world, revoke


def authenticate_code(lab: Lab, request: bytes) -> int | None:
    error = AuthenticateServerResponse.decode(lab.es10(request)).authenticate_response_error
    return None if error is None else int(error.authenticate_error_code)


def download_code(lab: Lab, request: bytes) -> int | None:
    error = PrepareDownloadResponse.decode(lab.es10(request)).download_response_error
    return None if error is None else int(error.download_error_code)


def issued(name: str, **changes: Any) -> Credential:
    """A server's certificate as its CI makes it, but for `changes`."""
    original = world().get(name)
    particulars = msgspec.structs.replace(particulars_of(original.certificate, original.role), **changes)
    return add(name, original.role, world().get("ci"), particulars, now=NOW)


def rebuilt(name: str, *, without: x509.ObjectIdentifier | None = None, key: Any = None) -> bytes:
    """What no issuer of ours would make: the certificate without an extension, or for a foreign key."""
    original = world().get(name).certificate.x509
    builder = (
        x509.CertificateBuilder()
        .subject_name(original.subject)
        .issuer_name(original.issuer)
        .public_key(key or original.public_key())
        .serial_number(original.serial_number)
        .not_valid_before(original.not_valid_before_utc)
        .not_valid_after(original.not_valid_after_utc)
    )
    for extension in original.extensions:
        if extension.oid != without:
            builder = builder.add_extension(extension.value, critical=extension.critical)
    signed = builder.sign(world().get("ci").private_key, hashes.SHA256())
    return signed.public_bytes(Encoding.DER)


def of_another_ci(name: str) -> Credential:
    return create_world(WorldPlan(), now=NOW).get(name)


def wearing(credential: Credential) -> dict[str, Any]:
    return {"certificate": credential.certificate.der, "signer": signer_of(credential)}


def authenticate_cases() -> dict[str, tuple[dict[str, Any], int | None]]:
    dp_pb = world().get("dp-pb")
    return {
        "all is well": ({}, None),
        "an SM-DS": ({"role": "ds-auth"}, None),
        "a CI that the card does not trust": (wearing(of_another_ci("dp-auth")), 7),
        "a certificate for another role": (wearing(dp_pb), 1),
        "no certificate": ({"certificate": bytes.fromhex("3003020101")}, 1),
        "another key's signature": ({"signer": signer("dp-pb")}, 2),
        "another challenge": ({"euicc_challenge": bytes(16)}, 6),
        "an unknown CI for the card": ({"ci": b"unknown"}, 7),
        "no CI for the card": ({"ci": b""}, 7),
        "the CI cut short": ({"ci": world().get("ci").certificate.key_identifier[:4]}, None),
    }


@pytest.mark.parametrize("case", list(authenticate_cases()))
def test_authenticate_server_answers_with_the_exact_code(case: str) -> None:
    bent, code = authenticate_cases()[case]
    lab = Lab(eim=False)
    request = lab.authenticate_request(lab.challenge(), **bent)
    assert authenticate_code(lab, request) == code
    rsp = lab.card.volatile.rsp
    assert (rsp is None) is (code in (1, 2, 3, 6, 7))


def test_authenticate_server_needs_an_open_challenge() -> None:
    lab = Lab(eim=False)
    request = lab.authenticate_request(bytes(16))
    assert authenticate_code(lab, request) == 4
    good = lab.authenticate_request(lab.challenge())
    assert authenticate_code(lab, good) is None
    assert authenticate_code(lab, good) == 4
    assert lab.card.volatile.rsp is not None


def test_a_missing_registered_id_is_an_invalid_oid_and_keeps_the_session() -> None:
    lab = Lab(eim=False)
    nameless = rebuilt("dp-auth", without=ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    challenge = lab.challenge()
    assert authenticate_code(lab, lab.authenticate_request(challenge, certificate=nameless)) == 5
    assert authenticate_code(lab, lab.authenticate_request(challenge)) is None


def test_an_unsupported_curve_is_told() -> None:
    lab = Lab(eim=False)
    strange = rebuilt("dp-auth", key=ec.generate_private_key(ec.SECP384R1()).public_key())
    assert authenticate_code(lab, lab.authenticate_request(lab.challenge(), certificate=strange)) == 3


def test_a_card_with_a_clock_judges_dates() -> None:
    lab = Lab(eim=False, check_dates=NOW.replace(year=2040))
    assert authenticate_code(lab, lab.authenticate_request(lab.challenge())) == 1
    assert authenticate_code(Lab(eim=False), Lab(eim=False).authenticate_request(bytes(16))) == 4


def test_a_revoked_server_is_refused_once_the_list_is_loaded() -> None:
    lab = Lab(eim=False, has_load_crl=True)
    serial = world().get("dp-auth").certificate.serial
    crl = revoke(world(), [serial], curve=Curve.NIST, now=NOW).crls[0]
    assert authenticate_code(lab, lab.authenticate_request(lab.challenge())) is None
    assert lab.es10(request_of(crl)).hex() == "bf3502a000"
    assert authenticate_code(lab, lab.authenticate_request(lab.challenge())) == 1
    older = world().crls[0]
    assert lab.es10(request_of(older)).hex() == "bf3503810105"
    assert lab.es10("BF3502A000").hex() == "bf3503810102"
    assert Lab(eim=False).status_of(request_of(crl)) == 0x6A88


def prepare_cases() -> dict[str, tuple[dict[str, Any], int | None]]:
    return {
        "all is well": ({}, None),
        "another transaction": ({"transaction_id": b"\x99"}, 5),
        "another CI": (wearing(of_another_ci("dp-pb")), 1),
        "another role": (wearing(world().get("dp-auth")), 1),
        "another owner": (wearing(issued("dp-pb", oid="2.999.11")), 1),
        "no certificate": ({"certificate": bytes.fromhex("3003020101")}, 1),
        "signed by DPauth": ({"signer": signer("dp-auth")}, 2),
        "chained to another signature": ({"signature1": bytes(range(64))}, 2),
        "a confirmation code is missing": ({"cc_required_flag": True}, 127),
        "a confirmation code is there": ({"cc_required_flag": True, "hash_cc": bytes(32)}, None),
        "a confirmation code nobody asked for": ({"hash_cc": bytes(32)}, None),
    }


@pytest.mark.parametrize("case", list(prepare_cases()))
def test_prepare_download_answers_with_the_exact_code(case: str) -> None:
    bent, code = prepare_cases()[case]
    lab = Lab(eim=False)
    request = lab.prepare_request(lab.authenticate(), **bent)
    assert download_code(lab, request) == code
    assert (lab.card.volatile.rsp is None) is (code in (1, 2, 3))


def test_prepare_download_needs_an_authenticated_smdp() -> None:
    lab = Lab(eim=False)
    answer = lab.authenticate()
    lab.challenge()
    assert download_code(lab, lab.prepare_request(answer)) == 4
    assert download_code(lab, lab.prepare_request(lab.authenticate(role="ds-auth"))) == 4


def test_a_repeated_prepare_download_makes_a_new_key_unless_the_old_one_is_named() -> None:
    lab = Lab(eim=False)
    first = lab.prepare()
    assert lab.prepare() != first
    second = lab.prepare(bpp_euicc_otpk=first)
    assert second != first
    lab.power_on()
    assert lab.prepare(bpp_euicc_otpk=second) == second
    lab.load(lab.bound(second, 1))
    assert lab.prepare(bpp_euicc_otpk=second) != second


def cancel(lab: Lab, transaction_id: bytes, reason: int = 1) -> CancelSessionResponse:
    octets = lab.es10(tlv(0xBF41, tlv(0x80, transaction_id), tlv(0x81, bytes((reason,)))))
    found: CancelSessionResponse = CancelSessionResponse.decode(octets)
    return found


def test_cancelling_ends_the_session_with_a_signed_reason() -> None:
    lab = Lab(eim=False)
    assert cancel(lab, b"\x01").cancel_session_response_error == 5
    lab.challenge()
    assert cancel(lab, b"\x01").cancel_session_response_error == 5
    lab.authenticate()
    assert cancel(lab, b"\x01").cancel_session_response_error == 5
    ok = cancel(lab, lab.transaction_id).cancel_session_response_ok
    assert ok is not None
    signed = ok.euicc_cancel_session_signed
    assert (signed.transaction_id, signed.smdp_oid, signed.reason) == (lab.transaction_id, SMDP_OID, 1)
    assert cancel(lab, lab.transaction_id).cancel_session_response_error == 5


def test_cancelling_while_loading_drops_what_came_in() -> None:
    lab = Lab(eim=False)
    bpp = lab.bound(lab.prepare(), 1)
    assert lab.es10(bpp[:400]) == b""
    assert cancel(lab, lab.transaction_id).cancel_session_response_ok is not None
    assert lab.es10("BF2B00").hex() == "bf2b02a000"
    assert lab.card.state.isdr.staging is None
    assert lab.states() == {}


def test_cancelling_another_session_ends_a_load_too() -> None:
    lab = Lab(eim=False)
    bpp = lab.bound(lab.prepare(), 1)
    assert lab.es10(bpp[:400]) == b""
    assert cancel(lab, b"\x77").cancel_session_response_error == 5
    assert lab.card.state.isdr.staging is None
    assert lab.card.volatile.rsp is None


def test_any_other_command_aborts_a_load_without_a_result() -> None:
    lab = Lab(eim=False)
    bpp = lab.bound(lab.prepare(), 1)
    assert lab.es10(bpp[:400]) == b""
    assert lab.es10("BF2B00").hex() == "bf2b02a000"
    assert lab.status_of(bpp[400:]) in (0x6A80, 0x6A88)
    assert lab.status_of(bpp) == 0x6985
    lab.power_on()
    assert lab.es10("BF2B00").hex() == "bf2b02a000"
