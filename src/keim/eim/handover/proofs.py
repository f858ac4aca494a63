"""What an eUICC's own signature proves in a hand-over: that it was given the token, spoke to the new eIM, let
the old one go. Neither eIM has to take the other's word for it.

Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

import msgspec

from keim.crypto.ecdsa import VerifyingKey
from keim.crypto.signed import euicc_package_result_tbs, euicc_package_tbs
from keim.crypto.suites import verifying_key_of_spki
from keim.der import TOLERANT
from keim.errors import BadSignature, KeimError
from keim.messages.package import (
    AddEimResultCode,
    DeleteEimResult,
    EimConfigurationData,
    EuiccPackageRequest,
    EuiccPackageResult,
    EuiccPackageResultDataSigned,
)
from keim.pki import Certificate


class Added(msgspec.Struct, frozen=True):
    """addEim succeeded; `token` None: the eUICC made none."""

    token: int | None


def signed_result(octets: bytes, key: VerifyingKey, token: int | None) -> EuiccPackageResultDataSigned:
    """What the eUICC signed; BadSignature when it did not."""
    try:
        signed = EuiccPackageResult.decode(octets, TOLERANT).euicc_package_result_signed
    except KeimError as error:
        raise _unproved(f"it is no result of an eUICC package: {error}") from None
    if signed is None:
        raise _unproved("it is no signed result of an eUICC package")
    data = signed.euicc_package_result_data_signed
    if not key.accepts(signed.euicc_sign_epr, euicc_package_result_tbs(data.encode(), token)):
        raise _unproved("the eUICC's signature over the result does not verify")
    return data


def added_in(data: EuiccPackageResultDataSigned) -> Added | None:
    """What a result says of its addEim; None where that failed or is not there."""
    for entry in data.euicc_result:
        told = entry.add_eim_result
        if told is not None and told.association_token is not None:
            return Added(told.association_token)
        if told is not None and told.add_eim_result_code == AddEimResultCode.OK:
            return Added(None)
    return None


def prove_added(octets: bytes, key: VerifyingKey, old_token: int | None, new_token: int | None) -> None:
    """The eUICC says that it gave the new eIM this token."""
    added = added_in(signed_result(octets, key, old_token))
    if added is None or added.token != new_token:
        raise _unproved("the eUICC's result does not say that the new eIM was added with this token")


def prove_contact(octets: bytes, key: VerifyingKey, token: int | None, eim_id: str) -> None:
    """The eUICC executed a package of the new eIM, with the token that it was given."""
    if signed_result(octets, key, token).eim_id != eim_id:
        raise _unproved("the eUICC's result is for another eIM")


def prove_removal(
    package: bytes,
    result: bytes,
    key: VerifyingKey,
    token: int | None,
    entry: EimConfigurationData,
    *,
    old_eim_id: str,
) -> None:
    """The new eIM signed a deleteEim of the old one, and the eUICC signed that it was done."""
    data = signed_result(result, key, token)
    try:
        request = EuiccPackageRequest.decode(package, TOLERANT)
    except KeimError as error:
        raise _unproved(f"it is no eUICC package: {error}") from None
    signed = request.euicc_package_signed
    if not key_of(entry).accepts(request.eim_signature, euicc_package_tbs(signed.encode(), token)):
        raise _unproved("the new eIM's signature over its package does not verify")
    if (data.eim_id, data.counter_value, data.eim_transaction_id) != (
        signed.eim_id,
        signed.counter_value,
        signed.eim_transaction_id,
    ):
        raise _unproved("the eUICC's result is of another package")
    commands = signed.euicc_package.eco_list or ()
    for command, told in zip(commands, data.euicc_result, strict=False):
        if command.delete_eim is not None and command.delete_eim.eim_id == old_eim_id:
            if told.delete_eim_result in (DeleteEimResult.OK, DeleteEimResult.EIM_NOT_FOUND):
                return
            raise _unproved("the eUICC did not delete the old eIM")
    raise _unproved("the new eIM's package does not delete the old eIM")


def key_of(entry: EimConfigurationData) -> VerifyingKey:
    """What an eUICC will know the eIM's signatures by."""
    data = entry.eim_public_key_data
    if data is not None and data.eim_certificate is not None:
        return verifying_key_of_spki(Certificate(data.eim_certificate).spki)
    if data is not None and data.eim_public_key is not None:
        return verifying_key_of_spki(bytes(data.eim_public_key))
    raise _unproved("the eIM's entry holds no key")


def _unproved(why: str) -> BadSignature:
    return BadSignature(why, code="handover.unproved")
