"""Expanding the compact forms of ESipa (SGP.32 §2.5): the eIM rebuilds the octets that the eUICC signed.

A signature in a compact object covers the full object, so every octet must come out as on the card. That
can fail when an assumption differs (another spelling of an address, another ICCID): verify what comes out,
and keep what came in. A full object is returned as it is. The rules are read off the ASN.1 comments; nobody
has seen these forms on a wire, so they stand here alone and in one place.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from keim.crypto.elements import Element, elements_between, members_of
from keim.der import tlv
from keim.errors import Malformed, Refused

AID_PREFIX: Final = bytes.fromhex("a0000005591010ffffffff8900")
"""The compact AID are the octets 14 and 15; the last one is 00."""
AID_SUFFIX: Final = b"\x00"
USUAL_SIMA_RESPONSE: Final = bytes.fromhex("3007a0053003800100")
INSTALL_EVENT: Final = bytes.fromhex("81020780")

_Value = TypeVar("_Value")


class RelayedSession(msgspec.Struct, frozen=True, kw_only=True):
    """What the eIM kept of the download that it relays, and of the eUICC. Values, unless a TLV is named."""

    transaction_id: bytes | None = None
    server_address: bytes | None = None
    """From serverSigned1, in its own spelling; also the notification address of the installation result."""
    server_challenge: bytes | None = None
    smdp_oid: bytes | None = None
    """Content octets of the registeredID of DPauth."""
    iccid: bytes | None = None
    """As in the metadata (5A), nibbles swapped."""
    euicc_info2: bytes | None = None
    """The whole TLV BF22 from the last data request."""
    ctx_params1: bytes | None = None
    """The whole TLV A0 that the eIM generated."""
    bpp_euicc_otpk: bytes | None = None
    hash_cc: bytes | None = None
    cancel_reason: bytes | None = None
    euicc_certificate: bytes | None = None
    eum_certificate: bytes | None = None


def _known(value: _Value | None, name: str) -> _Value:
    if value is None:
        raise Refused(f"the compact form needs {name}, which is not known", code="crypto.compact_context")
    return value


def _bad_form(name: str) -> Malformed:
    return Malformed(f"not a compact {name}", offset=0, path=name, code="crypto.compact_form")


def _only(members: tuple[Element, ...], name: str) -> Element:
    if len(members) != 1:
        raise _bad_form(name)
    return members[0]


def _named(members: tuple[Element, ...], tags: tuple[int, ...], name: str) -> dict[int, Element]:
    """The members by tag; each may stand once, in this order, and no others."""
    found = [member.tag for member in members]
    if found != [tag for tag in tags if tag in found]:
        raise _bad_form(name)
    return {member.tag: member for member in members}


def _get(members: dict[int, Element], tag: int, name: str) -> Element:
    try:
        return members[tag]
    except KeyError:
        raise _bad_form(name) from None


def expand_authenticate_response(response: bytes, session: RelayedSession) -> bytes:
    """BF38: the alternative A2 becomes A0, with euiccSigned1 and both certificates."""
    name = "authenticateServerResponse"
    choice = _only(members_of(response, 0xBF38, name), name)
    if choice.tag != 0xA2:
        return response
    parts = _named(elements_between(choice.value), (0x30, 0xA0, 0x5F37, 0xA1, 0xA2), name)
    if 0x30 in parts:
        signed = parts[0x30].whole
    else:
        signed = _euicc_signed1(_get(parts, 0xA0, name).value, session)
    euicc = tlv(0x30, parts[0xA1].value) if 0xA1 in parts else _known(session.euicc_certificate, "CERT.EUICC")
    eum = tlv(0x30, parts[0xA2].value) if 0xA2 in parts else _known(session.eum_certificate, "CERT.EUM")
    return tlv(0xBF38, tlv(0xA0, signed, _get(parts, 0x5F37, name).whole, euicc, eum))


def _euicc_signed1(compact: bytes, session: RelayedSession) -> bytes:
    parts = _named(elements_between(compact), (0x84, 0xA2), "compactEuiccSigned1")
    card_resource = _get(parts, 0x84, "compactEuiccSigned1").whole
    info2 = members_of(_known(session.euicc_info2, "EUICCInfo2"), 0xBF22, "euiccInfo2")
    renewed = [card_resource if member.tag == 0x84 else member.whole for member in info2]
    context = parts[0xA2].value if 0xA2 in parts else _known(session.ctx_params1, "ctxParams1")
    return tlv(
        0x30,
        tlv(0x80, _known(session.transaction_id, "the transactionId")),
        tlv(0x83, _known(session.server_address, "the server address")),
        tlv(0x84, _known(session.server_challenge, "the server challenge")),
        tlv(0xBF22, *renewed),
        context,
    )


def expand_prepare_download_response(response: bytes, session: RelayedSession) -> bytes:
    """BF21: the alternative A2 becomes A0, with euiccSigned2."""
    name = "prepareDownloadResponse"
    choice = _only(members_of(response, 0xBF21, name), name)
    if choice.tag != 0xA2:
        return response
    parts = _named(elements_between(choice.value), (0x30, 0x5F37), name)
    members = _named(elements_between(_get(parts, 0x30, name).value), (0x5F49, 0x04), name)
    if 0x5F49 in members:
        key = members[0x5F49].whole
    else:
        key = tlv(0x5F49, _known(session.bpp_euicc_otpk, "bppEuiccOtpk"))
    if 0x04 in members:
        hash_cc = members[0x04].whole
    else:
        hash_cc = b"" if session.hash_cc is None else tlv(0x04, session.hash_cc)
    signed = tlv(0x30, tlv(0x80, _known(session.transaction_id, "the transactionId")), key, hash_cc)
    return tlv(0xBF21, tlv(0xA0, signed, _get(parts, 0x5F37, name).whole))


def expand_cancel_session_response(response: bytes, session: RelayedSession) -> bytes:
    """BF41: the alternative A2 becomes A0, with euiccCancelSessionSigned."""
    name = "cancelSessionResponse"
    choice = _only(members_of(response, 0xBF41, name), name)
    if choice.tag != 0xA2:
        return response
    parts = _named(elements_between(choice.value), (0x30, 0x5F37), name)
    members = _named(elements_between(_get(parts, 0x30, name).value), (0x80,), name)
    reason = members[0x80].value if 0x80 in members else _known(session.cancel_reason, "the reason")
    signed = tlv(
        0x30,
        tlv(0x80, _known(session.transaction_id, "the transactionId")),
        tlv(0x81, _known(session.smdp_oid, "the SM-DP+'s OID")),
        tlv(0x82, reason),
    )
    return tlv(0xBF41, tlv(0xA0, signed, _get(parts, 0x5F37, name).whole))


def expand_pending_notification(notification: bytes, session: RelayedSession) -> bytes:
    """A0 becomes BF37 (installation result), A1 becomes 30 (other notification); full forms stay."""
    form = _only(elements_between(notification), "pendingNotification")
    if form.tag == 0xA0:
        return _profile_installation_result(form.value, session)
    if form.tag == 0xA1:
        return _other_signed_notification(form.value, session)
    return notification


def _profile_installation_result(compact: bytes, session: RelayedSession) -> bytes:
    name = "compactProfileInstallationResult"
    parts = _named(elements_between(compact), (0xA0, 0x5F37), name)
    data = _named(elements_between(_get(parts, 0xA0, name).value), (0x80, 0x02, 0x01, 0xA2), name)
    has_iccid = 0x01 not in data or data[0x01].value != b"\x00"
    metadata = tlv(
        0xBF2F,
        tlv(0x80, _get(data, 0x02, name).value),
        INSTALL_EVENT,
        tlv(0x0C, _known(session.server_address, "the SM-DP+'s address")),
        tlv(0x5A, _known(session.iccid, "the ICCID")) if has_iccid else b"",
    )
    final_result = _final_result(_get(data, 0xA2, name).value)
    result_data = tlv(
        0xBF27,
        _get(data, 0x80, name).whole,
        metadata,
        tlv(0x06, _known(session.smdp_oid, "the SM-DP+'s OID")),
        tlv(0xA2, final_result),
    )
    return tlv(0xBF37, result_data, _get(parts, 0x5F37, name).whole)


def _final_result(choice: bytes) -> bytes:
    name = "compactFinalResult"
    result = _named(elements_between(choice), (0xA0, 0xA1), name)
    if 0xA1 in result and len(result) == 1:
        return result[0xA1].whole
    success = _named(elements_between(_get(result, 0xA0, name).value), (0x4F, 0x04), name)
    aid = _get(success, 0x4F, name).value
    if len(result) != 1 or len(aid) != 2:
        raise _bad_form(name)
    response = success[0x04].whole if 0x04 in success else tlv(0x04, USUAL_SIMA_RESPONSE)
    return tlv(0xA0, tlv(0x4F, AID_PREFIX, aid, AID_SUFFIX), response)


def _other_signed_notification(compact: bytes, session: RelayedSession) -> bytes:
    name = "compactOtherSignedNotification"
    parts = _named(elements_between(compact), (0x5A, 0xBF2F, 0x5F37), name)
    return tlv(
        0x30,
        _get(parts, 0xBF2F, name).whole,
        _get(parts, 0x5F37, name).whole,
        _known(session.euicc_certificate, "CERT.EUICC"),
        _known(session.eum_certificate, "CERT.EUM"),
    )
