"""What a signature covers: TLVs as received, chained signatures with their tag, tokens as DER integers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keim.crypto import signed
from keim.crypto.tokens import association_token_tlv
from keim.der import tlv
from keim.errors import KeimError, Malformed

SEQUENCE = bytes.fromhex("3003800101")
SIGNATURE = bytes(range(64))

SINGLE: list[tuple[Callable[[bytes], bytes], int]] = [
    (signed.server_signed1_tbs, 0x30),
    (signed.euicc_signed1_tbs, 0x30),
    (signed.profile_installation_result_tbs, 0xBF27),
    (signed.other_notification_tbs, 0xBF2F),
    (signed.cancel_session_tbs, 0x30),
    (signed.euicc_package_v1_0_tbs, 0x30),
    (lambda octets: signed.smdp_signed2_tbs(octets, SIGNATURE), 0x30),
    (lambda octets: signed.euicc_signed2_tbs(octets, SIGNATURE), 0x30),
    (lambda octets: signed.euicc_package_tbs(octets, None), 0x30),
    (lambda octets: signed.euicc_package_result_tbs(octets, None), 0x30),
    (lambda octets: signed.euicc_package_error_tbs(octets, None), 0x30),
]


@pytest.mark.parametrize(("tbs", "tag"), SINGLE)
def test_the_object_is_covered_as_received(tbs: Callable[[bytes], bytes], tag: int) -> None:
    whole = tlv(tag, b"\x80\x01\x01")
    assert tbs(whole).startswith(whole)
    padded = tlv(tag)[:-1] + b"\x81\x03\x80\x01\x01"  # a peer's length in more octets than needed
    assert tbs(padded).startswith(padded)


@pytest.mark.parametrize(("tbs", "tag"), SINGLE)
def test_anything_else_than_the_one_object_is_refused(tbs: Callable[[bytes], bytes], tag: int) -> None:
    whole = tlv(tag, b"\x80\x01\x01")
    for wrong in (
        b"",
        whole[:-1],
        whole + b"\0",
        whole + whole,
        b"\x80\x01\x01",
        tlv(0xBF51, whole),
        tlv(0xA0, whole),
        tlv(0x31, b"\x80\x01\x01"),
    ):
        with pytest.raises(Malformed):
            tbs(wrong)


def test_a_chained_signature_enters_with_tag_and_length() -> None:
    whole = b"\x5f\x37\x40" + SIGNATURE
    assert signed.smdp_signed2_tbs(SEQUENCE, SIGNATURE) == SEQUENCE + whole
    assert signed.euicc_signed2_tbs(SEQUENCE, SIGNATURE) == SEQUENCE + whole
    # Nothing here knows the number 64: a longer signature gets the length that it needs.
    assert signed.euicc_signed2_tbs(SEQUENCE, bytes(3309))[5:10] == bytes.fromhex("5f37820ced")


@pytest.mark.parametrize(
    ("token", "octets"),
    [
        (None, "840100"),
        (0, "840100"),
        (1, "840101"),
        (127, "84017f"),
        (128, "84020080"),
        (255, "840200ff"),
        (256, "84020100"),
        (32767, "84027fff"),
        (32768, "8403008000"),
        (65535, "840300ffff"),
        (8388607, "84037fffff"),
        (8388608, "840400800000"),
        (-1, "8401ff"),
        (-128, "840180"),
        (-129, "8402ff7f"),
    ],
)
def test_the_token_is_a_der_integer(token: int | None, octets: str) -> None:
    assert association_token_tlv(token).hex() == octets
    for tbs in (signed.euicc_package_tbs, signed.euicc_package_result_tbs, signed.euicc_package_error_tbs):
        assert tbs(SEQUENCE, token) == SEQUENCE + bytes.fromhex(octets)


def test_version_1_0_has_no_token() -> None:
    assert signed.euicc_package_v1_0_tbs(SEQUENCE) == SEQUENCE


def test_initialise_secure_channel_covers_five_values_without_an_outer_tag() -> None:
    parts = {
        "transaction_id": bytes.fromhex("8001aa"),
        "control_ref_template": bytes.fromhex("a609800188810110840168"),
        "smdp_otpk": tlv(0x5F49, bytes(65)),
        "euicc_otpk": tlv(0x5F49, b"\x01" * 65),
    }
    assert signed.initialise_secure_channel_tbs(**parts) == b"\x82\x01\x01" + b"".join(parts.values())
    for name in parts:
        with pytest.raises(KeimError):
            signed.initialise_secure_channel_tbs(**{**parts, name: b"\x04\x01\x00"})
