"""At the new eIM: a device out of a bundle, its first verified result, and the end of the old eIM's entry.

Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from keim.crypto.ecdsa import VerifyingKey
from keim.crypto.suites import suite_of_curve
from keim.eim import orders
from keim.eim.chores import with_chores
from keim.eim.compose import package_of
from keim.eim.events import DeviceEnrolled, HandoverMoved
from keim.eim.handover.papers import BundleHeader, BundleLine, ReceiptLine
from keim.eim.handover.proofs import key_of as entry_key
from keim.eim.handover.proofs import prove_added
from keim.eim.handover.rows import Arrival, Arrived, Guest, Remover
from keim.eim.picture import Effect, EimsListed, Learned, Picture, PictureDoubted, ProfilesListed, all_applied
from keim.eim.rows import Chore, Device, DeviceState, Knowledge, Operation, State
from keim.eim.settings import Eim
from keim.eim.work import PackageWork
from keim.errors import Refused
from keim.ids import Eid
from keim.messages.package import DeleteEimEco, Eco, EimConfigurationData
from keim.pki import Curve

_NOTHING_DONE: Final = frozenset({State.FAILED, State.CANCELLED, State.EXPIRED, State.SUPERSEDED})


class Admitted(msgspec.Struct, frozen=True):
    device: Device
    knowledge: Knowledge
    event: DeviceEnrolled


def admitted(
    eim: Eim,
    guest: Guest,
    line: BundleLine,
    *,
    known: Picture | None,
    now: datetime,
    is_rehearsal: bool = False,
) -> Admitted:
    """The device as we shall know it: certificates under a CI of ours, token by the eUICC's own word.

    One that was handed away from here earlier, and is archived, comes back.
    """
    if known is not None and (
        known.device.state is not DeviceState.ARCHIVED or known.device.tenant != guest.tenant
    ):
        raise Refused(f"{line.eid} is known here already", code="handover.device_known")
    if line.counter != guest.counter:
        raise Refused(f"{line.eid}: its counter does not begin where we said", code="handover.bad_line")
    device, knowledge, event = orders.enrol(
        eim,
        Eid(line.eid),
        now=now,
        token=line.token,
        counter=line.counter,
        certificates=(line.euicc_certificate, line.eum_certificate),
        tenant=guest.tenant,
        signer=signer_name(eim, EimConfigurationData.decode(guest.invitation.entry)),
        tags=line.tags if known is None else (),
        actor=guest.actor,
    )
    assert knowledge is not None  # there are certificates
    if not is_rehearsal:
        prove_added(line.proof, key_of(device), line.proof_token, line.token)
    told: list[Effect] = [PictureDoubted()]
    if line.profiles:
        told.insert(0, ProfilesListed(profiles=line.profiles))
    if line.eims:
        told.append(EimsListed(eims=line.eims))
    told.append(
        Learned(
            info1=line.info1,
            info2=line.info2,
            device_info=line.device_info,
            features=line.features,
            protocols=line.protocols,
            default_smdp_address=line.default_smdp_address,
            root_smds_address=line.root_smds_address,
        )
    )
    device, knowledge = all_applied(Picture(device, knowledge), told, now)
    device = with_chores(device, Chore.LIST_EIMS, Chore.LIST_PROFILES)
    if known is not None:
        device = msgspec.structs.replace(
            device, version=known.device.version + 1, mass_cursor=known.device.mass_cursor,
            chores_made=known.device.chores_made,
        )  # fmt: skip
        knowledge = msgspec.structs.replace(knowledge, version=known.knowledge.version + 1)
    event = msgspec.structs.replace(event, how="handed_over", effects=(*event.effects, *told))
    return Admitted(device, knowledge, event)


def signer_name(eim: Eim, entry: EimConfigurationData) -> str:
    """The key of ours that an entry names: an eUICC that has it knows no other."""
    point = entry_key(entry).point
    for name, signer in eim.signers.items():
        if signer.public_point == point:
            return name
    raise Refused("the key of this invitation is not here (any more)", code="handover.bad_invitation")


def key_of(device: Device) -> VerifyingKey:
    assert device.point is not None  # enrolled with its certificates
    return suite_of_curve(Curve(device.curve).domain).verifying_key(device.point)


def arrival(header: BundleHeader, line: BundleLine, now: datetime) -> Arrival:
    return Arrival(
        invitation=header.invitation,
        bundle=header.id,
        eid=line.eid,
        step=Arrived.RECEIVED,
        at=now,
        remover=header.remover,
        old_eim_id=header.sender,
    )


def after_contact(found: Arrival, device: Device, contact: bytes | None, now: datetime) -> Arrival:
    """`contact`: the first result of ours that we verified; its token is proved with it."""
    if found.step is not Arrived.RECEIVED or not device.is_token_proved or contact is None:
        return found
    step = Arrived.PROVED if found.remover is Remover.NEW else Arrived.DONE
    return _moved(found, step, now, contact=contact)


def order_reference(found: Arrival) -> str:
    return f"handover:{found.invitation}:{found.eid}:delete:{found.attempt}"


def removing(found: Arrival) -> PackageWork:
    return package_of([Eco(delete_eim=DeleteEimEco(eim_id=found.old_eim_id))])


def ordered(found: Arrival, order: int, now: datetime) -> Arrival:
    return _moved(found, Arrived.REMOVING, now, order=order)


def after_removing(
    found: Arrival, operation: Operation, package: bytes | None, removal: bytes | None, now: datetime
) -> Arrival:
    """A refusal is tried anew: the old eIM must go, and it may have gone already (eimNotFound)."""
    is_gone = any("eim_not_found" in told for told in operation.outcome)
    if (operation.state is State.SUCCEEDED or is_gone) and package is not None and removal is not None:
        return _moved(found, Arrived.DONE, now, package=package, removal=removal, why=())
    if operation.state in _NOTHING_DONE and not is_gone:
        return _moved(
            found, Arrived.PROVED, now, attempt=found.attempt + 1, order=None, why=operation.outcome
        )
    return found


def receipt_line(found: Arrival) -> ReceiptLine:
    step = Arrived.PROVED if found.step is Arrived.REMOVING else found.step
    return ReceiptLine(
        eid=found.eid, step=step, contact=found.contact, package=found.package, removal=found.removal
    )


def moved_event(found: Arrival, *, actor: str = "") -> HandoverMoved:
    """For the log: where the device stands now."""
    return HandoverMoved(
        at=found.at,
        eid=found.eid,
        actor=actor,
        reference=found.invitation,
        step=found.step.value,
        peer=found.old_eim_id,
        why=found.why,
    )


def _moved(found: Arrival, step: Arrived, now: datetime, **members: object) -> Arrival:
    return msgspec.structs.replace(found, step=step, at=now, version=found.version + 1, **members)
