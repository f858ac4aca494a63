"""The twin of a device in three layers: what is asked of it, what is believed, what its eUICC has proved.

Each layer is a picture of its profiles; where they differ, that is told. `twin_of` makes it from the rows of
today as from those of a past instant (`keim.eim.past`). Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from keim.eim.asks import effects_asked, may_roll_back, words_of
from keim.eim.picture import Picture, all_applied
from keim.eim.rows import Contact, Device, DeviceState, Knowledge, Order, ProfileImage, State
from keim.eim.twin_views import (
    Capabilities,
    EimView,
    Freshness,
    Memory,
    ProfileView,
    capabilities_in,
    info2_of,
    memory_in,
    profile_view,
)


class Standing(msgspec.Struct, frozen=True):
    """An order that is not done yet at this device."""

    order: Order
    state: State
    since: datetime


def in_turn(standing: Sequence[Standing]) -> list[Standing]:
    """As the device gets them; planned ones come last, and have no number that stays."""
    queued = sorted((one for one in standing if one.state is not State.PLANNED), key=lambda one: one.order.id)
    planned = (one for one in standing if one.state is State.PLANNED)
    return queued + sorted(planned, key=lambda one: (one.order.ordered_at, one.order.reference))


class OperationView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    """The order's reference."""
    what: tuple[str, ...]
    state: str
    since: datetime
    is_of_many: bool = False
    actor: str = ""
    not_before: datetime | None = None
    expires_at: datetime | None = None
    rollback_armed: str = ""
    """The ICCID whose enabling the IPA may still take back by itself."""


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    enabled: str | None
    """The ICCID of the enabled profile."""
    fallback: str | None
    profiles: tuple[ProfileView, ...]
    default_smdp_address: str | None
    eims: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    """`profile 8949…`, `fallback attribute`, `default_smdp_address`, `eim NAME`."""
    asked: str | None
    believed: str | None
    proved: str | None


class OurAssociation(msgspec.Struct, frozen=True, kw_only=True):
    eim_id: str
    counter: int
    token: int | None
    is_token_proved: bool
    signing_key: str
    """Empty: the oldest."""
    is_key_proved: bool
    """The eUICC's own key is known by a chain to a CI."""


class Twin(msgspec.Struct, frozen=True, kw_only=True):
    eid: str
    as_of: datetime
    state: DeviceState
    enrolled_at: datetime
    tags: tuple[str, ...]
    alarm: str | None
    network: str | None
    """Where it was registered last, as it said."""
    address: str | None
    """Where it takes packages that are pushed."""
    asked: Layer
    believed: Layer
    proved: Layer
    differences: tuple[Difference, ...]
    operations: tuple[OperationView, ...]
    freshness: Freshness
    association: OurAssociation
    eims: tuple[EimView, ...]
    root_smds_address: str | None
    memory: Memory | None
    capabilities: Capabilities | None


def twin_of(
    device: Device,
    knowledge: Knowledge | None,
    *,
    standing: Sequence[Standing],
    contact: Contact,
    tags: tuple[str, ...],
    eim_id: str,
    now: datetime,
) -> Twin:
    """`standing` in the order in which the device gets them."""
    known = knowledge if knowledge is not None else Knowledge(eid=device.eid)
    believed = _layer(known, known.profiles)
    proved = _layer(known, known.profiles if known.proved is None else known.proved)
    wanted = Picture(device, known)
    for one in standing:
        wanted = all_applied(wanted, effects_asked(one.order.work, eim_id), now)
    asked = _layer(wanted.knowledge, wanted.knowledge.profiles)
    info = info2_of(known)
    return Twin(
        eid=device.eid,
        as_of=now,
        state=device.state,
        enrolled_at=device.enrolled_at,
        tags=tags,
        alarm=device.alarm or None,
        network=device.plmn or None,
        address=None if device.reach is None else device.reach.address,
        asked=asked,
        believed=believed,
        proved=proved,
        differences=differences(asked, believed, proved),
        operations=tuple(_operation(one) for one in standing),
        freshness=freshness(device, known, contact, now),
        association=OurAssociation(
            eim_id=eim_id,
            counter=device.counter,
            token=device.token,
            is_token_proved=device.is_token_proved,
            signing_key=device.signer,
            is_key_proved=device.point is not None,
        ),
        eims=tuple(_eim(name, device, known, eim_id) for name in known.eims),
        root_smds_address=known.root_smds_address,
        memory=memory_in(info),
        capabilities=capabilities_in(known, info),
    )


def _layer(knowledge: Knowledge, profiles: tuple[ProfileImage, ...]) -> Layer:
    return Layer(
        enabled=next((profile.iccid for profile in profiles if profile.is_enabled), None),
        fallback=next((profile.iccid for profile in profiles if profile.has_fallback_attribute), None),
        profiles=tuple(profile_view(profile) for profile in profiles),
        default_smdp_address=knowledge.default_smdp_address,
        eims=knowledge.eims,
    )


def _operation(one: Standing) -> OperationView:
    order = one.order
    is_out = one.state in (State.DELIVERED, State.UNKNOWN)
    return OperationView(
        id=order.reference,
        what=words_of(order.work),
        state=one.state.value,
        since=one.since,
        is_of_many=order.eid is None,
        actor=order.actor,
        not_before=order.not_before,
        expires_at=order.expires_at,
        rollback_armed=may_roll_back(order.work) if is_out else "",
    )


def _eim(name: str, device: Device, knowledge: Knowledge, eim_id: str) -> EimView:
    if name == eim_id:
        return EimView(eim_id=name, is_ours=True, counter=device.counter, token=device.token)
    told = knowledge.associations.get(name)
    if told is None:
        return EimView(eim_id=name)
    return EimView(eim_id=name, counter=told.counter, token=told.token)


# what the layers do not agree about


def differences(asked: Layer, believed: Layer, proved: Layer) -> tuple[Difference, ...]:
    layers = (asked, believed, proved)
    states = [{profile.iccid: profile.state for profile in layer.profiles} for layer in layers]
    rows: list[tuple[str, str | None, str | None, str | None]] = []
    for iccid in dict.fromkeys(iccid for state in states for iccid in state):
        want, belief, proof = (state.get(iccid, "absent") for state in states)
        rows.append((f"profile {iccid}", want, belief, proof))
    rows.append(("fallback attribute", asked.fallback, believed.fallback, proved.fallback))
    # Nothing but the profiles is kept apart by proof: these two are believed at most.
    rows.append(("default_smdp_address", asked.default_smdp_address, believed.default_smdp_address, None))
    for name in dict.fromkeys((*asked.eims, *believed.eims)):
        want, belief = ("present" if name in layer.eims else "absent" for layer in (asked, believed))
        rows.append((f"eim {name}", want, belief, None))
    return tuple(
        Difference(what=what, asked=want, believed=belief, proved=proof)
        for what, want, belief, proof in rows
        if want != belief or (proof is not None and proof != belief)
    )


def freshness(device: Device, knowledge: Knowledge, contact: Contact, now: datetime) -> Freshness:
    expected = contact.at + contact.gap if contact.at is not None and contact.gap else None
    return Freshness(
        last_poll=contact.at,
        next_contact_expected=expected,
        is_overdue=expected is not None and now > expected + 2 * contact.gap,
        last_proof=device.proved_at,
        profiles_listed_at=knowledge.profiles_at,
        learned_at=knowledge.learned_at,
        is_stale=device.is_stale,
    )
