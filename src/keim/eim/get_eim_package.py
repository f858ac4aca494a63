"""GetEimPackage (SGP.32 §5.14.5, procedures §4.2): what this device gets now.

Strict FIFO, at most one outstanding package, the same octets until a result, an expiry or the cap. Third
parties are never asked here. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from keim.deciding import Deciding
from keim.der import tlv
from keim.eim import enrolment
from keim.eim.change import Change
from keim.eim.conclusion import conclude, leave_in_doubt, settled
from keim.eim.events import (
    DeviceChanged,
    DeviceEnrolled,
    NetworkSeen,
    PackageDelivered,
    PackageExpired,
    PackageStuck,
    StateChangeReported,
)
from keim.eim.evidence import signer_of
from keim.eim.facts import Context, Decision, Facts, Next, Wanted
from keim.eim.offers import CHORES, make_offer
from keim.eim.operations import operation_of
from keim.eim.rows import Chore, Device, DeviceState, Kind, Offer, Retry, State
from keim.eim.settings import Eim
from keim.eim.words import name_of
from keim.eim.work import Work
from keim.errors import Malformed, Refused
from keim.ids import Eid, Plmn
from keim.messages.esipa import GetEimPackageError, GetEimPackageRequest, StateChangeCause

NOTHING: Final = tlv(0xBF4F, b"\x02\x01\x01")


def _error(code: GetEimPackageError) -> bytes:
    return tlv(0xBF4F, tlv(0x02, bytes((code,))))


_NOT_FOUND: Final = _error(GetEimPackageError.EID_NOT_FOUND)
_INVALID: Final = _error(GetEimPackageError.INVALID_EID)

KEY_IS_MISSING: Final = "this eUICC knows a key of this eIM that this eIM does not have"

CHORES_OF_CAUSE: Final = {
    StateChangeCause.OTHER_EIM: (Chore.LIST_PROFILES, Chore.LIST_EIMS),
    StateChangeCause.DEVICE_CHANGE: (Chore.LEARN, Chore.LIST_PROFILES),
}
"""What a cause asks for beyond the list of profiles (procedures §17)."""


def wanted(request: GetEimPackageRequest) -> Wanted:
    return Wanted(eid=request.eid_value.hex(), with_next=True)


def decide(eim: Eim, facts: Facts, request: GetEimPackageRequest, context: Context) -> Deciding[Decision]:
    device = facts.device
    is_new = device is None
    enrolled: DeviceEnrolled | None = None
    if device is None:
        try:
            eid = Eid.from_octets(request.eid_value)
        except Malformed:
            return Decision(reply=_INVALID)
        found = enrolment.at_first_call(eim, eid, facts.quarantined, context)
        if found is None:
            return Decision(reply=_NOT_FOUND)
        device, enrolled = found
    elif device.state is not DeviceState.ACTIVE:
        return Decision(reply=_NOT_FOUND)
    change = Change(eim, facts, context, device, is_new=is_new)
    if enrolled is not None:
        change.events.append(enrolled)
        if device.state is not DeviceState.ACTIVE:
            return change.decision(_NOT_FOUND)
    if request.notify_state_change or request.rplmn is not None:
        _hear(change, request)
    return change.decision((yield from choose(change)))


def _hear(change: Change, request: GetEimPackageRequest) -> None:
    """State changes and the network are noted before anything is handed out."""
    if request.rplmn is not None:
        try:
            plmn = str(Plmn.from_octets(request.rplmn))
        except (Malformed, Refused):
            plmn = request.rplmn.hex()
        if plmn != change.device.plmn:
            change.set(plmn=plmn)
            change.events.append(NetworkSeen(at=change.now, eid=change.eid, plmn=plmn))
    if not request.notify_state_change:
        return
    told = request.state_change_cause
    cause = StateChangeCause.UNDEFINED if told is None else told
    change.doubt()
    change.events.append(StateChangeReported(at=change.now, eid=change.eid, cause=name_of(cause)))
    change.want(*CHORES_OF_CAUSE.get(cause, (Chore.LIST_PROFILES,)))


def choose(change: Change) -> Deciding[bytes]:
    """The answer (BF4F): the outstanding package, else a chore, else the next order, else nothing."""
    offer = change.device.offer
    if offer is not None:
        if offer.not_before is not None and change.now < offer.not_before:
            return NOTHING
        if offer.expires_at is not None and change.now >= offer.expires_at:
            _expire(change, offer)
        elif _is_stuck(change, offer):
            _give_up(change, offer)
        else:
            return _again(change, offer)
    if not _has_key(change):
        return NOTHING
    device = change.device
    chores = device.chores
    if device.point is None and change.eim.rules.learns_first and not device.has_been_asked:
        chores = (Chore.LEARN, *(chore for chore in chores if chore is not Chore.LEARN))
    if chores and change.eim.switches_of(device).asks:
        return (yield from _hand_out_chore(change, chores))
    for candidate in change.facts.next:
        expires_at = candidate.order.expires_at
        if expires_at is None or change.now < expires_at:
            if is_paused(device, candidate, change.now):
                return NOTHING
            return (yield from _hand_out_order(change, candidate))
        change.order_expired(candidate.order.id, is_mass=candidate.is_mass)
        change.events.append(
            PackageExpired(at=change.now, eid=change.eid, order=candidate.order.id, was_delivered=False)
        )
    return NOTHING


def is_paused(device: Device, candidate: Next, now: datetime) -> bool:
    """Whether the order that comes next is tried again later; what follows it waits behind it."""
    pause = device.pause
    return pause is not None and pause.order == candidate.order.id and now < pause.until


def _has_key(change: Change) -> bool:
    """A package with another key than the one that the eUICC knows would only be refused."""
    device = change.device
    if change.eim.has_key_of(device):
        if device.alarm == KEY_IS_MISSING:
            change.set(alarm="")
            seen = DeviceChanged(at=change.now, eid=change.eid, what="its key is here", clears_alarm=True)
            change.events.append(seen)
        return True
    if device.alarm != KEY_IS_MISSING:
        change.alarm(KEY_IS_MISSING)
    return False


# the outstanding package


def _expire(change: Change, offer: Offer) -> None:
    """What was handed out cannot be called back: look at the device before anything else."""
    row = conclude(change, offer, State.EXPIRED, ("expired",))
    leave_in_doubt(change, offer, row)
    change.events.append(PackageExpired(at=change.now, eid=change.eid, order=offer.order, was_delivered=True))


def _is_stuck(change: Change, offer: Offer) -> bool:
    switches = change.eim.switches_of(change.device)
    if offer.times >= switches.offers:
        return True
    return _is_same_connection(change, offer) and offer.on_connection >= switches.offers_on_connection


def _is_same_connection(change: Change, offer: Offer) -> bool:
    return change.context.connection != "" and offer.connection == change.context.connection


def _give_up(change: Change, offer: Offer) -> None:
    row = conclude(change, offer, State.UNKNOWN, ("stuck",))
    leave_in_doubt(change, offer, row)
    change.events.append(PackageStuck(at=change.now, eid=change.eid, order=offer.order, offers=offer.times))
    change.alarm("a package was handed out again and again without a result")


def _again(change: Change, offer: Offer) -> bytes:
    on_connection = offer.on_connection + 1 if _is_same_connection(change, offer) else 1
    change.set(
        offer=msgspec.structs.replace(
            offer,
            times=offer.times + 1,
            connection=change.context.connection,
            on_connection=on_connection,
            not_before=None,
        )
    )
    return tlv(0xBF4F, offer.octets)


# the next one


def _hand_out_chore(change: Change, chores: tuple[Chore, ...]) -> Deciding[bytes]:
    """Given up where it cannot be handed out: what was ordered may need no counter."""
    first, *rest = chores
    number = change.device.chores_made + 1
    change.set(chores=tuple(rest), chores_made=number)
    if first is Chore.LEARN:
        change.set(has_been_asked=True)
    return _hand_out(change, CHORES[first], order=-number, attempt=1, chore=first)


def _hand_out_order(change: Change, candidate: Next) -> Deciding[bytes]:
    order = candidate.order
    settled(change, order.id)
    return _hand_out(
        change,
        order.work,
        order=order.id,
        attempt=change.device.attempt + 1,
        is_mass=candidate.is_mass,
        reference=order.reference,
        retry=order.retry,
        expires_at=order.expires_at,
    )


def _hand_out(
    change: Change,
    work: Work,
    *,
    order: int,
    attempt: int,
    chore: Chore | None = None,
    is_mass: bool = False,
    reference: str = "",
    retry: Retry | None = None,
    expires_at: datetime | None = None,
) -> Deciding[bytes]:
    device = change.device
    try:
        offer = yield from make_offer(
            change.eim,
            device,
            work,
            change.context,
            order=order,
            attempt=attempt,
            chore=chore,
            is_mass=is_mass,
            retry=retry,
            expires_at=expires_at,
        )
    except Refused as refused:
        if refused.code != "eim.counter_exhausted":
            raise
        if device.alarm != refused.message:
            change.alarm(refused.message)
        return NOTHING
    counter = device.counter if offer.counter is None else offer.counter
    if chore is not None:
        change.set(offer=offer, counter=counter)
    else:
        change.set(offer=offer, counter=counter, attempt=attempt, pause=None)
        change.order_taken(order, is_mass=is_mass)
    made = operation_of(offer, device.eid, attempt=attempt)
    change.operation(made)
    delivered = PackageDelivered(
        at=change.now,
        eid=device.eid,
        order=order,
        kind=offer.kind.value,
        transaction_id=offer.transaction_id,
        digest=made.digest,
        counter=offer.counter,
        chore=None if chore is None else chore.value,
    )
    if offer.kind is Kind.PACKAGE:
        change.tell(
            delivered,
            package=offer.octets,
            token=offer.token,
            without_token=not change.eim.switches_of(device).covers_token,
            signer=signer_of(change.eim, device),
            operation=reference,
        )
    else:
        change.tell(delivered, operation=reference)
    return tlv(0xBF4F, offer.octets)
