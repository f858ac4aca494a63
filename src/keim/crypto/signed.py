"""What each signature covers: one function per signed structure, nothing else in keim decides this.

Each returns the octets to sign or to verify ("to be signed", tbs). Arguments named after an object are that
object's complete TLV as it was received or sent, never a re-encoding; a signature is the value of its 5F37,
and where one signature chains onto another the whole TLV 5F37 goes in (SGP.22 §5.7, SGP.32 §2.11). Use:

    signature = signer.sign(euicc_package_tbs(package, token))
    verifying_key.verify(signature, euicc_package_tbs(package, token))
"""

from __future__ import annotations

from typing import Final

from keim.crypto.tokens import association_token_tlv
from keim.der import header, read_tlv, tag_text, tlv
from keim.errors import Malformed

SIGNATURE_TAG: Final = 0x5F37
REMOTE_OP_ID_INSTALL: Final = b"\x82\x01\x01"
ONE_TIME_KEY_TAG: Final = 0x5F49


def _whole(octets: bytes, tag: int, name: str) -> bytes:
    """`octets`, if they are exactly one TLV of that tag; padded lengths of peers are kept as they are."""
    size = len(octets) - (2 if tag < 0x100 else 3)
    if 0 <= size < 0x80 and octets.startswith(header(tag, size)):
        return octets
    element = read_tlv(octets, any_length_form=True)
    if element.tag != tag or element.end != len(octets):
        raise Malformed(
            f"the signature covers one complete TLV {tag_text(tag)}, found {tag_text(element.tag)} in "
            f"{element.end} of {len(octets)} octets",
            offset=0,
            path=name,
            code="crypto.not_the_signed_object",
        )
    return octets


def server_signed1_tbs(server_signed1: bytes) -> bytes:
    """serverSignature1, by DPauth or DSauth."""
    return _whole(server_signed1, 0x30, "serverSigned1")


def euicc_signed1_tbs(euicc_signed1: bytes) -> bytes:
    """euiccSignature1, by the eUICC."""
    return _whole(euicc_signed1, 0x30, "euiccSigned1")


def smdp_signed2_tbs(smdp_signed2: bytes, euicc_signature1: bytes) -> bytes:
    """smdpSignature2, by DPpb (not DPauth): chained onto euiccSignature1."""
    return _whole(smdp_signed2, 0x30, "smdpSigned2") + tlv(SIGNATURE_TAG, euicc_signature1)


def euicc_signed2_tbs(euicc_signed2: bytes, smdp_signature2: bytes) -> bytes:
    """euiccSignature2, by the eUICC: chained onto smdpSignature2."""
    return _whole(euicc_signed2, 0x30, "euiccSigned2") + tlv(SIGNATURE_TAG, smdp_signature2)


def initialise_secure_channel_tbs(
    *,
    remote_op_id: bytes = REMOTE_OP_ID_INSTALL,
    transaction_id: bytes,
    control_ref_template: bytes,
    smdp_otpk: bytes,
    euicc_otpk: bytes,
) -> bytes:
    """smdpSign of BF23, by DPpb. All five are TLVs; the eUICC's one-time key is signed but not sent."""
    return (
        _whole(remote_op_id, 0x82, "remoteOpId")
        + _whole(transaction_id, 0x80, "transactionId")
        + _whole(control_ref_template, 0xA6, "controlRefTemplate")
        + _whole(smdp_otpk, ONE_TIME_KEY_TAG, "smdpOtpk")
        + _whole(euicc_otpk, ONE_TIME_KEY_TAG, "euiccOtpk")
    )


def profile_installation_result_tbs(profile_installation_result_data: bytes) -> bytes:
    """euiccSignPIR, by the eUICC: BF27, not the BF37 around it."""
    return _whole(profile_installation_result_data, 0xBF27, "profileInstallationResultData")


def other_notification_tbs(tbs_other_notification: bytes) -> bytes:
    """euiccNotificationSignature, by the eUICC: BF2F; the certificates that follow are not covered."""
    return _whole(tbs_other_notification, 0xBF2F, "tbsOtherNotification")


def cancel_session_tbs(euicc_cancel_session_signed: bytes) -> bytes:
    """euiccCancelSessionSignature, by the eUICC."""
    return _whole(euicc_cancel_session_signed, 0x30, "euiccCancelSessionSigned")


def euicc_package_tbs(euicc_package_signed: bytes, association_token: int | None) -> bytes:
    """eimSignature of BF51, by the eIM (SGP.32 §2.11.1.1)."""
    return _whole(euicc_package_signed, 0x30, "euiccPackageSigned") + association_token_tlv(association_token)


def euicc_package_result_tbs(euicc_package_result_data_signed: bytes, association_token: int | None) -> bytes:
    """euiccSignEPR, by the eUICC, with the token in force before the package ran (SGP.32 §2.11.2.1)."""
    return _whole(
        euicc_package_result_data_signed, 0x30, "euiccPackageResultDataSigned"
    ) + association_token_tlv(association_token)


def euicc_package_error_tbs(euicc_package_error_data_signed: bytes, association_token: int | None) -> bytes:
    """euiccSignEPE, by the eUICC, with the token in force when the package arrived."""
    return _whole(
        euicc_package_error_data_signed, 0x30, "euiccPackageErrorDataSigned"
    ) + association_token_tlv(association_token)


def euicc_package_v1_0_tbs(signed: bytes) -> bytes:
    """For peers of SGP.32 v1.0, which sign packages and results without a token (a per-peer switch)."""
    return _whole(signed, 0x30, "signed")
