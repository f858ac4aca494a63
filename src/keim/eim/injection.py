"""Injection: the eIM is the client (SGP.32 §3.1.1.2, §5.14.4, procedures §4.4).

What is sent, and what an answer means, whatever carries the octets. A package that was sent is the same offer
as one that was handed out at a poll, so a result may come by either way. Pure; imports floor 0 and keim.eim
only.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import msgspec

from keim.deciding import alone
from keim.der import TOLERANT, read_tlv, tlv
from keim.eim import get_eim_package, provide_eim_package_result
from keim.eim.change import Change
from keim.eim.events import DeviceChanged
from keim.eim.facts import Context, Decision, Facts, Wanted
from keim.eim.results import refusal
from keim.eim.rows import Device, DeviceState, Kind, Offer, Reach
from keim.eim.settings import Eim
from keim.errors import Refused
from keim.messages.esipa import (
    EimPackageResult,
    EimPackageResultErrorCode,
    EimPackageResultResponseError,
    EprAndNotifications,
    ProvideEimPackageResult,
    TransferEimPackageError,
    TransferEimPackageRequest,
    TransferEimPackageResponse,
    TransferredEprAndNotifications,
)
from keim.messages.ipa_data import IpaEuiccDataResponse
from keim.messages.package import EuiccPackageResult

TRANSFER_EIM_PACKAGE: Final = 0xBF4E
RESULT_PAUSE: Final = timedelta(minutes=10)
"""How long a device that took a package may need for bringing the result by itself."""
BUSY_PAUSE: Final = timedelta(minutes=1)
UNSIGNED_TRIES: Final = 3
"""A device that does not believe us refuses unsigned packages for ever; the queue must not end there."""
_NEVER: Final = (TransferEimPackageError.INVALID_PACKAGE_FORMAT, TransferEimPackageError.UNKNOWN_PACKAGE)
_ADDRESS: Final = re.compile(r"([a-z][a-z0-9]*)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?")


def addressed(
    device: Device, reach: Reach | None, *, now: datetime, actor: str = ""
) -> tuple[Device, DeviceChanged]:
    """By an operator: where the device is called, or that it is not."""
    if reach is not None:
        scheme_of(reach.address)
    what = "it polls" if reach is None else f"called at {reach.address}"
    changed = msgspec.structs.replace(device, reach=reach, version=device.version + 1)
    address = "" if reach is None else reach.address
    return changed, DeviceChanged(at=now, eid=device.eid, what=what, actor=actor, address=address)


def scheme_of(address: str) -> str:
    """`https`, `coaps`; an address that is none is refused."""
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found[3] or 1) not in range(1, 65536):
        raise Refused(f"{address!r} is not SCHEME://HOST[:PORT]", code="eim.bad_device_address")
    return found[1]


def wanted(eid: str) -> Wanted:
    """For `is_waiting` and `next_message`."""
    return Wanted(eid=eid, with_next=True)


def is_waiting(eim: Eim, facts: Facts, now: datetime) -> bool:
    """Whether there is something to send; nothing is signed for a device that has not been reached."""
    device = facts.device
    if device is None or device.state is not DeviceState.ACTIVE or device.reach is None:
        return False
    if device.owed:
        return True
    offer = device.offer
    if offer is not None:
        return not any(until is not None and now < until for until in (offer.awaited_until, offer.not_before))
    learns = device.point is None and eim.rules.learns_first and not device.has_been_asked
    if (learns or device.chores) and eim.switches_of(device).asks:
        return True
    return any(not get_eim_package.is_paused(device, candidate, now) for candidate in facts.next[:1])


def next_message(eim: Eim, facts: Facts, context: Context) -> Decision:
    """The TransferEimPackageRequest; an empty reply: nothing."""
    device = facts.device
    if device is None or device.state is not DeviceState.ACTIVE:
        return Decision(reply=b"")
    change = Change(eim, facts, context, device)
    if device.owed:
        return change.decision(TransferEimPackageRequest(eim_acknowledgements=device.owed).encode())
    chosen = alone(get_eim_package.choose(change))
    if chosen == get_eim_package.NOTHING:
        return change.decision(b"")
    return change.decision(tlv(TRANSFER_EIM_PACKAGE, chosen[read_tlv(chosen).content :]))


def read_answer(octets: bytes) -> TransferEimPackageResponse:
    """`Malformed` if it is none."""
    return TransferEimPackageResponse.decode(octets, TOLERANT)


def wanted_for(eid: str, answer: TransferEimPackageResponse) -> Wanted:
    """For `answered`."""
    result = _result_in(answer)
    if result is None:
        return Wanted(eid=eid, with_knowledge=True)
    provided = ProvideEimPackageResult(eid_value=bytes.fromhex(eid), eim_package_result=result)
    return provide_eim_package_result.wanted(provided)


def answered(
    eim: Eim, facts: Facts, sent: bytes, answer: TransferEimPackageResponse, context: Context
) -> Decision:
    """What an answer to `sent` changes; a result in it is verified like any other."""
    device = facts.device
    if device is None:
        return Decision(reply=b"")
    change = Change(eim, facts, context, device)
    if _acknowledges(sent):
        # What is refused stays in the card, and comes again by itself.
        change.set(owed=())
        return change.decision(b"")
    result = _result_in(answer)
    if result is not None:
        is_refused, numbers = alone(provide_eim_package_result.take(change, result))
        if not is_refused and eim.switches_of(device).acknowledges:
            change.set(owed=tuple(dict.fromkeys((*device.owed, *numbers))))
        _wait(change, RESULT_PAUSE)
    elif answer.eim_package_error is not None:
        _refused(change, answer.eim_package_error)
    else:
        _wait(change, RESULT_PAUSE)
    return change.decision(b"")


def unanswered(eim: Eim, facts: Facts, sent: bytes, context: Context) -> Decision:
    """`sent` may have arrived: a package is not pushed again before its result had time to come."""
    if facts.device is None:
        return Decision(reply=b"")
    change = Change(eim, facts, context, facts.device)
    if not _acknowledges(sent):
        _wait(change, RESULT_PAUSE)
    return change.decision(b"")


def _acknowledges(sent: bytes) -> bool:
    return sent[read_tlv(sent).content :].startswith(b"\xbf\x53")


def _result_in(answer: TransferEimPackageResponse) -> EimPackageResult | None:
    match answer.value:
        case EuiccPackageResult() as result:
            return EimPackageResult(euicc_package_result=result)
        case TransferredEprAndNotifications(euicc_package_result=result, notification_list=pending):
            both = EprAndNotifications(euicc_package_result=result, notification_list=pending)
            return EimPackageResult(epr_and_notifications=both)
        case IpaEuiccDataResponse() as data:
            return EimPackageResult(ipa_euicc_data_response=data)
    return None


def _wait(change: Change, pause: timedelta) -> None:
    """An offer that is still there is not pushed again at once."""
    offer = change.device.offer
    if offer is not None:
        change.set(offer=msgspec.structs.replace(offer, awaited_until=change.now + pause))


def _refused(change: Change, error: TransferEimPackageError) -> None:
    offer = change.device.offer
    if offer is None:
        return
    if error not in _NEVER and not _is_hopeless(offer):
        _wait(change, BUSY_PAUSE)
        return
    told = EimPackageResultResponseError(
        eim_transaction_id=offer.transaction_id,
        eim_package_result_error_code=EimPackageResultErrorCode(int(error)),
    )
    refusal.take(change, told)


def _is_hopeless(offer: Offer) -> bool:
    return offer.kind is not Kind.PACKAGE and offer.times >= UNSIGNED_TRIES
