"""Compact forms: what the IPA leaves out comes back to the last octet, or a code says what is not known."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from keim.crypto.compact import (
    AID_PREFIX,
    USUAL_SIMA_RESPONSE,
    RelayedSession,
    expand_authenticate_response,
    expand_cancel_session_response,
    expand_pending_notification,
    expand_prepare_download_response,
)
from keim.crypto.compact_make import (
    compact_authenticate_response,
    compact_cancel_session_response,
    compact_other_signed_notification,
    compact_prepare_download_response,
    compact_profile_installation_result,
)
from keim.der import tlv
from keim.errors import KeimError, Malformed, Refused

TID, ADDRESS, CHALLENGE = b"\x0a" * 16, b"smdp.example.com", b"\x0b" * 16
OID, ICCID = bytes.fromhex("88370a"), bytes.fromhex("98440399999999990930")
EUICC, EUM = tlv(0x30, b"\x02\x01\x01"), tlv(0x30, b"\x02\x01\x02")
SIGNATURE = tlv(0x5F37, bytes(range(64)))
CONTEXT = tlv(0xA0, tlv(0x80, b"MATCH"), tlv(0xA1, b""))
OLD_INFO2 = tlv(0xBF22, tlv(0x81, b"\x02\x05\x00"), tlv(0x84, b"old"), tlv(0x85, b"\x01"))
NEW_INFO2 = tlv(0xBF22, tlv(0x81, b"\x02\x05\x00"), tlv(0x84, b"newer"), tlv(0x85, b"\x01"))

SESSION = RelayedSession(
    transaction_id=TID,
    server_address=ADDRESS,
    server_challenge=CHALLENGE,
    smdp_oid=OID,
    iccid=ICCID,
    euicc_info2=OLD_INFO2,
    ctx_params1=CONTEXT,
    bpp_euicc_otpk=bytes(65),
    hash_cc=b"\x0c" * 32,
    cancel_reason=b"\x01",
    euicc_certificate=EUICC,
    eum_certificate=EUM,
)

SIGNED1 = tlv(0x30, tlv(0x80, TID), tlv(0x83, ADDRESS), tlv(0x84, CHALLENGE), NEW_INFO2, CONTEXT)
AUTHENTICATED = tlv(0xBF38, tlv(0xA0, SIGNED1, SIGNATURE, EUICC, EUM))
SIGNED2 = tlv(0x30, tlv(0x80, TID), tlv(0x5F49, bytes(65)), tlv(0x04, b"\x0c" * 32))
PREPARED = tlv(0xBF21, tlv(0xA0, SIGNED2, SIGNATURE))
CANCELLED = tlv(0xBF41, tlv(0xA0, tlv(0x30, tlv(0x80, TID), tlv(0x81, OID), tlv(0x82, b"\x01")), SIGNATURE))


def installed(
    *,
    iccid: bytes = tlv(0x5A, ICCID),
    final: bytes | None = None,
    aid: bytes = AID_PREFIX + b"\x12\x34\x00",
    address: bytes = ADDRESS,
    event: bytes = b"\x81\x02\x07\x80",
) -> bytes:
    final = final or tlv(0xA0, tlv(0x4F, aid), tlv(0x04, USUAL_SIMA_RESPONSE))
    metadata = tlv(0xBF2F, b"\x80\x02\x00\x82", event, tlv(0x0C, address), iccid)
    data = tlv(0xBF27, tlv(0x80, TID), metadata, tlv(0x06, OID), tlv(0xA2, final))
    return tlv(0xBF37, data, SIGNATURE)


NOTIFICATION = tlv(
    0x30,
    tlv(0xBF2F, b"\x80\x01\x03\x81\x02\x06\x40", tlv(0x0C, ADDRESS), tlv(0x5A, ICCID)),
    SIGNATURE,
    EUICC,
    EUM,
)


@pytest.mark.parametrize("knows_context", [False, True])
@pytest.mark.parametrize("knows_certificates", [False, True])
@pytest.mark.parametrize("knows_info2", [None, OLD_INFO2])
def test_authenticate_response(
    knows_context: bool, knows_certificates: bool, knows_info2: bytes | None
) -> None:
    compact = compact_authenticate_response(
        AUTHENTICATED,
        knows_context=knows_context,
        knows_certificates=knows_certificates,
        knows_info2=knows_info2,
    )
    assert len(compact) <= len(AUTHENTICATED)
    assert compact[3] == 0xA2 or compact[4] == 0xA2 or compact[5] == 0xA2
    assert expand_authenticate_response(compact, SESSION) == AUTHENTICATED
    assert expand_authenticate_response(AUTHENTICATED, SESSION) == AUTHENTICATED


@pytest.mark.parametrize("known_otpk", [None, bytes(65), b"\x01" * 65])
@pytest.mark.parametrize("knows_hash_cc", [False, True])
def test_prepare_download_response(known_otpk: bytes | None, knows_hash_cc: bool) -> None:
    compact = compact_prepare_download_response(PREPARED, known_otpk=known_otpk, knows_hash_cc=knows_hash_cc)
    assert (b"\x5f\x49" in compact) is (known_otpk != bytes(65))
    assert expand_prepare_download_response(compact, SESSION) == PREPARED
    assert expand_prepare_download_response(PREPARED, SESSION) == PREPARED


def test_prepare_download_response_without_confirmation_code() -> None:
    signed = tlv(0x30, tlv(0x80, TID), tlv(0x5F49, bytes(65)))
    full = tlv(0xBF21, tlv(0xA0, signed, SIGNATURE))
    compact = compact_prepare_download_response(full, known_otpk=None, knows_hash_cc=False)
    assert expand_prepare_download_response(compact, msgspec.structs.replace(SESSION, hash_cc=None)) == full


@pytest.mark.parametrize("knows_reason", [False, True])
def test_cancel_session_response(knows_reason: bool) -> None:
    compact = compact_cancel_session_response(CANCELLED, knows_reason=knows_reason)
    assert expand_cancel_session_response(compact, SESSION) == CANCELLED
    assert expand_cancel_session_response(CANCELLED, SESSION) == CANCELLED


@pytest.mark.parametrize(
    "full",
    [
        installed(),
        installed(iccid=b""),
        installed(final=tlv(0xA0, tlv(0x4F, AID_PREFIX + b"\x12\x34\x00"), tlv(0x04, b"\x30\x00"))),
        installed(final=tlv(0xA1, b"\x80\x01\x05\x81\x01\x0c")),
    ],
    ids=["success", "without ICCID", "other response", "error"],
)
def test_installation_result(full: bytes) -> None:
    compact = compact_profile_installation_result(full, server_address=ADDRESS)
    assert len(compact) < len(full)
    assert expand_pending_notification(compact, SESSION) == full
    assert expand_pending_notification(full, SESSION) == full


@pytest.mark.parametrize("eid", [None, bytes(16)])
def test_other_notification(eid: bytes | None) -> None:
    compact = compact_other_signed_notification(NOTIFICATION, eid=eid)
    assert expand_pending_notification(compact, SESSION) == NOTIFICATION
    assert expand_pending_notification(NOTIFICATION, SESSION) == NOTIFICATION


@pytest.mark.parametrize(
    "make",
    [
        lambda: compact_profile_installation_result(installed(address=b"other"), server_address=ADDRESS),
        lambda: compact_profile_installation_result(
            installed(event=b"\x81\x02\x00\x80"), server_address=ADDRESS
        ),
        lambda: compact_profile_installation_result(installed(aid=bytes(16)), server_address=ADDRESS),
        lambda: compact_profile_installation_result(
            installed(aid=AID_PREFIX + b"\x12\x34\x01"), server_address=ADDRESS
        ),
        lambda: compact_profile_installation_result(
            installed(final=tlv(0xA2, b"\x80\x01\x05")), server_address=ADDRESS
        ),
        lambda: compact_cancel_session_response(b"\xbf\x41\x03\x81\x01\x05", knows_reason=True),
        lambda: compact_authenticate_response(
            AUTHENTICATED,
            knows_context=True,
            knows_certificates=True,
            knows_info2=tlv(0xBF22, tlv(0x81, b"\x02\x05\x01"), tlv(0x84, b"old"), tlv(0x85, b"\x01")),
        ),
        lambda: compact_authenticate_response(
            AUTHENTICATED,
            knows_context=True,
            knows_certificates=True,
            knows_info2=tlv(0xBF22, tlv(0x84, b"old")),
        ),
    ],
)
def test_what_cannot_be_rebuilt_is_not_left_out(make: Callable[[], bytes]) -> None:
    with pytest.raises(Refused) as refusal:
        make()
    assert refusal.value.code == "crypto.not_compactable"


COMPACT: list[tuple[Callable[[bytes, RelayedSession], bytes], bytes, list[str]]] = [
    (
        expand_authenticate_response,
        compact_authenticate_response(
            AUTHENTICATED, knows_context=True, knows_certificates=True, knows_info2=OLD_INFO2
        ),
        [
            "transaction_id",
            "server_address",
            "server_challenge",
            "euicc_info2",
            "ctx_params1",
            "euicc_certificate",
            "eum_certificate",
        ],
    ),
    (
        expand_prepare_download_response,
        compact_prepare_download_response(PREPARED, known_otpk=bytes(65), knows_hash_cc=True),
        ["transaction_id", "bpp_euicc_otpk"],
    ),
    (
        expand_cancel_session_response,
        compact_cancel_session_response(CANCELLED, knows_reason=True),
        ["transaction_id", "smdp_oid", "cancel_reason"],
    ),
    (
        expand_pending_notification,
        compact_profile_installation_result(installed(), server_address=ADDRESS),
        ["server_address", "iccid", "smdp_oid"],
    ),
    (
        expand_pending_notification,
        compact_other_signed_notification(NOTIFICATION, eid=None),
        ["euicc_certificate", "eum_certificate"],
    ),
]


@pytest.mark.parametrize(("expand", "compact", "needed"), COMPACT)
def test_every_needed_piece_is_asked_for(
    expand: Callable[[bytes, RelayedSession], bytes], compact: bytes, needed: list[str]
) -> None:
    for name in needed:
        with pytest.raises(Refused) as refusal:
            expand(compact, msgspec.structs.replace(SESSION, **{name: None}))
        assert refusal.value.code == "crypto.compact_context", name
    only_needed = RelayedSession(**{name: getattr(SESSION, name) for name in needed})
    # hashCc that was sent by the eIM is part of the signed object only if the eIM knows of one.
    assert len(expand(compact, only_needed)) > len(compact)


@pytest.mark.parametrize(("expand", "compact", "needed"), COMPACT)
def test_a_cut_or_bent_form_is_a_clean_refusal(
    expand: Callable[[bytes, RelayedSession], bytes], compact: bytes, needed: list[str]
) -> None:
    for cut in range(len(compact)):
        with pytest.raises(Malformed):
            expand(compact[:cut], SESSION)
        bent = compact[:cut] + bytes((compact[cut] ^ 0x41,)) + compact[cut + 1 :]
        try:
            expand(bent, SESSION)
        except KeimError:
            continue


@pytest.mark.parametrize(
    ("expand", "octets"),
    [
        (expand_authenticate_response, "bf3800"),
        (expand_authenticate_response, "bf3802a200"),
        (expand_authenticate_response, "bf3804a200a200"),
        (expand_authenticate_response, "bf3809a207a0005f3703010203"),
        (expand_prepare_download_response, "bf2102a200"),
        (expand_prepare_download_response, "bf2106a20430023000"),
        (expand_cancel_session_response, "bf4102a200"),
        (expand_pending_notification, ""),
        (expand_pending_notification, "a000"),
        (expand_pending_notification, "a100"),
        (expand_pending_notification, "a000a000"),
        (expand_pending_notification, "a006a0045f370100"),
    ],
)
def test_hollow_forms_have_their_code(expand: Callable[[bytes, RelayedSession], bytes], octets: str) -> None:
    with pytest.raises(Malformed) as refusal:
        expand(bytes.fromhex(octets), SESSION)
    assert refusal.value.code in ("crypto.compact_form", "codec.malformed")
