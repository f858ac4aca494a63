"""The functions of ES10a, ES10b and ES10c by name: request in, response object out.

Responses are read tolerantly (silicon deviates), and those whose octets are signed keep them. Imports its
neighbours and keim.messages only.
"""

from __future__ import annotations

from typing import TypeVar

from keim.der import RELAY, Message, Sequence, tlv
from keim.errors import Malformed
from keim.ipa.card import call_card
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.messages.authentication import (
    AuthenticateServerRequest,
    AuthenticateServerResponse,
    CancelSessionReason,
    CancelSessionRequest,
    CancelSessionResponse,
    PrepareDownloadRequest,
    PrepareDownloadResponse,
)
from keim.messages.es10a import EuiccConfiguredAddressesRequest, EuiccConfiguredAddressesResponse
from keim.messages.es10b import (
    GetCertsRequest,
    GetCertsResponse,
    GetConnectivityParametersRequest,
    GetConnectivityParametersResponse,
    GetEimConfigurationDataRequest,
    GetEimConfigurationDataResponse,
    RetrieveNotificationsListRequest,
    RetrieveNotificationsListResponse,
    RetrieveNotificationsSearch,
)
from keim.messages.info import (
    EUICCInfo1,
    EUICCInfo2,
    GetEuiccChallengeRequest,
    GetEuiccChallengeResponse,
    GetEuiccDataRequest,
    GetEuiccDataResponse,
    GetEuiccInfo1Request,
    GetEuiccInfo2Request,
)
from keim.messages.notification import (
    DeleteNotificationStatus,
    NotificationSentRequest,
    NotificationSentResponse,
    PendingNotification,
)
from keim.messages.package import EimConfigurationData, EuiccPackageResult
from keim.messages.profile import (
    GetRatRequest,
    GetRatResponse,
    ProfileInfo,
    ProfileInfoListRequest,
    ProfileInfoListResponse,
    ProfilePolicyAuthorisationRule,
)

M = TypeVar("M", bound=Message)


def call(ipa: Ipa, request: Sequence, response: type[M]) -> Procedure[M]:
    """One function whose request and response are message types."""
    octets = yield from call_card(ipa, request.encode())
    return read(octets, response)


def read(octets: bytes, response: type[M]) -> M:
    try:
        return response.decode(octets, RELAY)
    except Malformed as error:
        error.party = "eUICC"
        error.evidence = octets[:64].hex().upper()
        raise


def get_eid(ipa: Ipa) -> Procedure[bytes]:
    response = yield from call(ipa, GetEuiccDataRequest(tag_list=b"\x5a"), GetEuiccDataResponse)
    return response.eid_value


def get_eim_configuration_data(ipa: Ipa) -> Procedure[tuple[EimConfigurationData, ...]]:
    response = yield from call(ipa, GetEimConfigurationDataRequest(), GetEimConfigurationDataResponse)
    return response.eim_configuration_data_list


def retrieve_notifications(
    ipa: Ipa, criteria: RetrieveNotificationsSearch | None = None
) -> Procedure[tuple[PendingNotification, ...]]:
    """Pending notifications in the order of their sequence numbers; an error of the card counts as none."""
    response = yield from _retrieve(ipa, criteria)
    return tuple(sorted(response.notification_list or (), key=sequence_number_of))


def retrieve_results(
    ipa: Ipa, sequence_number: int | None = None
) -> Procedure[tuple[EuiccPackageResult, ...]]:
    """Stored eUICC package results: all, or the one of that number."""
    if sequence_number is None:
        criteria = RetrieveNotificationsSearch(euicc_package_results=True)
    else:
        criteria = RetrieveNotificationsSearch(seq_number=sequence_number)
    response = yield from _retrieve(ipa, criteria)
    return response.euicc_package_result_list or ()


def _retrieve(
    ipa: Ipa, criteria: RetrieveNotificationsSearch | None
) -> Procedure[RetrieveNotificationsListResponse]:
    octets = yield from call_card(ipa, RetrieveNotificationsListRequest(search_criteria=criteria).encode())
    if not octets:  # the public suite's card, and some silicon, answer nothing for an empty list
        return RetrieveNotificationsListResponse(notification_list=())
    return read(octets, RetrieveNotificationsListResponse)


def sequence_number_of(notification: PendingNotification) -> int:
    if notification.profile_installation_result is not None:
        data = notification.profile_installation_result.profile_installation_result_data
        return data.notification_metadata.seq_number
    if notification.other_signed_notification is not None:
        return notification.other_signed_notification.tbs_other_notification.seq_number
    if notification.compact_profile_installation_result is not None:
        compact = notification.compact_profile_installation_result
        return compact.compact_profile_installation_result_data.seq_number
    if notification.compact_other_signed_notification is not None:
        return notification.compact_other_signed_notification.tbs_other_notification.seq_number
    raise Malformed("a notification of an unknown kind", offset=0, party="eUICC")


def address_of(notification: PendingNotification) -> str:
    if notification.profile_installation_result is not None:
        data = notification.profile_installation_result.profile_installation_result_data
        return data.notification_metadata.notification_address
    if notification.other_signed_notification is not None:
        return notification.other_signed_notification.tbs_other_notification.notification_address
    return ""


def remove_notification(ipa: Ipa, sequence_number: int) -> Procedure[DeleteNotificationStatus]:
    """RemoveNotificationFromList, for notifications and package results alike."""
    request = NotificationSentRequest(seq_number=sequence_number)
    octets = yield from call_card(ipa, request.encode())
    if not octets:
        return DeleteNotificationStatus.OK
    return read(octets, NotificationSentResponse).delete_notification_status


def get_euicc_info1(ipa: Ipa) -> Procedure[EUICCInfo1]:
    return (yield from call(ipa, GetEuiccInfo1Request(), EUICCInfo1))


def get_euicc_info2(ipa: Ipa) -> Procedure[EUICCInfo2]:
    return (yield from call(ipa, GetEuiccInfo2Request(), EUICCInfo2))


def get_euicc_challenge(ipa: Ipa) -> Procedure[bytes]:
    response = yield from call(ipa, GetEuiccChallengeRequest(), GetEuiccChallengeResponse)
    return response.euicc_challenge


def get_addresses(ipa: Ipa) -> Procedure[EuiccConfiguredAddressesResponse]:
    return (yield from call(ipa, EuiccConfiguredAddressesRequest(), EuiccConfiguredAddressesResponse))


def get_certs(ipa: Ipa, ci_pk_id: bytes | None) -> Procedure[GetCertsResponse]:
    return (yield from call(ipa, GetCertsRequest(euicc_ci_pk_id=ci_pk_id), GetCertsResponse))


def get_connectivity_parameters(ipa: Ipa) -> Procedure[GetConnectivityParametersResponse]:
    return (yield from call(ipa, GetConnectivityParametersRequest(), GetConnectivityParametersResponse))


def get_rat(ipa: Ipa) -> Procedure[tuple[ProfilePolicyAuthorisationRule, ...]]:
    response = yield from call(ipa, GetRatRequest(), GetRatResponse)
    return response.rat


def get_profiles(ipa: Ipa, tag_list: bytes = b"") -> Procedure[tuple[ProfileInfo, ...]]:
    request = ProfileInfoListRequest(tag_list=tag_list or None)
    response = yield from call(ipa, request, ProfileInfoListResponse)
    return response.profile_info_list_ok or ()


def authenticate_server(
    ipa: Ipa, request: AuthenticateServerRequest
) -> Procedure[AuthenticateServerResponse]:
    return (yield from call(ipa, request, AuthenticateServerResponse))


def prepare_download(ipa: Ipa, request: PrepareDownloadRequest) -> Procedure[PrepareDownloadResponse]:
    return (yield from call(ipa, request, PrepareDownloadResponse))


def cancel_session(
    ipa: Ipa, transaction_id: bytes, reason: CancelSessionReason
) -> Procedure[CancelSessionResponse]:
    request = CancelSessionRequest(transaction_id=transaction_id, reason=reason)
    return (yield from call(ipa, request, CancelSessionResponse))


def load_euicc_package(ipa: Ipa, package: bytes) -> Procedure[EuiccPackageResult]:
    """The octets of the eIM go to the card unchanged (procedures §5.1 step 2)."""
    octets = yield from call_card(ipa, package)
    return read(octets, EuiccPackageResult)


def refresh_flagged(tag: int, ipa: Ipa) -> bytes:
    """BF58, BF5A..BF5E: the local functions that carry nothing but refreshFlag."""
    return tlv(tag, tlv(0x80, b"\xff" if ipa.configuration.has_refresh_flag else b"\x00"))
