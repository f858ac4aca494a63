"""ProvideEimPackageResult (SGP.32 §5.14.6, procedures §4.3): results in, acknowledgements out.

Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from typing import Final

from keim.deciding import Deciding
from keim.der import tlv
from keim.eim.change import Change
from keim.eim.facts import Context, Decision, Facts, Named, Wanted
from keim.eim.results import data_response, download, euicc_package, notifications, refusal
from keim.eim.rows import DeviceState
from keim.eim.settings import Eim
from keim.errors import Malformed
from keim.ids import Eid
from keim.messages.download_trigger import ProfileDownloadTriggerResult
from keim.messages.esipa import (
    EimPackageResult,
    EimPackageResultResponseError,
    EprAndNotifications,
    ProvideEimPackageResult,
    ProvideEimPackageResultError,
    ProvideEimPackageResultResponse,
)
from keim.messages.ipa_data import IpaEuiccDataResponse
from keim.messages.package import EuiccPackageResult

EMPTY: Final = tlv(0xBF50, tlv(0x30))
LIMIT: Final = 32
"""Stored results in one message that are looked up; a card holds fewer."""


def _error(code: ProvideEimPackageResultError) -> bytes:
    return tlv(0xBF50, tlv(0x02, bytes((code,))))


def _named_by(result: EimPackageResult) -> tuple[Named, ...]:
    """How the result says which packages it is of."""
    match result.value:
        case EprAndNotifications(euicc_package_result=package):
            return (_named_by_package(package),)
        case EuiccPackageResult() as package:
            return (_named_by_package(package),)
        case IpaEuiccDataResponse(ipa_euicc_data=data) if data is not None:
            return tuple(_named_by_package(package) for package in data.euicc_package_result_list or ())
        case ProfileDownloadTriggerResult() | EimPackageResultResponseError() as told:
            return (Named(told.eim_transaction_id),)
    return ()


def _named_by_package(package: EuiccPackageResult) -> Named:
    if package.euicc_package_result_signed is not None:
        data = package.euicc_package_result_signed.euicc_package_result_data_signed
        return Named(data.eim_transaction_id, data.counter_value)
    if package.euicc_package_error_signed is not None:
        error = package.euicc_package_error_signed.euicc_package_error_data_signed
        return Named(error.eim_transaction_id, error.counter_value)
    unsigned = package.euicc_package_error_unsigned
    return Named(None if unsigned is None else unsigned.eim_transaction_id)


def wanted(request: ProvideEimPackageResult) -> Wanted:
    return Wanted(
        eid=None if request.eid_value is None else request.eid_value.hex(),
        with_knowledge=True,
        named=_named_by(request.eim_package_result)[:LIMIT],
    )


def decide(eim: Eim, facts: Facts, request: ProvideEimPackageResult, context: Context) -> Deciding[Decision]:
    device = facts.device
    if device is None or device.state is DeviceState.QUARANTINED:
        return Decision(reply=_error(_who(request)))
    change = Change(eim, facts, context, device)
    is_refused, numbers = yield from take(change, request.eim_package_result)
    if is_refused:
        return change.decision(_error(ProvideEimPackageResultError.UNDEFINED_ERROR))
    if not numbers or not eim.switches_of(device).acknowledges:
        return change.decision(EMPTY)
    return change.decision(ProvideEimPackageResultResponse(eim_acknowledgements=numbers).encode())


def _who(request: ProvideEimPackageResult) -> ProvideEimPackageResultError:
    if request.eid_value is None:
        return ProvideEimPackageResultError.MISSING_EID
    try:
        Eid.from_octets(request.eid_value)
    except Malformed:
        return ProvideEimPackageResultError.INVALID_EID
    return ProvideEimPackageResultError.EID_NOT_FOUND


def take(change: Change, result: EimPackageResult) -> Deciding[tuple[bool, tuple[int, ...]]]:
    """(whether the IPA shall come again with it, what may leave the card)."""
    numbers: list[int] = []
    match result.value:
        case EuiccPackageResult() as package:
            taken = yield from euicc_package.take(change, package)
            if taken.is_refused:
                return True, ()
            numbers += taken.numbers
        case EprAndNotifications(euicc_package_result=package, notification_list=pending):
            taken = yield from euicc_package.take(change, package)
            if taken.is_refused:
                return True, ()
            numbers += (*taken.numbers, *notifications.take_all(change, pending))
        case IpaEuiccDataResponse() as data:
            numbers += yield from data_response.take(change, data)
        case ProfileDownloadTriggerResult() as trigger:
            download.take_trigger_result(change, trigger)
        case EimPackageResultResponseError() as error:
            refusal.take(change, error)
    return False, tuple(numbers)
