"""InitialiseSecureChannel (BF23) as the eUICC checks it, and the session keys that come of it."""

from __future__ import annotations

from typing import NoReturn

from keim.crypto.bpp_events import BppFault, BppSession, SecureChannelInitialised
from keim.crypto.faults import BadPublicKey
from keim.crypto.kdf import KEY_LENGTH_AES128, KEY_TYPE_AES, SessionKeys, derive_session_keys
from keim.crypto.signed import (
    ONE_TIME_KEY_TAG,
    REMOTE_OP_ID_INSTALL,
    SIGNATURE_TAG,
    initialise_secure_channel_tbs,
)
from keim.crypto.suites import suite_named
from keim.der import read_tlv, tlv, walk
from keim.errors import BadSignature, Malformed
from keim.messages.notification import BppCommandId, ErrorReason


def _refuse(why: str, reason: ErrorReason) -> NoReturn:
    raise BppFault(why, command=BppCommandId.INITIALISE_SECURE_CHANNEL, reason=reason)


def _elements(octets: bytes, tags: tuple[int, ...], start: int, end: int) -> list[tuple[bytes, bytes]]:
    """(whole TLV, value) of the elements from `start` to `end`, which must be these and in this order."""
    try:
        found = list(walk(octets, start, end))
    except Malformed as fault:
        _refuse(f"BF23 is not well-formed: {fault.message}", ErrorReason.INCORRECT_INPUT_VALUES)
    if tuple(element.tag for element in found) != tags:
        _refuse("a field of BF23 is missing, unknown or out of order", ErrorReason.INCORRECT_INPUT_VALUES)
    return [(octets[e.start : e.end], octets[e.content : e.end]) for e in found]


def open_secure_channel(session: BppSession, request: bytes) -> tuple[SessionKeys, SecureChannelInitialised]:
    """The ladder: fields (1), signature (2), remoteOpId (5), transactionId (3), template (4), point (1)."""
    suite = suite_named(session.suite)
    own_key = suite.one_time_key_of_scalar(session.one_time_scalar.reveal())
    outer = read_tlv(request, any_length_form=True)
    operation, transaction, template, smdp_key, signature = _elements(
        request, (0x82, 0x80, 0xA6, ONE_TIME_KEY_TAG, SIGNATURE_TAG), outer.content, outer.end
    )
    crt = _elements(template[0], (0x80, 0x81, 0x84), len(template[0]) - len(template[1]), len(template[0]))
    host_id = crt[2][1]
    if not 1 <= len(host_id) <= 16:
        _refuse("a hostId has 1 to 16 octets", ErrorReason.INCORRECT_INPUT_VALUES)
    covered = initialise_secure_channel_tbs(
        remote_op_id=operation[0],
        transaction_id=transaction[0],
        control_ref_template=template[0],
        smdp_otpk=smdp_key[0],
        euicc_otpk=tlv(ONE_TIME_KEY_TAG, own_key.public_point),
    )
    try:
        suite.verifying_key(session.dppb_point).verify(signature[1], covered)
    except BadSignature as fault:
        _refuse(f"smdpSign: {fault.message}", ErrorReason.INVALID_SIGNATURE)
    if operation[0] != REMOTE_OP_ID_INSTALL:
        _refuse("remoteOpId is not 1", ErrorReason.UNSUPPORTED_REMOTE_OPERATION_TYPE)
    if transaction[1] != session.transaction_id:
        _refuse("the transactionId is not that of the session", ErrorReason.INVALID_TRANSACTION_ID)
    if (crt[0][1], crt[1][1]) != (bytes((KEY_TYPE_AES,)), bytes((KEY_LENGTH_AES128,))):
        _refuse("key type and length are not 88 and 10", ErrorReason.UNSUPPORTED_CRT_VALUES)
    try:
        z = own_key.agree(smdp_key[1])
    except BadPublicKey as fault:
        _refuse(f"smdpOtpk: {fault.message}", ErrorReason.INCORRECT_INPUT_VALUES)
    keys = derive_session_keys(z, host_id=host_id, eid=session.eid)
    return keys, SecureChannelInitialised(host_id=host_id)
