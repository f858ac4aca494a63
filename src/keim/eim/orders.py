"""The operator's side: letting devices in, ordering, cancelling. Pure; imports floor 0 and keim.eim only."""

from __future__ import annotations

from datetime import datetime

import msgspec

from keim.eim.events import DeviceChanged, DeviceEnrolled, OrderCancelled, OrderPlaced
from keim.eim.rows import MAIN, Device, DeviceState, Knowledge, Order, Switches
from keim.eim.settings import COUNTER_MAXIMUM, Eim
from keim.eim.work import DataWork, DownloadWork, PackageWork, Work
from keim.errors import Refused, Untrusted
from keim.ids import Eid
from keim.pki import Certificate, Role

KINDS = {PackageWork: "package", DataWork: "data", DownloadWork: "download"}


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
        signer=signer,
    )
    knowledge = None
    if certificates is not None:
        leaf = _proved(eim, eid, certificates, now)
        assert leaf.curve is not None  # the chain's check refuses other keys
        device = msgspec.structs.replace(device, point=leaf.point, curve=leaf.curve.value)
        knowledge = Knowledge(
            eid=device.eid, euicc_certificate=certificates[0], eum_certificate=certificates[1]
        )
    return device, knowledge, DeviceEnrolled(at=now, eid=device.eid, how="registered")


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
    actor: str = "",
    expires_at: datetime | None = None,
    devices: int = 1,
) -> tuple[Order, OrderPlaced]:
    """For one device (`eid`), or for the frozen selection under `reference`."""
    if expires_at is not None and expires_at <= now:
        raise Refused("the order would expire before it is placed", code="eim.bad_order")
    if not reference or len(reference) > 200:
        raise Refused("an order's reference has 1 to 200 characters", code="eim.bad_order")
    made = Order(
        reference=reference,
        work=work,
        ordered_at=now,
        eid=None if eid is None else str(eid),
        tenant=tenant,
        actor=actor,
        expires_at=expires_at,
        devices=devices,
    )
    event = OrderPlaced(
        at=now,
        eid=made.eid,
        reference=reference,
        actor=actor,
        kind=KINDS[type(work)],
        devices=devices,
    )
    return made, event


def cancelled(order: Order, *, now: datetime, actor: str, is_sure: bool) -> OrderCancelled:
    return OrderCancelled(
        at=now, eid=order.eid, order=order.id, reference=order.reference, actor=actor, is_sure=is_sure
    )


def changed(
    device: Device,
    *,
    now: datetime,
    actor: str = "",
    state: DeviceState | None = None,
    switches: Switches | None = None,
    clears_alarm: bool = False,
) -> tuple[Device, DeviceChanged]:
    """By an operator: let in or archived, other switches, an alarm that was seen."""
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
    event = DeviceChanged(at=now, eid=device.eid, what=", ".join(what), actor=actor)
    return msgspec.structs.replace(device, **members), event
