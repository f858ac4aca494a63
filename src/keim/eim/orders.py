"""The operator's side: letting devices in, ordering, cancelling. Pure; imports floor 0 and keim.eim only."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from keim.eim.asks import words_of
from keim.eim.events import (
    DeviceChanged,
    DeviceEnrolled,
    OrderApproved,
    OrderCancelled,
    OrderExpired,
    OrderPlaced,
    OrderReleased,
    OrderSuperseded,
)
from keim.eim.facts import OrderMove
from keim.eim.picture import KeyProved
from keim.eim.rows import MAIN, Device, DeviceState, Knowledge, Order, OrderState, Retry, State, Switches
from keim.eim.settings import COUNTER_MAXIMUM, Eim
from keim.eim.work import DataWork, DownloadWork, PackageWork, Work
from keim.errors import Refused, Untrusted
from keim.ids import Eid
from keim.pki import Certificate, Role

KINDS = {PackageWork: "package", DataWork: "data", DownloadWork: "download"}
MOST_ATTEMPTS: Final = 100
LONGEST_PAUSE_S: Final = 30 * 86400
LONGEST_TAG: Final = 100
MOST_TAGS: Final = 50
_TAG: Final = re.compile(rf"[\w.:/@+=-]{{1,{LONGEST_TAG}}}")
_TRIED_AGAIN: Final = (State.FAILED.value, State.ROLLED_BACK.value)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How an order is to be carried out, and for whom."""

    actor: str = ""
    reason: str = ""
    not_before: datetime | None = None
    needs_approval: bool = False
    expires_at: datetime | None = None
    supersedes: str = ""
    """The reference of the order whose place it takes."""
    retry: Retry | None = None


DEFAULT: Final = Terms()
"""At once, until it is done, in nobody's name."""


def enrol(
    eim: Eim,
    eid: Eid,
    *,
    now: datetime,
    token: int | None = None,
    counter: int = 0,
    certificates: tuple[bytes, bytes] | None = None,
    switches: Switches | None = None,
    signer: str = "",
    tenant: str = MAIN,
    tags: tuple[str, ...] = (),
    actor: str = "",
) -> tuple[Device, Knowledge | None, DeviceEnrolled]:
    """A device as its maker announces it: token, starting counter, (CERT.EUICC, CERT.EUM) where known."""
    if not 0 <= counter <= COUNTER_MAXIMUM:
        raise Refused(f"a counter lies between 0 and {COUNTER_MAXIMUM}", code="eim.bad_order")
    if signer and signer not in eim.signers:
        raise Refused(f"this eIM has no key {signer}", code="eim.bad_order")
    device = Device(
        eid=str(eid),
        enrolled_at=now,
        tenant=tenant,
        token=token,
        counter=counter,
        switches=switches,
        signer=signer or eim.signer_of_new(),
    )
    knowledge = None
    if certificates is not None:
        leaf = _proved(eim, eid, certificates, now)
        assert leaf.curve is not None  # the chain's check refuses other keys
        device = msgspec.structs.replace(device, point=leaf.point, curve=leaf.curve.value)
        knowledge = Knowledge(
            eid=device.eid, euicc_certificate=certificates[0], eum_certificate=certificates[1]
        )
    event = DeviceEnrolled(
        at=now,
        eid=device.eid,
        actor=actor,
        how="registered",
        token=token,
        counter=counter,
        signer=device.signer,
        tags=checked_tags(tags),
        effects=()
        if device.point is None
        else (KeyProved(point=device.point, curve=device.curve, is_proved=True),),
    )
    return device, knowledge, event


@lru_cache(maxsize=4096)
def checked_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Sorted, each once. Remembered: a fleet has few sets of tags, and an import asks for each device."""
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise Refused(
                f"{tag[:80]!r} is no tag: 1 to {LONGEST_TAG} letters, digits and . _ : / @ + - =,"
                " such as site=berlin",
                code="eim.bad_tag",
            )
    if len(set(tags)) > MOST_TAGS:
        raise Refused(f"a device has at most {MOST_TAGS} tags", code="eim.bad_tag")
    return tuple(sorted(set(tags)))


def _proved(eim: Eim, eid: Eid, certificates: tuple[bytes, bytes], now: datetime) -> Certificate:
    euicc, eum = certificates
    found = eim.chains.validate(
        euicc, [eum, *eim.intermediates], eim.trust, role=Role.EUICC, now=now, crls=eim.revocations
    )
    if not found.ok:
        raise found.refusal("eUICC")
    if found.leaf.names.serial_number != str(eid):
        raise Untrusted("the certificate is of another eUICC", code="eim.certificate_of_another")
    return found.leaf


def order(
    work: Work,
    *,
    reference: str,
    now: datetime,
    eid: Eid | None = None,
    tenant: str = MAIN,
    terms: Terms = DEFAULT,
    devices: int = 1,
) -> tuple[Order, OrderPlaced]:
    """For one device (`eid`), or for the frozen selection under `reference`."""
    if not reference or len(reference) > 200:
        raise Refused("an order's reference has 1 to 200 characters", code="eim.bad_order")
    _check_terms(terms, now)
    made = Order(
        reference=reference,
        work=work,
        ordered_at=now,
        eid=None if eid is None else str(eid),
        tenant=tenant,
        actor=terms.actor,
        reason=terms.reason,
        not_before=terms.not_before,
        needs_approval=terms.needs_approval,
        expires_at=terms.expires_at,
        supersedes=terms.supersedes,
        retry=terms.retry,
        devices=devices,
    )
    event = OrderPlaced(
        at=now,
        eid=made.eid,
        reference=reference,
        actor=terms.actor,
        reason=terms.reason,
        kind=KINDS[type(work)],
        devices=devices,
        what=words_of(work),
        not_before=terms.not_before,
        expires_at=terms.expires_at,
        supersedes=terms.supersedes,
        needs_approval=terms.needs_approval,
    )
    return made, event


def _check_terms(terms: Terms, now: datetime) -> None:
    if terms.expires_at is not None and terms.expires_at <= now:
        raise Refused("the order would expire before it is placed", code="eim.bad_order")
    if terms.not_before is not None and terms.expires_at is not None and terms.expires_at <= terms.not_before:
        raise Refused("the order would expire before its time comes", code="eim.bad_order")
    retry = terms.retry
    if retry is None:
        return
    if not 1 <= retry.times <= MOST_ATTEMPTS or not 0 <= retry.pause_s <= LONGEST_PAUSE_S:
        raise Refused(
            f"an order is tried 1 to {MOST_ATTEMPTS} times, with pauses of at most 30 days",
            code="eim.bad_order",
        )
    for word in retry.after:
        if word not in _TRIED_AGAIN and ": " not in word:
            raise Refused(
                f"{word!r} is neither failed or rolled_back nor an outcome such as 'enable: cat_busy'",
                code="eim.bad_order",
            )


def state_at_first(order: Order, now: datetime) -> OrderState:
    is_early = order.not_before is not None and now < order.not_before
    return OrderState.PLANNED if order.needs_approval or is_early else OrderState.ACTIVE


def approved(order: Order, *, now: datetime, actor: str, reason: str = "") -> tuple[Order, OrderApproved]:
    """By a person; from now on the clock alone holds it."""
    event = OrderApproved(
        at=now, eid=order.eid, order=order.id, reference=order.reference, actor=actor, reason=reason
    )
    return msgspec.structs.replace(order, needs_approval=False), event


def released(order: Order, *, now: datetime) -> OrderReleased:
    return OrderReleased(at=now, eid=order.eid, reference=order.reference)


def expired(order: Order, *, now: datetime) -> OrderExpired:
    return OrderExpired(at=now, eid=order.eid, order=order.id, reference=order.reference)


def cancelled(order: Order, *, now: datetime, actor: str, is_sure: bool, reason: str = "") -> OrderCancelled:
    return OrderCancelled(
        at=now,
        eid=order.eid,
        order=order.id,
        reference=order.reference,
        actor=actor,
        reason=reason,
        is_sure=is_sure,
    )


def superseded(
    old: Order, old_state: OrderState, new: Order, *, now: datetime, has_been_given: bool
) -> tuple[OrderMove | None, OrderSuperseded]:
    """The new order takes the old one's place; a device that has the old one keeps it."""
    if (old.tenant, old.eid) != (new.tenant, new.eid):
        raise Refused(f"{old.reference!r} is of other devices", code="eim.bad_order")
    is_waiting = old_state in (OrderState.ACTIVE, OrderState.PLANNED)
    is_withdrawn = is_waiting or old_state is OrderState.TAKEN
    move = OrderMove(old.id, old_state, OrderState.SUPERSEDED) if is_withdrawn else None
    event = OrderSuperseded(
        at=now,
        eid=old.eid,
        order=old.id,
        actor=new.actor,
        reason=new.reason,
        reference=old.reference,
        by=new.reference,
        is_sure=is_waiting and not has_been_given,
    )
    return move, event


def changed(
    device: Device,
    *,
    now: datetime,
    actor: str = "",
    state: DeviceState | None = None,
    switches: Switches | None = None,
    clears_alarm: bool = False,
    tags: tuple[str, ...] | None = None,
    reason: str = "",
) -> tuple[Device, DeviceChanged]:
    """By an operator: let in or archived, other switches or tags, an alarm that was seen."""
    members: dict[str, object] = {"version": device.version + 1}
    what = []
    if state is not None:
        members["state"] = state
        what.append(f"state {state.value}")
    if switches is not None:
        members["switches"] = switches
        what.append("verification switched off" if not switches.verifies else "switches")
    if clears_alarm:
        members["alarm"] = ""
        what.append("alarm seen")
    if tags is not None:
        tags = checked_tags(tags)
        what.append("tags")
    event = DeviceChanged(
        at=now,
        eid=device.eid,
        what=", ".join(what),
        actor=actor,
        reason=reason,
        state=state,
        tags=tags,
        clears_alarm=clears_alarm,
    )
    return msgspec.structs.replace(device, **members), event
