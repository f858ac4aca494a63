"""From a work to the octets that a device gets: the one place where this eIM signs (SGP.32 §2.11.1).

Counter allocation and signature belong to one decision; the store makes them durable before they leave.
Pure; imports floor 0 only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, partial
from typing import Final, NamedTuple

from keim.crypto.signed import euicc_package_tbs, euicc_package_v1_0_tbs
from keim.deciding import Deciding, ask
from keim.der import tlv
from keim.eim.compose import EVERYTHING
from keim.eim.facts import Context
from keim.eim.key_form import nest_key_data
from keim.eim.rows import Chore, Device, Kind, Offer, Retry
from keim.eim.settings import COUNTER_MAXIMUM, Eim
from keim.eim.work import DataWork, DownloadWork, PackageWork, Work
from keim.errors import Refused

_ECO_LIST: Final = 0xA1
INVENTORY: Final = tlv(0xA0, tlv(0xBF2D, tlv(0x5C, bytes.fromhex("5a4f9f709192959f7b9f269f67"))))
"""psmoList[listProfileInfo] with the default tags written out (procedures §6.4)."""
EIM_LIST: Final = tlv(_ECO_LIST, tlv(0xAB))

CHORES: Final[dict[Chore, Work]] = {
    Chore.LEARN: DataWork(tag_list=EVERYTHING),
    Chore.RECOVER: DataWork(tag_list=bytes.fromhex("a2a0")),
    Chore.LIST_PROFILES: PackageWork(INVENTORY),
    Chore.LIST_EIMS: PackageWork(EIM_LIST),
}


def new_transaction_id(order: int, attempt: int, context: Context) -> bytes:
    """16 octets: order and attempt for people who read traces, and eight that nobody can guess."""
    return order.to_bytes(6, "big", signed=True) + attempt.to_bytes(2, "big") + context.entropy.bytes(8)


class _Made(NamedTuple):
    octets: bytes
    counter: int | None = None
    token: int | None = None
    tbs: bytes = b""
    """What is to be signed; `octets` is then all but the signature."""


@lru_cache(maxsize=16)
def _eim_id(name: str) -> bytes:
    """Remembered, since an eIM names itself in each package."""
    return tlv(0x80, name.encode())


def _package(eim: Eim, device: Device, work: PackageWork, transaction_id: bytes) -> _Made:
    counter = device.counter + 1
    if counter > COUNTER_MAXIMUM:
        raise Refused(
            "the counter of this eUICC is used up: update the association", code="eim.counter_exhausted"
        )
    commands = work.commands
    if commands[0] == _ECO_LIST and eim.switches_of(device).nests_key_data:
        commands = nest_key_data(commands)
    signed = tlv(
        0x30,
        _eim_id(eim.eim_id),
        b"\x5a\x10" + bytes.fromhex(device.eid),
        tlv(0x81, counter.to_bytes(counter.bit_length() // 8 + 1, "big")),
        b"\x82\x10" + transaction_id,
        commands,
    )
    has_token = eim.switches_of(device).covers_token
    tbs = euicc_package_tbs(signed, device.token) if has_token else euicc_package_v1_0_tbs(signed)
    return _Made(signed, counter, device.token, tbs)


def _data(eim: Eim, device: Device, work: DataWork, transaction_id: bytes) -> _Made:
    del eim, device
    parts = [tlv(0x5C, work.tag_list)]
    if work.ci_pk_id is not None:
        parts.append(tlv(0x04, work.ci_pk_id))
    if work.notification_search is not None:
        parts.append(tlv(0xA1, work.notification_search))
    if (number := work.result_sequence_number) is not None:
        parts.append(tlv(0xA2, tlv(0x80, number.to_bytes(number.bit_length() // 8 + 1, "big"))))
    return _Made(tlv(0xBF52, *parts, tlv(0x83, transaction_id)))


def _download(eim: Eim, device: Device, work: DownloadWork, transaction_id: bytes) -> _Made:
    del eim, device
    return _Made(trigger(None if work.hides_data else download_data(work), transaction_id))


def download_data(work: DownloadWork) -> bytes:
    """ProfileDownloadData as one TLV."""
    if work.activation_code is not None:
        return tlv(0x80, work.activation_code.encode())
    if work.smds_address is not None:
        return tlv(0xA2, tlv(0x80, work.smds_address.encode()) if work.smds_address else b"")
    return tlv(0x81)


def trigger(data: bytes | None, transaction_id: bytes) -> bytes:
    """ProfileDownloadTriggerRequest."""
    return tlv(0xBF54, b"" if data is None else tlv(0xA0, data), tlv(0x82, transaction_id))


def order_of(transaction_id: bytes) -> int | None:
    """The order that a transaction id of ours belongs to."""
    return int.from_bytes(transaction_id[:6], "big", signed=True) if len(transaction_id) == 16 else None


_MAKERS: Final[dict[type, tuple[Kind, Callable[[Eim, Device, object, bytes], _Made]]]] = {
    PackageWork: (Kind.PACKAGE, _package),  # type: ignore[dict-item]  # each maker takes its own key's works
    DataWork: (Kind.DATA, _data),  # type: ignore[dict-item]  # as above
    DownloadWork: (Kind.DOWNLOAD, _download),  # type: ignore[dict-item]  # as above
}


def make_offer(
    eim: Eim,
    device: Device,
    work: Work,
    context: Context,
    *,
    order: int,
    attempt: int,
    chore: Chore | None = None,
    is_mass: bool = False,
    retry: Retry | None = None,
    expires_at: datetime | None = None,
) -> Deciding[Offer]:
    """Signed and complete; nothing of it may leave before it is stored. `expires_at`: as the order says."""
    lifetime = context.now + eim.rules.offer_lifetime
    kind, make = _MAKERS[type(work)]
    transaction_id = new_transaction_id(order, attempt, context)
    made = make(eim, device, work, transaction_id)
    octets = made.octets
    if made.tbs:
        signature = yield from ask(partial(eim.signer_of(device).sign, made.tbs))
        octets = tlv(0xBF51, octets, tlv(0x5F37, signature))
    return Offer(
        kind=kind,
        order=order,
        octets=octets,
        transaction_id=transaction_id,
        offered_at=context.now,
        counter=made.counter,
        token=made.token,
        chore=chore,
        is_mass=is_mass,
        retry=retry,
        connection=context.connection,
        expires_at=lifetime if expires_at is None else min(expires_at, lifetime),
    )
