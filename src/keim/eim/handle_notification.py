"""ESipa.HandleNotification: for an SM-DP+, or a result for this eIM itself (SGP.32 §5.14.7).

An answer makes the IPA delete what it sent, so one that is not believed is refused (HTTP 400) and stays in
the card (procedures §11.8, §16.2). Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

import msgspec

from keim.deciding import Deciding
from keim.eim import provide_eim_package_result as provide
from keim.eim.change import Change
from keim.eim.facts import Context, Decision, Facts, Wanted
from keim.eim.results import download, notifications
from keim.eim.results.verification import BY_SIGNATURE, SWITCHED_OFF
from keim.eim.rows import DeviceState
from keim.eim.settings import Eim
from keim.errors import KeimError
from keim.ids import Eid
from keim.messages.esipa import HandleNotificationEsipa
from keim.messages.notification import PendingNotification
from keim.pki import Certificate


def wanted(request: HandleNotificationEsipa) -> Wanted:
    if request.provide_eim_package_result is not None:
        return provide.wanted(request.provide_eim_package_result)
    match request.pending_notification:
        case PendingNotification(profile_installation_result=result) if result is not None:
            transaction_id = result.profile_installation_result_data.transaction_id
            return Wanted(relay=transaction_id, with_knowledge=True)
        case PendingNotification(compact_profile_installation_result=result) if result is not None:
            transaction_id = result.compact_profile_installation_result_data.transaction_id
            return Wanted(relay=transaction_id, with_knowledge=True)
        case PendingNotification(other_signed_notification=other) if other is not None:
            return Wanted(eid=_claimed_eid(other.euicc_certificate), with_knowledge=True)
        case PendingNotification(compact_other_signed_notification=other) if other is not None:
            eid = None if other.eid_value is None else other.eid_value.hex()
            return Wanted(eid=eid, with_knowledge=True)
    return Wanted()


def _claimed_eid(certificate: bytes) -> str | None:
    try:
        return str(Eid(Certificate(certificate).names.serial_number or ""))
    except KeimError:
        return None


def decide(eim: Eim, facts: Facts, request: HandleNotificationEsipa, context: Context) -> Deciding[Decision]:
    if request.provide_eim_package_result is not None:
        decided = yield from provide.decide(eim, facts, request.provide_eim_package_result, context)
        return msgspec.structs.replace(decided, reply=b"" if facts.device is not None else None)
    device = facts.device
    if device is None or device.state is DeviceState.QUARANTINED or request.pending_notification is None:
        return Decision(reply=None)
    change = Change(eim, facts, context, device)
    full = notifications.take(change, request.pending_notification)
    if full is None:
        return change.decision(None)
    relay, result = change.relay, full.profile_installation_result
    if result is not None and relay is not None:
        verification = BY_SIGNATURE if eim.switches_of(device).verifies else SWITCHED_OFF
        download.take_installation(change, result, None, verification, order=relay.order, is_told=True)
        change.relay = msgspec.structs.replace(
            relay, is_ended=True, keep_until=context.now + eim.rules.relay_result_lifetime
        )
    return change.decision(b"")
