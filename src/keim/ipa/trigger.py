"""A profile download trigger, from its parsing to the delivery of its result (procedures §11.2, §11.5).

Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from dataclasses import dataclass

from keim.errors import Refused
from keim.ipa.activation_code import ActivationCode
from keim.ipa.card import CARD_ERRORS
from keim.ipa.context import Ipa
from keim.ipa.direct import DirectServer
from keim.ipa.download import Installation, download
from keim.ipa.effects import Procedure
from keim.ipa.es10 import get_addresses
from keim.ipa.esipa import Retry
from keim.ipa.immediate_enable import try_immediate_enable
from keim.ipa.indirect import RelayedServer
from keim.ipa.initialise import read_eims
from keim.ipa.memory import DownloadNote, Undelivered
from keim.ipa.notifications import deliver_notification
from keim.ipa.result_delivery import deliver_remembered, deliver_unstored
from keim.ipa.rsp_server import FoundEvents, NextTrigger, Order, RspServer, Stop
from keim.ipa.smds import NOTHING_THERE, fetch_events
from keim.messages.download_trigger import (
    ProfileDownloadData,
    ProfileDownloadError,
    ProfileDownloadErrorReason,
    ProfileDownloadTriggerRequest,
    ProfileDownloadTriggerResult,
    ProfileDownloadTriggerResultData,
)
from keim.messages.esipa import EimPackageResult
from keim.messages.ipa_data import IpaFeatures
from keim.messages.notification import PendingNotification
from keim.messages.package import EimConfigurationData

DIRECT = IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION
INDIRECT = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
EIM_HANDLES_DATA = IpaFeatures.EIM_DOWNLOAD_DATA_HANDLING


@dataclass(frozen=True, slots=True)
class Target:
    """Where a trigger leads."""

    order: Order
    is_indirect: bool


def run_trigger(
    ipa: Ipa, entry: EimConfigurationData, trigger: ProfileDownloadTriggerRequest
) -> Procedure[None]:
    """Every trigger gets exactly one result, whatever happens on the way."""
    transaction_id = trigger.eim_transaction_id
    if ipa.memory.is_emergency_active:
        stop = Stop(
            "trigger", "the emergency profile is enabled", reason=ProfileDownloadErrorReason.ECALL_ACTIVE
        )
        yield from deliver_unstored(ipa, entry, error_result(transaction_id, stop))
        return
    yield from read_eims(ipa)  # the entry as it is now: addresses and its indirectProfileDownload flag
    entry = ipa.entry(entry.eim_id) or entry
    target = yield from resolve(ipa, entry, trigger)
    is_indirect = isinstance(target, Target) and target.is_indirect
    yield from ipa.remember(download=DownloadNote(entry.eim_id, transaction_id, None, is_indirect))
    if isinstance(target, Stop):
        yield from deliver_unstored(ipa, entry, error_result(transaction_id, target), drops_download=True)
        return
    server: RspServer
    server = RelayedServer(ipa, entry) if is_indirect else DirectServer(ipa, target.order.address or "")
    yield from _run(ipa, entry, server, target.order, ipa.configuration.smds_depth)


def resolve(
    ipa: Ipa, entry: EimConfigurationData, trigger: ProfileDownloadTriggerRequest
) -> Procedure[Target | Stop]:
    """Direct or indirect, and to whom (procedures §11.2)."""
    data = trigger.profile_download_data
    transaction_id = trigger.eim_transaction_id
    is_indirect = _is_indirect(ipa, entry, data)
    if is_indirect is None:
        return Stop("trigger", "the trigger needs a capability that this IPA lacks")
    if is_indirect and (data is None or ipa.configuration.has(EIM_HANDLES_DATA)):
        return Target(Order(None, eim_transaction_id=transaction_id), True)  # the eIM knows everything
    if data is None:
        return Stop("trigger", "the trigger names nothing to download")
    try:
        order = yield from _order(ipa, data, transaction_id)
    except Refused as refusal:
        return Stop("trigger", str(refusal))
    except CARD_ERRORS as failure:
        return Stop("trigger", str(failure))
    return Target(order, is_indirect)


def _is_indirect(ipa: Ipa, entry: EimConfigurationData, data: ProfileDownloadData | None) -> bool | None:
    can_direct, can_indirect = ipa.configuration.has(DIRECT), ipa.configuration.has(INDIRECT)
    if not can_direct:
        return True if can_indirect else None
    if not can_indirect:
        return None if data is None else False
    if data is None:
        return True
    return entry.indirect_profile_download and not ipa.configuration.is_direct_preferred


def _order(ipa: Ipa, data: ProfileDownloadData, transaction_id: bytes | None) -> Procedure[Order]:
    """Activation code, default SM-DP+, or SM-DS; `Refused` when there is no address."""
    if data.activation_code is not None:
        code = ActivationCode.parse(data.activation_code)
        return Order(code.address, code.matching_id, code.smdp_oid, transaction_id)
    if data.contact_smds is not None:
        address = data.contact_smds.smds_address
        if not address:
            address = (yield from get_addresses(ipa)).root_ds_address
    elif data.contact_default_smdp:
        address = (yield from get_addresses(ipa)).default_dp_address
    else:
        raise Refused("the trigger's kind is not known", code="ipa.unknown_trigger")
    if not address:
        raise Refused("the card has no address for this download", code="ipa.no_server_address")
    return Order(address, "", None, transaction_id)


def _run(
    ipa: Ipa, entry: EimConfigurationData, server: RspServer, order: Order, depth: int
) -> Procedure[None]:
    """One download, and what an SM-DS leads to."""
    outcome = yield from download(ipa, server, order)
    match outcome:
        case Installation():
            yield from conclude(ipa, entry, order.eim_transaction_id, outcome)
        case NextTrigger(trigger=ProfileDownloadTriggerRequest() as following) if depth > 0:
            yield from _follow(ipa, entry, following, order, depth)
        case FoundEvents(events=events) if events and depth > 0:
            found = yield from fetch_events(ipa, events, order.eim_transaction_id, depth)
            if isinstance(found, Installation):
                yield from conclude(ipa, entry, order.eim_transaction_id, found)
            else:
                yield from _give_up(ipa, entry, order, found)
        case Stop():
            yield from _give_up(ipa, entry, order, outcome)
        case _:
            yield from _give_up(ipa, entry, order, NOTHING_THERE)


def _follow(
    ipa: Ipa, entry: EimConfigurationData, trigger: ProfileDownloadTriggerRequest, order: Order, depth: int
) -> Procedure[None]:
    """§13.3 step 6: the eIM's next trigger starts at once; its eimTransactionId counts, if it has one."""
    if trigger.eim_transaction_id is None:
        trigger = trigger.replace(eim_transaction_id=order.eim_transaction_id)
    target = yield from resolve(ipa, entry, trigger)
    if isinstance(target, Stop):
        yield from _give_up(ipa, entry, order, target)
        return
    note = DownloadNote(entry.eim_id, trigger.eim_transaction_id, None, True)
    yield from ipa.remember(download=note)
    yield from _run(ipa, entry, RelayedServer(ipa, entry), target.order, depth - 1)


def conclude(
    ipa: Ipa, entry: EimConfigurationData, transaction_id: bytes | None, installation: Installation
) -> Procedure[None]:
    """§11.5 steps 12 to 16. The trigger's result is safe before the card's copy is removed."""
    result = ProfileDownloadTriggerResult(
        eim_transaction_id=transaction_id,
        profile_download_trigger_result_data=ProfileDownloadTriggerResultData(
            profile_installation_result=installation.result
        ),
    )
    owed = EimPackageResult(profile_download_trigger_result=result)
    item = Undelivered(entry.eim_id, owed.encode())
    yield from ipa.remember(undelivered=(*ipa.memory.undelivered, item), download=None)
    if installation.is_success:
        yield from try_immediate_enable(ipa)  # 12
    notification = PendingNotification(profile_installation_result=installation.result)
    yield from deliver_notification(ipa, notification)  # 13, 14; what fails is retried by every cycle
    yield from deliver_remembered(ipa, item, Retry.usual(ipa))  # 16


def _give_up(ipa: Ipa, entry: EimConfigurationData, order: Order, stop: Stop) -> Procedure[None]:
    result = error_result(order.eim_transaction_id, stop)
    yield from deliver_unstored(ipa, entry, result, drops_download=True)


def error_result(transaction_id: bytes | None, stop: Stop) -> EimPackageResult:
    """A download that ended before there was an installation result."""
    error = ProfileDownloadError(
        profile_download_error_reason=stop.reason, error_response=stop.error_response
    )
    return EimPackageResult(
        profile_download_trigger_result=ProfileDownloadTriggerResult(
            eim_transaction_id=transaction_id,
            profile_download_trigger_result_data=ProfileDownloadTriggerResultData(
                profile_download_error=error
            ),
        )
    )
