"""The eIM asks about card and device: IpaEuiccDataRequest (procedures §14, SGP.32 §2.11.1.2).

The card is asked in a fixed order (BF3C, BF20, BF22, BF55, BF56, BF2B), whatever the order of the request.
Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.errors import Malformed
from keim.ipa.card import CARD_ERRORS
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import (
    get_addresses,
    get_certs,
    get_eim_configuration_data,
    get_euicc_info1,
    get_euicc_info2,
    retrieve_notifications,
    retrieve_results,
    sequence_number_of,
)
from keim.ipa.esipa import Retry
from keim.ipa.result_delivery import Offer, deliver
from keim.ipa.results import eim_id_of
from keim.ipa.results import sequence_number_of as result_number
from keim.messages.es10b import GetCertsResponse, RetrieveNotificationsSearch
from keim.messages.esipa import EimPackageResult
from keim.messages.ipa_data import (
    IpaEuiccData,
    IpaEuiccDataErrorCode,
    IpaEuiccDataRequest,
    IpaEuiccDataResponse,
    IpaEuiccDataResponseError,
    NotificationSearch,
)
from keim.messages.package import EimConfigurationData, EuiccPackageResult

NOTIFICATIONS, DEFAULT_SMDP, RESULTS, INFO1, INFO2 = 0xA0, 0x81, 0xA2, 0xBF20, 0xBF22
ROOT_SMDS, TOKEN, CERT_EUM, CERT_EUICC, CAPABILITIES, DEVICE = 0x83, 0x84, 0xA5, 0xA6, 0xA8, 0xA9
KNOWN_TAGS: Final = frozenset(
    {
        NOTIFICATIONS,
        DEFAULT_SMDP,
        RESULTS,
        INFO1,
        INFO2,
        ROOT_SMDS,
        TOKEN,
        CERT_EUM,
        CERT_EUICC,
        CAPABILITIES,
        DEVICE,
    }
)


def answer_data_request(
    ipa: Ipa, entry: EimConfigurationData, request: IpaEuiccDataRequest
) -> Procedure[None]:
    """Collect, deliver, remove what was acknowledged."""
    response = yield from collect(ipa, entry, request)
    yield from deliver_data(ipa, entry, response)


def deliver_data(ipa: Ipa, entry: EimConfigurationData, response: IpaEuiccDataResponse) -> Procedure[bool]:
    result = EimPackageResult(ipa_euicc_data_response=response)
    numbers = offered_numbers(response) if ipa.configuration.are_items_removed_after_data_response else ()
    delivered = yield from deliver(ipa, entry, Offer(result, None, numbers), Retry.usual(ipa))
    if delivered:
        yield from note_told(ipa, entry, response)
    return delivered


def offered_numbers(response: IpaEuiccDataResponse) -> tuple[int, ...]:
    data = response.ipa_euicc_data
    if data is None:
        return ()
    results = (result_number(result) for result in data.euicc_package_result_list or ())
    return (
        *(sequence_number_of(notification) for notification in data.notifications_list or ()),
        *(number for number in results if number is not None),
    )


def note_told(ipa: Ipa, entry: EimConfigurationData, response: IpaEuiccDataResponse) -> Procedure[None]:
    """What the eIM now knows may be left out of compact forms (procedures §11.8)."""
    data = response.ipa_euicc_data
    if data is None:
        return
    note = ipa.memory.note(entry.eim_id)
    if data.euicc_info2 is not None:
        note = msgspec.structs.replace(note, told_info2=data.euicc_info2.encode())
    if data.euicc_certificate is not None and data.eum_certificate is not None:
        note = msgspec.structs.replace(note, told_certificates=True)
    yield from ipa.keep(ipa.memory.with_note(entry.eim_id, note))


def collect(
    ipa: Ipa, entry: EimConfigurationData, request: IpaEuiccDataRequest
) -> Procedure[IpaEuiccDataResponse]:
    """Steps 2 and 3; every failure has its code."""
    if ipa.memory.is_emergency_active:
        return refusal(request.eim_transaction_id, IpaEuiccDataErrorCode.ECALL_ACTIVE)
    try:
        tags = tags_of(request.tag_list)
    except Malformed:
        return refusal(request.eim_transaction_id, IpaEuiccDataErrorCode.INCORRECT_TAG_LIST)
    try:
        data = yield from _collect(ipa, entry, request, tags)
    except CARD_ERRORS:
        return refusal(request.eim_transaction_id, IpaEuiccDataErrorCode.UNDEFINED_ERROR)
    if data is None:
        return refusal(request.eim_transaction_id, IpaEuiccDataErrorCode.EUICC_CI_PK_ID_NOT_FOUND)
    return IpaEuiccDataResponse(ipa_euicc_data=data)


def refusal(transaction_id: bytes | None, code: IpaEuiccDataErrorCode) -> IpaEuiccDataResponse:
    return IpaEuiccDataResponse(
        ipa_euicc_data_response_error=IpaEuiccDataResponseError(
            eim_transaction_id=transaction_id, ipa_euicc_data_error_code=code
        )
    )


def tags_of(tag_list: bytes) -> frozenset[int]:
    """The tags one after the other; an unknown one is `Malformed`."""
    tags = set()
    position = 0
    while position < len(tag_list):
        length = 2 if tag_list[position] & 0x1F == 0x1F else 1
        tag = int.from_bytes(tag_list[position : position + length], "big")
        if tag not in KNOWN_TAGS:
            raise Malformed(f"{tag:X} cannot be asked for", offset=position, path="tagList")
        tags.add(tag)
        position += length
    return frozenset(tags)


def _collect(
    ipa: Ipa, entry: EimConfigurationData, request: IpaEuiccDataRequest, tags: frozenset[int]
) -> Procedure[IpaEuiccData | None]:
    found: dict[str, object] = {"eim_transaction_id": request.eim_transaction_id}
    if tags & {DEFAULT_SMDP, ROOT_SMDS}:
        addresses = yield from get_addresses(ipa)
        if DEFAULT_SMDP in tags:
            found["default_smdp_address"] = addresses.default_dp_address or None
        if ROOT_SMDS in tags:
            found["root_smds_address"] = addresses.root_ds_address or None
    if INFO1 in tags:
        found["euicc_info1"] = yield from get_euicc_info1(ipa)
    if INFO2 in tags:
        found["euicc_info2"] = yield from get_euicc_info2(ipa)
    if TOKEN in tags:
        found["association_token"] = yield from _token(ipa, entry.eim_id)
    if tags & {CERT_EUM, CERT_EUICC}:
        certificates = yield from get_certs(ipa, request.euicc_ci_pk_identifier_to_be_used)
        if certificates.certs is None:
            return None
        found |= _certificates(certificates, tags)
    if NOTIFICATIONS in tags:
        criteria = _criteria(request.search_criteria_notification)
        found["notifications_list"] = yield from retrieve_notifications(ipa, criteria)
    if RESULTS in tags:
        search = request.search_criteria_euicc_package_result
        results = yield from retrieve_results(ipa, None if search is None else search.seq_number)
        found["euicc_package_result_list"] = tuple(
            result for result in results if _may_have(ipa, entry.eim_id, result)
        )
    if CAPABILITIES in tags:
        found["ipa_capabilities"] = ipa.configuration.capabilities
    if DEVICE in tags:
        found["device_info"] = ipa.configuration.device.info()
    return IpaEuiccData().replace(**found)


def _token(ipa: Ipa, eim_id: str) -> Procedure[int | None]:
    entries = yield from get_eim_configuration_data(ipa)
    return next((eim.association_token for eim in entries if eim.eim_id == eim_id), None)


def _certificates(response: GetCertsResponse, tags: frozenset[int]) -> dict[str, object]:
    assert response.certs is not None
    found: dict[str, object] = {}
    if CERT_EUM in tags:
        found["eum_certificate"] = response.certs.eum_certificate
    if CERT_EUICC in tags:
        found["euicc_certificate"] = response.certs.euicc_certificate
    return found


def _criteria(search: NotificationSearch | None) -> RetrieveNotificationsSearch | None:
    if search is None:
        return None
    if search.seq_number is not None:
        return RetrieveNotificationsSearch(seq_number=search.seq_number)
    return RetrieveNotificationsSearch(profile_management_operation=search.profile_management_operation)


def _may_have(ipa: Ipa, asking: str, result: EuiccPackageResult) -> bool:
    """One's own results, and those of eIMs that are no longer associated (procedures §14)."""
    owner = eim_id_of(result)
    return owner == asking or all(eim.eim_id != owner for eim in ipa.eims)
