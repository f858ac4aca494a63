"""A result of a package that no card has made: of the right form, signed as a test wants it."""

from __future__ import annotations

from collections.abc import Callable

from tests.card_lab import EID, signer_of, world

from keim.messages.esipa import EimPackageResult, ProvideEimPackageResult
from keim.messages.package import (
    EuiccPackageRequest,
    EuiccPackageResult,
    EuiccPackageResultDataSigned,
    EuiccPackageResultSigned,
    EuiccResultData,
)
from keim.messages.profile import ProfileInfoListResponse


def euicc_signs(message: bytes) -> bytes:
    """With the key of the eUICC of the tests."""
    return signer_of(world().euicc(EID)).sign(message)


def result_of(package: EuiccPackageRequest, sign: Callable[[bytes], bytes]) -> bytes:
    """ProvideEimPackageResult for a package that lists profiles; `sign` is given the data."""
    asked = package.euicc_package_signed
    listed = EuiccResultData(list_profile_info_result=ProfileInfoListResponse(profile_info_list_ok=()))
    data = EuiccPackageResultDataSigned(
        eim_id=asked.eim_id,
        counter_value=asked.counter_value,
        eim_transaction_id=asked.eim_transaction_id,
        seq_number=7,
        euicc_result=(listed,),
    )
    signed = EuiccPackageResultSigned(
        euicc_package_result_data_signed=data, euicc_sign_epr=sign(data.encode())
    )
    result = EimPackageResult(euicc_package_result=EuiccPackageResult(euicc_package_result_signed=signed))
    return ProvideEimPackageResult(eid_value=EID.octets, eim_package_result=result).encode()
