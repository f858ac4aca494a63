"""What a device will get when it calls next, told without doing it: the same decision, with nothing signed.

Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from keim.deciding import alone
from keim.eim import get_eim_package
from keim.eim.change import Change
from keim.eim.facts import Context, Facts
from keim.eim.rows import Device, DeviceState, Offer
from keim.eim.settings import Eim

_NO_SIGNATURE: Final = bytes(64)


class Upcoming(msgspec.Struct, frozen=True, kw_only=True):
    """All but `why` empty: nothing, or not yet."""

    why: str
    """`outstanding`: the same once more. `of its own`: the eIM wants to know something. `order`. Else why
    not: `nothing`, `pause`, `quarantined`, `archived`, `key missing`,
    `counter used up`."""
    order: int | None = None
    """The number of the order; None: a chore."""
    chore: str | None = None
    kind: str | None = None
    """`package`, `data`, `download`."""
    counter: int | None = None
    attempt: int | None = None
    not_before: datetime | None = None
    """Until then it gets nothing."""


class _NoSigner:
    """Stands for a key; what it makes never leaves."""

    def __init__(self, algorithm: str, public_point: bytes) -> None:
        self.algorithm = algorithm
        self.public_point = public_point

    def sign(self, message: bytes) -> bytes:
        del message
        return _NO_SIGNATURE


class _NoEntropy:
    def bytes(self, count: int) -> bytes:
        return bytes(count)


def upcoming(eim: Eim, facts: Facts, now: datetime) -> Upcoming:
    """`facts` as for a poll."""
    device = facts.device
    assert device is not None  # the caller has found it
    if device.state is not DeviceState.ACTIVE:
        return Upcoming(why=device.state.value)
    change = Change(_without_keys(eim), facts, Context(now, _NoEntropy()), device)
    answer = alone(get_eim_package.choose(change))
    offer = change.device.offer
    if answer == get_eim_package.NOTHING or offer is None:
        return _nothing(eim, facts, change.device, now)
    before = device.offer
    is_same = before is not None and before.transaction_id == offer.transaction_id
    return _told(offer, "outstanding" if is_same else "order", change.device)


def _told(offer: Offer, why: str, device: Device) -> Upcoming:
    chore = offer.chore
    if chore is not None and why == "order":
        why = "of its own"
    return Upcoming(
        why=why,
        order=offer.order if chore is None else None,
        chore=None if chore is None else chore.value,
        kind=offer.kind.value,
        counter=offer.counter,
        attempt=device.attempt if chore is None else None,
    )


def _nothing(eim: Eim, facts: Facts, device: Device, now: datetime) -> Upcoming:
    offer = device.offer
    if offer is not None:
        return Upcoming(why="pause", order=offer.order, not_before=offer.not_before)
    if facts.next and device.pause is not None and get_eim_package.is_paused(device, facts.next[0], now):
        return Upcoming(why="pause", order=device.pause.order, not_before=device.pause.until)
    if not eim.has_key_of(device):
        return Upcoming(why="key missing")
    if facts.next and not any(_is_over(one.order.expires_at, now) for one in facts.next):
        return Upcoming(why="counter used up")
    return Upcoming(why="nothing")


def _is_over(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at <= now


def _without_keys(eim: Eim) -> Eim:
    signers = {name: _NoSigner(signer.algorithm, signer.public_point) for name, signer in eim.signers.items()}
    return msgspec.structs.replace(eim, signers=signers)
