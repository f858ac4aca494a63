"""Making the compact forms of ESipa out of the full answers of an eUICC: the IPA's side of `compact`.

Each leaves out only what the caller says the eIM knows. `Refused` with `crypto.not_compactable` means that
a value differs from what the eIM would rebuild: then the full form is sent.
"""

from __future__ import annotations

from keim.crypto.compact import AID_PREFIX, AID_SUFFIX, INSTALL_EVENT, USUAL_SIMA_RESPONSE
from keim.crypto.elements import Element, elements_between, members_of
from keim.der import tlv
from keim.errors import Refused


def _not_compactable(why: str) -> Refused:
    return Refused(f"no compact form: {why}", code="crypto.not_compactable")


def _exactly(members: tuple[Element, ...], tags: tuple[int, ...], what: str) -> tuple[Element, ...]:
    if tuple(member.tag for member in members) != tags:
        raise _not_compactable(f"{what} has other members than usual")
    return members


def _ok_part(response: bytes, tag: int, what: str) -> tuple[Element, ...]:
    choice = members_of(response, tag, what)
    if len(choice) != 1 or choice[0].tag != 0xA0:
        raise _not_compactable(f"{what} is no success")
    return elements_between(choice[0].value)


def compact_authenticate_response(
    response: bytes, *, knows_context: bool, knows_certificates: bool, knows_info2: bytes | None
) -> bytes:
    """BF38. `knows_context`: the eIM generated ctxParams1; `knows_info2`: the BF22 that it has stored."""
    signed, signature, euicc, eum = _exactly(
        _ok_part(response, 0xBF38, "the response"), (0x30, 0x5F37, 0x30, 0x30), "the response"
    )
    parts = _exactly(elements_between(signed.value), (0x80, 0x83, 0x84, 0xBF22, 0xA0), "euiccSigned1")
    short = signed.whole
    if knows_info2 is not None:
        card_resource = _only_difference(parts[3].whole, knows_info2)
        context = b"" if knows_context else tlv(0xA2, parts[4].whole)
        short = tlv(0xA0, card_resource, context)
    certificates = b"" if knows_certificates else _retagged(euicc, 0xA1) + _retagged(eum, 0xA2)
    return tlv(0xBF38, tlv(0xA2, short, signature.whole, certificates))


def _retagged(certificate: Element, tag: int) -> bytes:
    return tlv(tag, certificate.value)


def _only_difference(info2: bytes, known_info2: bytes) -> bytes:
    """extCardResource of the new EUICCInfo2, if everything else is as the eIM knows it."""
    new, old = members_of(info2, 0xBF22, "euiccInfo2"), members_of(known_info2, 0xBF22, "euiccInfo2")
    resources = [member.whole for member in new if member.tag == 0x84]
    rest = [member.whole for member in new if member.tag != 0x84]
    if [member.tag for member in new] != [member.tag for member in old] or len(resources) != 1:
        raise _not_compactable("EUICCInfo2 has other members than the eIM knows")
    if rest != [member.whole for member in old if member.tag != 0x84]:
        raise _not_compactable("EUICCInfo2 differs from what the eIM knows")
    return resources[0]


def compact_prepare_download_response(
    response: bytes, *, known_otpk: bytes | None, knows_hash_cc: bool
) -> bytes:
    """BF21. `known_otpk`: the bppEuiccOtpk of smdpSigned2; `knows_hash_cc`: the eIM had sent it."""
    signed, signature = _exactly(_ok_part(response, 0xBF21, "the response"), (0x30, 0x5F37), "the response")
    members = elements_between(signed.value)
    tags = (0x80, 0x5F49, 0x04) if len(members) == 3 else (0x80, 0x5F49)
    _, key, *hash_cc = _exactly(members, tags, "euiccSigned2")
    short_key = b"" if key.value == known_otpk else key.whole
    short_hash = b"" if knows_hash_cc or not hash_cc else hash_cc[0].whole
    return tlv(0xBF21, tlv(0xA2, tlv(0x30, short_key, short_hash), signature.whole))


def compact_cancel_session_response(response: bytes, *, knows_reason: bool) -> bytes:
    """BF41."""
    signed, signature = _exactly(_ok_part(response, 0xBF41, "the response"), (0x30, 0x5F37), "the response")
    _, _, reason = _exactly(elements_between(signed.value), (0x80, 0x81, 0x82), "the signed part")
    short = b"" if knows_reason else tlv(0x80, reason.value)
    return tlv(0xBF41, tlv(0xA2, tlv(0x30, short), signature.whole))


def compact_profile_installation_result(result: bytes, *, server_address: bytes) -> bytes:
    """BF37 becomes A0, if its notification address is the address of the session."""
    data, signature = _exactly(
        members_of(result, 0xBF37, "profileInstallationResult"), (0xBF27, 0x5F37), "the result"
    )
    transaction, metadata, _, final = _exactly(
        elements_between(data.value), (0x80, 0xBF2F, 0x06, 0xA2), "the result"
    )
    members = elements_between(metadata.value)
    tags = (0x80, 0x81, 0x0C, 0x5A) if len(members) == 4 else (0x80, 0x81, 0x0C)
    sequence, event, address, *iccid = _exactly(members, tags, "the notification")
    if event.whole != INSTALL_EVENT or address.value != server_address:
        raise _not_compactable("the notification is not what the eIM would rebuild")
    iccid_present = b"" if iccid else tlv(0x01, b"\x00")
    short = tlv(
        0xA0,
        transaction.whole,
        tlv(0x02, sequence.value),
        iccid_present,
        tlv(0xA2, _compact_final_result(final.value)),
    )
    return tlv(0xA0, short, signature.whole)


def _compact_final_result(choice: bytes) -> bytes:
    results = elements_between(choice)
    if len(results) != 1 or results[0].tag not in (0xA0, 0xA1):
        raise _not_compactable("the result is neither a success nor an error")
    result = results[0]
    if result.tag == 0xA1:
        return result.whole
    aid, response = _exactly(elements_between(result.value), (0x4F, 0x04), "the success")
    if not (aid.value.startswith(AID_PREFIX) and aid.value.endswith(AID_SUFFIX) and len(aid.value) == 16):
        raise _not_compactable("the AID is not one of the usual ISD-P range")
    short_response = b"" if response.value == USUAL_SIMA_RESPONSE else response.whole
    return tlv(0xA0, tlv(0x4F, aid.value[13:15]), short_response)


def compact_other_signed_notification(notification: bytes, *, eid: bytes | None) -> bytes:
    """30 becomes A1; the EID says whose it is where the exchange does not."""
    metadata, signature, _, _ = _exactly(
        members_of(notification, 0x30, "otherSignedNotification"),
        (0xBF2F, 0x5F37, 0x30, 0x30),
        "the notification",
    )
    return tlv(0xA1, b"" if eid is None else tlv(0x5A, eid), metadata.whole, signature.whole)
