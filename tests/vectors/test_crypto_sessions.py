"""Whole sessions of the crypto vectors: every signature in order, the keys, and the bound profile package."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.shared import shared_path
from tests.vectors.loading import entries_of, named

from keim.crypto.bpp import binding, profile_protection_keys, protect_profile
from keim.crypto.bpp_events import BppSession
from keim.crypto.bpp_segments import load_segments
from keim.crypto.bpp_whole import open_bpp
from keim.crypto.bsp import Bsp
from keim.crypto.confirmation import confirmation_code_hash, hash_cc
from keim.crypto.curves import curve_named
from keim.crypto.ecdsa import VerifyingKey
from keim.crypto.elements import Element, elements_between, members_of
from keim.crypto.kdf import SessionKeys, derive_session_keys
from keim.crypto.secrets import Secret
from keim.crypto.signed import (
    euicc_package_error_tbs,
    euicc_package_result_tbs,
    euicc_package_tbs,
    euicc_signed1_tbs,
    euicc_signed2_tbs,
    initialise_secure_channel_tbs,
    other_notification_tbs,
    profile_installation_result_tbs,
    server_signed1_tbs,
    smdp_signed2_tbs,
)
from keim.crypto.suites import suite_of_curve, verifying_key_of_spki
from keim.deciding import alone
from keim.der import tlv
from keim.ids import Eid

octets = bytes.fromhex
Vector = dict[str, Any]


def key_of(certificate: bytes) -> VerifyingKey:
    public_key = x509.load_der_x509_certificate(certificate).public_key()
    return verifying_key_of_spki(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def ok_part(message: str, tag: int) -> tuple[Element, ...]:
    (choice,) = members_of(octets(message), tag, "message")
    assert choice.tag == 0xA0
    return elements_between(choice.value)


def value_of(members: tuple[Element, ...], tag: int) -> bytes:
    (found,) = (member.value for member in members if member.tag == tag)
    return found


def channel_tbs(channel: tuple[Element, ...], euicc_otpk: bytes) -> bytes:
    operation, transaction, template, own_key, _ = channel
    return initialise_secure_channel_tbs(
        remote_op_id=operation.whole,
        transaction_id=transaction.whole,
        control_ref_template=template.whole,
        smdp_otpk=own_key.whole,
        euicc_otpk=tlv(0x5F49, euicc_otpk),
    )


@pytest.mark.parametrize("vector", entries_of("crypto.json", "iot_sessions"))
def test_a_whole_life_of_a_profile(vector: Vector) -> None:
    request = members_of(octets(vector["authenticate_server_request"]), 0xBF38, "request")
    server_signed1, server_signature1, _, dpauth, _ = request
    key_of(dpauth.whole).verify(server_signature1.value, server_signed1_tbs(server_signed1.whole))

    euicc_signed1, signature1, euicc_certificate, _ = ok_part(vector["authenticate_server_response"], 0xBF38)
    euicc = key_of(euicc_certificate.whole)
    euicc.verify(signature1.value, euicc_signed1_tbs(euicc_signed1.whole))
    transaction_id = value_of(elements_between(server_signed1.value), 0x80)

    smdp_signed2, smdp_signature2, *_, dppb_certificate = members_of(
        octets(vector["prepare_download_request"]), 0xBF21, "request"
    )
    dppb = key_of(dppb_certificate.whole)
    dppb.verify(smdp_signature2.value, smdp_signed2_tbs(smdp_signed2.whole, signature1.value))
    assert not key_of(dpauth.whole).accepts(
        smdp_signature2.value, smdp_signed2_tbs(smdp_signed2.whole, signature1.value)
    )

    euicc_signed2, signature2 = ok_part(vector["prepare_download_response"], 0xBF21)
    euicc.verify(signature2.value, euicc_signed2_tbs(euicc_signed2.whole, smdp_signature2.value))
    members2 = elements_between(euicc_signed2.value)
    euicc_otpk = value_of(members2, 0x5F49)
    if vector["confirmation_code"]:
        expected = hash_cc(confirmation_code_hash(vector["confirmation_code"]), transaction_id)
        assert value_of(members2, 0x04) == expected

    open_the_package(vector, dppb, transaction_id, euicc_otpk)

    result_data, result_signature = members_of(
        octets(vector["profile_installation_result"]), 0xBF37, "result"
    )
    euicc.verify(result_signature.value, profile_installation_result_tbs(result_data.whole))
    the_eim_switches(vector, euicc)


def open_the_package(vector: Vector, dppb: VerifyingKey, transaction_id: bytes, euicc_otpk: bytes) -> None:
    suite = suite_of_curve(curve_named(vector["curve"]))
    bpp = octets(vector["bound_profile_package"])
    channel = members_of(members_of(bpp, 0xBF36, "bpp")[0].whole, 0xBF23, "BF23")
    dppb.verify(channel[-1].value, channel_tbs(channel, euicc_otpk))
    session = BppSession(
        suite=suite.name,
        transaction_id=transaction_id,
        eid=Eid(vector["eid"]).octets,
        one_time_scalar=Secret(octets(vector["otsk_euicc"])),
        dppb_point=dppb.point,
    )
    opened = open_bpp(session, bpp)
    upp = shared_path(vector["upp_file"]).read_bytes()
    assert opened.upp == upp
    assert opened.store_metadata == octets(vector["store_metadata"])
    assert [len(segment) for segment in load_segments(bpp)] == vector["segment_lengths"]

    profile: Any = upp
    if vector["mode"] == "ppk":
        profile = protect_profile(upp, profile_protection_keys(bytes(range(48))))
    ours = alone(
        binding(
            profile,
            store_metadata=opened.store_metadata,
            transaction_id=transaction_id,
            host_id=value_of(elements_between(channel[2].value), 0x84),
            eid=session.eid,
            euicc_otpk=euicc_otpk,
            signer=suite.new_signer(),
            one_time_key=suite.one_time_key_of_scalar(octets(vector["otsk_dp"])),
        )
    )
    # With session keys everything after BF23 is determined; with a random key the first two groups are.
    count = 3 if vector["mode"] == "session" else 2
    theirs = members_of(bpp, 0xBF36, "bpp")[1 : 1 + count]
    assert members_of(ours, 0xBF36, "bpp")[1 : 1 + count] == theirs


def the_eim_switches(vector: Vector, euicc: VerifyingKey) -> None:
    token = vector["eim_association_token"]
    eim = key_of(octets(named("crypto.json", "certificates")[vector["eim_certificate"]]))
    package, eim_signature = members_of(octets(vector["euicc_package_request"]), 0xBF51, "package")
    eim.verify(eim_signature.value, euicc_package_tbs(package.whole, token))
    assert not eim.accepts(eim_signature.value, euicc_package_tbs(package.whole, None))

    data, signature = ok_part(vector["euicc_package_result"], 0xBF51)
    euicc.verify(signature.value, euicc_package_result_tbs(data.whole, token))
    (choice,) = members_of(octets(vector["replayed_package_result"]), 0xBF51, "result")
    error, error_signature = elements_between(choice.value)
    assert choice.tag == 0xA1
    euicc.verify(error_signature.value, euicc_package_error_tbs(error.whole, token))

    for notification in vector["notifications_after_enable"]:
        metadata, notification_signature, certificate, _ = members_of(octets(notification), 0x30, "30")
        key_of(certificate.whole).verify(notification_signature.value, other_notification_tbs(metadata.whole))


@pytest.mark.parametrize("vector", entries_of("crypto.json", "recorded_session"))
def test_a_recorded_foreign_session(vector: Vector) -> None:
    """Another implementation's server and card; the one-time key of its card is not known, z is."""
    _, signed1, signature, *_ = members_of(octets(vector["initiate_response"]), 0x30, "response")
    key_of(octets(vector["dpauth_certificate"])).verify(signature.value, server_signed1_tbs(signed1.whole))
    euicc_signed1, signature1, euicc_certificate, _ = ok_part(vector["auth_server_response"], 0xBF38)
    assert euicc_certificate.whole == octets(vector["euicc_certificate"])
    euicc = key_of(euicc_certificate.whole)
    euicc.verify(signature1.value, euicc_signed1_tbs(euicc_signed1.whole))

    answer = ok_part(vector["authenticate_response"], 0xBF3B)
    (smdp_signed2, _), smdp_signature2 = (
        [member for member in answer if member.tag == 0x30],
        value_of(answer, 0x5F37),
    )
    dppb = key_of(octets(vector["dppb_certificate"]))
    dppb.verify(smdp_signature2, smdp_signed2_tbs(smdp_signed2.whole, signature1.value))

    euicc_signed2, signature2 = ok_part(vector["prepare_download_response"], 0xBF21)
    euicc.verify(signature2.value, euicc_signed2_tbs(euicc_signed2.whole, smdp_signature2))
    euicc_otpk = value_of(elements_between(euicc_signed2.value), 0x5F49)

    channel, configure, metadata, *elements = members_of(
        octets(vector["bound_profile_package"]), 0xBF36, "bpp"
    )
    fields = elements_between(channel.value)
    dppb.verify(fields[-1].value, channel_tbs(fields, euicc_otpk))
    suite = suite_of_curve(euicc.curve)
    one_time_key = suite.one_time_key_of_scalar(octets(vector["otsk_dp"]))
    assert fields[3].value == one_time_key.public_point
    z = one_time_key.agree(euicc_otpk)
    assert z == Secret(octets(vector["shared_secret_z"]))
    keys = derive_session_keys(z, host_id=octets(vector["host_id"]), eid=Eid(vector["eid"]).octets)
    assert keys == SessionKeys(
        initial_mac_chaining_value=octets(vector["initial_mac_chaining_value"]),
        s_enc=octets(vector["s_enc"]),
        s_mac=octets(vector["s_mac"]),
    )
    bsp = Bsp.from_keys(keys)
    opened = [
        b"".join(bsp.unprotect(segment.whole) for segment in elements_between(group.value))
        for group in (configure, metadata, *elements)
    ]
    assert opened[1:] == [octets(vector["store_metadata"]), octets(vector["upp"])]

    data, result_signature = members_of(octets(vector["pending_notification"]), 0xBF37, "result")
    euicc.verify(result_signature.value, profile_installation_result_tbs(data.whole))
