"""Injection: the eIM is the client (procedures §4.4, SGP.32 §3.1.1.2, §5.14.4).

`accept` answers a TransferEimPackage; what must happen after the answer is out (a switch, a download) is a
procedure of its own, `follow_up`. Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from dataclasses import dataclass

from keim.der import TOLERANT, Tlv, read_tlv, walk
from keim.errors import Malformed
from keim.ipa.context import Ipa
from keim.ipa.data_request import collect, note_told, offered_numbers
from keim.ipa.effects import Procedure
from keim.ipa.esipa import Retry
from keim.ipa.initialise import initialise, read_eims
from keim.ipa.notifications import pending_for
from keim.ipa.package_execution import load, note_execution
from keim.ipa.result_delivery import deliver, deliver_unstored, offer_of, remove
from keim.ipa.results import changes_eims, changes_profile, data_of, sequence_number_of
from keim.ipa.rollback import deliver_or_roll_back
from keim.ipa.switch import settle_switch
from keim.ipa.trigger import run_trigger
from keim.messages.download_trigger import ProfileDownloadTriggerRequest
from keim.messages.esipa import (
    EimPackageResult,
    EimPackageResultErrorCode,
    TransferEimPackageError,
    TransferEimPackageRequest,
    TransferEimPackageResponse,
    TransferredEprAndNotifications,
)
from keim.messages.ipa_data import IpaEuiccDataRequest
from keim.messages.package import EimConfigurationData, EuiccPackageResult

TRANSFER_EIM_PACKAGE = 0xBF4E


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer for the eIM, and what to do once it could be sent."""

    response: TransferEimPackageResponse
    offered: tuple[int, ...] = ()
    """Card numbers in the response, which BF53 may acknowledge."""
    result: EuiccPackageResult | None = None
    """Executed, and not in the response."""
    delivered: int | None = None
    """Of the result in the response: delivered when the response was sent completely."""
    trigger: ProfileDownloadTriggerRequest | None = None


def accept(
    ipa: Ipa, entry: EimConfigurationData, octets: bytes, *, is_authenticated: bool, is_busy: bool = False
) -> Procedure[Accepted]:
    """One TransferEimPackage. Unsigned requests need a peer that proved itself (bindings §4.4)."""
    try:
        package, tag = _inner(octets)
    except Malformed:
        return _refused(TransferEimPackageError.INVALID_PACKAGE_FORMAT)
    if is_busy:
        return _refused(TransferEimPackageError.UNDEFINED_ERROR)
    if tag not in (0xBF51, 0xBF52, 0xBF53, 0xBF54):
        return _refused(TransferEimPackageError.UNKNOWN_PACKAGE)
    if tag != 0xBF51 and not is_authenticated:
        return _refused(TransferEimPackageError.UNDEFINED_ERROR)
    if not ipa.has_session:
        yield from initialise(ipa)
    if tag == 0xBF51:
        return (yield from _accept_package(ipa, entry, package))
    try:
        request = TransferEimPackageRequest.decode(octets, TOLERANT).value
    except Malformed:
        return _refused(TransferEimPackageError.INVALID_PACKAGE_FORMAT)
    match request:
        case IpaEuiccDataRequest():
            response = yield from collect(ipa, entry, request)
            yield from note_told(ipa, entry, response)
            return Accepted(
                TransferEimPackageResponse(ipa_euicc_data_response=response), offered_numbers(response)
            )
        case ProfileDownloadTriggerRequest():
            return Accepted(_received(), trigger=request)
        case _:
            sent = ipa.memory.injected.get(entry.eim_id, ())
            yield from remove(ipa, [number for number in request if number in sent])
            return Accepted(_received())


def _accept_package(ipa: Ipa, entry: EimConfigurationData, package: bytes) -> Procedure[Accepted]:
    """Executed at once. After a switch the connection is gone: "received", and the result goes by BF50."""
    outcome = yield from load(ipa, package)
    if isinstance(outcome, EimPackageResultErrorCode):
        return _refused(TransferEimPackageError(int(outcome)))
    yield from note_execution(ipa, entry, outcome)
    if changes_profile(outcome):
        return Accepted(_received(), result=outcome)
    if changes_eims(outcome):
        yield from read_eims(ipa)
    number = sequence_number_of(outcome)
    notifications = () if data_of(outcome) is None else (yield from pending_for(ipa, entry.eim_id))
    offer = offer_of(outcome, notifications)
    if notifications:
        together = TransferredEprAndNotifications(
            euicc_package_result=outcome, notification_list=notifications
        )
        response = TransferEimPackageResponse(epr_and_notifications=together)
    else:
        response = TransferEimPackageResponse(euicc_package_result=outcome)
    return Accepted(response, offer.numbers, delivered=number)


def follow_up(
    ipa: Ipa, entry: EimConfigurationData, accepted: Accepted, *, was_sent: bool
) -> Procedure[None]:
    """After the answer: the switch and delivery, or the download; what could not be sent goes by BF50."""
    if accepted.trigger is not None:
        yield from run_trigger(ipa, entry, accepted.trigger)
    elif accepted.result is not None:
        connected = yield from settle_switch(ipa, "package")
        yield from deliver_or_roll_back(ipa, entry, accepted.result, connected=connected)
        if changes_eims(accepted.result):
            yield from read_eims(ipa)
    elif was_sent:
        if accepted.offered:  # BF53 may come for these, by this or a later connection
            yield from ipa.keep(ipa.memory.with_injected(entry.eim_id, accepted.offered))
    else:
        yield from _send_otherwise(ipa, entry, accepted.response)


def _send_otherwise(
    ipa: Ipa, entry: EimConfigurationData, response: TransferEimPackageResponse
) -> Procedure[None]:
    """The connection broke while the answer was on its way (procedures §4.4 step 4)."""
    if response.epr_and_notifications is not None:
        both = response.epr_and_notifications
        yield from deliver(
            ipa, entry, offer_of(both.euicc_package_result, both.notification_list), Retry.usual(ipa)
        )
    elif response.euicc_package_result is not None:
        epr = response.euicc_package_result
        if data_of(epr) is None:
            yield from deliver_unstored(ipa, entry, EimPackageResult(euicc_package_result=epr))
        else:
            yield from deliver(ipa, entry, offer_of(epr, ()), Retry.usual(ipa))


def _inner(octets: bytes) -> tuple[bytes, int]:
    outer = read_tlv(octets)
    children: list[Tlv] = list(walk(octets, outer.content, outer.end))
    if outer.tag != TRANSFER_EIM_PACKAGE or outer.end != len(octets) or len(children) != 1:
        raise Malformed("not a TransferEimPackageRequest", offset=0)
    return octets[children[0].start : children[0].end], children[0].tag


def _received() -> TransferEimPackageResponse:
    return TransferEimPackageResponse(eim_package_received=True)


def _refused(error: TransferEimPackageError) -> Accepted:
    return Accepted(TransferEimPackageResponse(eim_package_error=error))
