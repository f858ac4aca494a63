"""At the old eIM: from the checks to the eUICC's word that our entry is gone, one device at a time.

Every function takes what is stored and gives the row as it becomes; an unchanged row means: nothing new.
Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from keim.crypto.ecdsa import VerifyingKey
from keim.eim.compose import package_of
from keim.eim.events import HandoverMoved
from keim.eim.handover.checks import Findings
from keim.eim.handover.papers import BundleLine, ReceiptLine
from keim.eim.handover.proofs import added_in, prove_contact, prove_removal, signed_result
from keim.eim.handover.rows import Arrived, Handover, Leaving, Remover, Step
from keim.eim.rows import Device, Knowledge, Operation, State
from keim.eim.work import PackageWork
from keim.errors import KeimError
from keim.messages.package import DeleteEimEco, Eco, EimConfigurationData

_NOTHING_DONE: Final = frozenset({State.FAILED, State.CANCELLED, State.EXPIRED, State.SUPERSEDED})


def entry_of(handover: Handover) -> EimConfigurationData:
    return EimConfigurationData.decode(handover.invitation.entry)


def planned(handover: str, eid: str, findings: Findings, now: datetime) -> Leaving:
    step = Step.BLOCKED if findings.blocks else Step.PLANNED
    return Leaving(handover=handover, eid=eid, step=step, at=now, why=(*findings.blocks, *findings.warnings))


def looked_at(leaving: Leaving, findings: Findings, now: datetime) -> Leaving:
    """The checks once more, of a device for which nothing was ordered yet."""
    found = planned(leaving.handover, leaving.eid, findings, now)
    if (found.step, found.why) == (leaving.step, leaving.why):
        return leaving
    return _moved(leaving, found.step, now, why=found.why)


def order_reference(leaving: Leaving, what: str) -> str:
    """The same work again has the same name, so that it is ordered once."""
    return f"handover:{leaving.handover}:{leaving.eid}:{what}:{leaving.attempt}"


def adding(handover: Handover, leaving: Leaving, knowledge: Knowledge | None) -> PackageWork:
    """addEim; an entry whose token was lost on its way is deleted first."""
    entry = entry_of(handover)
    add = Eco(add_eim=entry)
    is_there = leaving.attempt > 0 and knowledge is not None and entry.eim_id in knowledge.eims
    if is_there:
        return package_of([Eco(delete_eim=DeleteEimEco(eim_id=entry.eim_id)), add])
    return package_of([add])


def ordered(leaving: Leaving, order: int, now: datetime) -> Leaving:
    step = Step.REMOVING if leaving.step is Step.PROVED else Step.ADDING
    return _moved(leaving, step, now, order=order)


def retried(leaving: Leaving, now: datetime) -> Leaving:
    """From a failure back to where it began; an order gets another name, a bundle another number."""
    if leaving.step is not Step.FAILED:
        return leaving
    step = _AGAIN.get(leaving.failed_at or Step.PLANNED, Step.PLANNED)
    bundle = leaving.bundle if step is Step.PROVED else None
    return _moved(
        leaving, step, now, attempt=leaving.attempt + 1, order=None, bundle=bundle, failed_at=None, why=()
    )


_AGAIN: Final = {Step.SENT: Step.ADDED, Step.RECEIVED: Step.ADDED, Step.REMOVING: Step.PROVED}


def _failed(leaving: Leaving, now: datetime, why: tuple[str, ...], **members: object) -> Leaving:
    return _moved(leaving, Step.FAILED, now, failed_at=leaving.step, why=why, **members)


def after_adding(
    leaving: Leaving,
    operation: Operation,
    result: bytes | None,
    *,
    device: Device,
    key: VerifyingKey,
    now: datetime,
) -> Leaving:
    """`result`: what the eUICC signed, where it is kept. An unknown outcome waits for its own end."""
    if operation.state in _NOTHING_DONE:
        return _failed(leaving, now, operation.outcome)
    if operation.state is not State.SUCCEEDED or result is None:
        return leaving
    try:
        added = added_in(signed_result(result, key, device.token))
    except KeimError as error:
        return _failed(leaving, now, (f"{error.code}: {error}",))
    if added is None:
        return _failed(leaving, now, operation.outcome)
    return _moved(leaving, Step.ADDED, now, token=added.token, proof=result, why=())


def withdrawn(leaving: Leaving, now: datetime) -> Leaving:
    """Its order was cancelled or expired before the device got it."""
    return _failed(leaving, now, ("the order was withdrawn",))


def line_for(
    handover: Handover, leaving: Leaving, device: Device, knowledge: Knowledge, tags: tuple[str, ...] = ()
) -> BundleLine:
    """What the new eIM is told; before addEim (a rehearsal) without token and proof."""
    assert knowledge.euicc_certificate is not None  # the checks saw to it
    assert knowledge.eum_certificate is not None
    return BundleLine(
        eid=leaving.eid,
        token=leaving.token,
        counter=entry_of(handover).counter_value or 0,
        euicc_certificate=knowledge.euicc_certificate,
        eum_certificate=knowledge.eum_certificate,
        proof=leaving.proof,
        proof_token=device.token,
        profiles=knowledge.profiles,
        profiles_at=knowledge.profiles_at,
        eims=knowledge.eims,
        info1=knowledge.info1,
        info2=knowledge.info2,
        device_info=knowledge.device_info,
        features=knowledge.features,
        protocols=knowledge.protocols,
        default_smdp_address=knowledge.default_smdp_address,
        root_smds_address=knowledge.root_smds_address,
        tags=tags,
    )


def bundled(leaving: Leaving, number: int, now: datetime) -> Leaving:
    return _moved(leaving, Step.SENT, now, bundle=number)


_AFTER: Final = {
    Arrived.RECEIVED: (Step.SENT,),
    Arrived.PROVED: (Step.SENT, Step.RECEIVED),
    Arrived.DONE: (Step.SENT, Step.RECEIVED, Step.PROVED),
}


def after_receipt(
    handover: Handover,
    leaving: Leaving,
    line: ReceiptLine,
    key: VerifyingKey,
    *,
    old_eim_id: str,
    digest: bytes,
    now: datetime,
) -> Leaving:
    """What a receipt says counts as far as the eUICC's own signatures in it prove it."""
    if line.step is None:
        is_open = leaving.step in (Step.SENT, Step.RECEIVED)
        return _failed(leaving, now, (line.why,), receipt=digest) if is_open else leaving
    if leaving.step not in _AFTER[line.step]:
        return leaving
    entry = entry_of(handover)
    step = Step.RECEIVED
    if line.step is not Arrived.RECEIVED:
        prove_contact(line.contact, key, leaving.token, entry.eim_id)
        step = Step.PROVED
    if line.step is Arrived.DONE and handover.remover is Remover.NEW:
        prove_removal(line.package, line.removal, key, leaving.token, entry, old_eim_id=old_eim_id)
        step = Step.LEFT
    return leaving if step is leaving.step else _moved(leaving, step, now, receipt=digest, why=())


def removing(old_eim_id: str) -> PackageWork:
    """deleteEim of ourselves, which is said explicitly: the new eIM has proved itself."""
    delete = Eco(delete_eim=DeleteEimEco(eim_id=old_eim_id))
    return package_of([delete], own_eim_id=old_eim_id, may_delete_own=True)


def after_removing(leaving: Leaving, operation: Operation, now: datetime) -> Leaving:
    if operation.state in _NOTHING_DONE:
        return _failed(leaving, now, operation.outcome)
    return _moved(leaving, Step.LEFT, now, why=()) if operation.state is State.SUCCEEDED else leaving


def moved_event(handover: Handover, leaving: Leaving, *, actor: str = "") -> HandoverMoved:
    """For the log: where the device stands now."""
    return HandoverMoved(
        at=leaving.at,
        eid=leaving.eid,
        actor=actor,
        reference=handover.reference,
        step=leaving.step.value,
        peer=handover.invitation.eim_id,
        why=leaving.why,
        digest=leaving.receipt,
    )


def _moved(leaving: Leaving, step: Step, now: datetime, **members: object) -> Leaving:
    return msgspec.structs.replace(leaving, step=step, at=now, version=leaving.version + 1, **members)
