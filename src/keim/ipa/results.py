"""Reading eUICC package results: what did the card do, and whose result is it? Pure functions.

Imports keim.messages only.
"""

from __future__ import annotations

from keim.messages.package import (
    EuiccPackageResult,
    EuiccPackageResultDataSigned,
    EuiccResultData,
)

OK = 0
LAST_EIM_DELETED = 2


def data_of(result: EuiccPackageResult) -> EuiccPackageResultDataSigned | None:
    """The signed data of a result; None for errors, which the card does not store."""
    signed = result.euicc_package_result_signed
    return None if signed is None else signed.euicc_package_result_data_signed


def eim_id_of(result: EuiccPackageResult) -> str:
    if result.euicc_package_result_signed is not None:
        return result.euicc_package_result_signed.euicc_package_result_data_signed.eim_id
    if result.euicc_package_error_signed is not None:
        return result.euicc_package_error_signed.euicc_package_error_data_signed.eim_id
    if result.euicc_package_error_unsigned is not None:
        return result.euicc_package_error_unsigned.eim_id
    return ""


def sequence_number_of(result: EuiccPackageResult) -> int | None:
    data = data_of(result)
    return None if data is None else data.seq_number


def is_enabled_by(result: EuiccPackageResult) -> bool:
    """Whether an enable succeeded: the only thing that a rollback can undo."""
    return any(entry.enable_result == OK for entry in _entries(result)) and not is_rolled_back(result)


def is_rolled_back(result: EuiccPackageResult) -> bool:
    return any(entry.rollback_result is not None for entry in _entries(result))


def changes_profile(result: EuiccPackageResult) -> bool:
    """Enable, disable or rollback with code 0: the enabled profile changes (procedures §5.1 step 8)."""
    return any(
        OK in (entry.enable_result, entry.disable_result, entry.rollback_result) for entry in _entries(result)
    )


def changes_profiles(result: EuiccPackageResult) -> bool:
    """Anything that makes the other eIMs' picture of the profiles stale."""
    return changes_profile(result) or any(
        OK
        in (
            entry.delete_result,
            entry.set_fallback_attribute_result,
            entry.unset_fallback_attribute_result,
            entry.configure_immediate_enable_result,
        )
        or (
            entry.set_default_dp_address_result is not None
            and entry.set_default_dp_address_result.set_default_dp_address_result == OK
        )
        for entry in _entries(result)
    )


def changes_eims(result: EuiccPackageResult) -> bool:
    return any(
        entry.update_eim_result == OK
        or entry.delete_eim_result in (OK, LAST_EIM_DELETED)
        or (
            entry.add_eim_result is not None
            and (
                entry.add_eim_result.association_token is not None
                or entry.add_eim_result.add_eim_result_code == OK
            )
        )
        for entry in _entries(result)
    )


def has_ecos(result: EuiccPackageResult) -> bool:
    return any(
        entry.add_eim_result is not None
        or entry.delete_eim_result is not None
        or entry.update_eim_result is not None
        or entry.list_eim_result is not None
        for entry in _entries(result)
    )


def is_of_package(result: EuiccPackageResult, eim_id: str, counter_value: int) -> bool:
    data = data_of(result)
    return data is not None and data.eim_id == eim_id and data.counter_value == counter_value


def _entries(result: EuiccPackageResult) -> tuple[EuiccResultData, ...]:
    data = data_of(result)
    return () if data is None else data.euicc_result
