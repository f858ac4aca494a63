"""PINs, administrative codes and PUKs of the enabled profile: state, comparison, verification.

The counter of tries goes down before the comparison and comes back after success (T10 of euicc.md section
14), so that cutting the power never buys a free try. Comparison takes the same time whatever the value.
"""

from __future__ import annotations

import hmac

import msgspec

from keim.euicc.filesystem import Files, octets_of
from keim.euicc.state import PinState
from keim.euicc.status import BLOCKED, REFERENCE_NOT_FOUND, VERIFICATION_FAILED, StatusError
from keim.saip.filesystem import Key, Pin, Puk

LOCAL = 0x80
"""Key references with this bit belong to an ADF or DF, and to the session on one channel."""


class PinEntry(msgspec.Struct, frozen=True):
    """A PIN or PUK where it stands, and as it is now."""

    place: bytes
    reference: int
    origin: Pin | Puk
    now: PinState

    @property
    def is_known(self) -> bool:
        """False for an ADM1 that the package does not tell: nothing compares equal to it."""
        return self.origin.value is not None or self.now.value != b""


def find_pin(files: Files, directory: Key, reference: int) -> PinEntry | None:
    held = files.base.pin_context(directory, reference)
    if held is None:
        return None
    key, pin = held
    place = octets_of(key) + bytes([reference])
    initial = PinState(value=pin.value or b"", tries_left=pin.tries_left, is_enabled=pin.is_enabled)
    return PinEntry(place, reference, pin, files.uicc.pins.get(place, initial))


def find_puk(files: Files, pin: PinEntry) -> PinEntry:
    reference = pin.origin.puk if isinstance(pin.origin, Pin) else None
    puk = None if reference is None else files.base.puk(reference)
    if puk is None or reference is None:
        raise StatusError(REFERENCE_NOT_FOUND)
    place = b"PUK" + bytes([reference])
    initial = PinState(value=puk.value, tries_left=puk.tries_left)
    return PinEntry(place, reference, puk, files.uicc.pins.get(place, initial))


def required_pin(files: Files, directory: Key, reference: int) -> tuple[PinEntry, Pin]:
    """The PIN of a command's P2; 6A88 when the directory knows none of that reference."""
    entry = find_pin(files, directory, reference)
    if entry is None or not isinstance(entry.origin, Pin):
        raise StatusError(REFERENCE_NOT_FOUND)
    return entry, entry.origin


def is_enabled(files: Files, directory: Key, reference: int) -> bool:
    entry = find_pin(files, directory, reference)
    return entry is not None and entry.now.is_enabled


def is_verified(files: Files, entry: PinEntry) -> bool:
    verified = files.context.channel.verified if entry.reference & LOCAL else files.context.volatile.verified
    return entry.place in verified


def set_verified(files: Files, entry: PinEntry, verified: bool) -> None:
    context = files.context
    if entry.reference & LOCAL:
        places = context.channel.verified
        context.channel = msgspec.structs.replace(
            context.channel, verified=places | {entry.place} if verified else places - {entry.place}
        )
        return
    places = context.volatile.verified
    context.volatile = msgspec.structs.replace(
        context.volatile, verified=places | {entry.place} if verified else places - {entry.place}
    )


def store(files: Files, transaction: str, *entries: tuple[PinEntry, PinState]) -> None:
    pins = {**files.uicc.pins, **{entry.place: state for entry, state in entries}}
    files.commit(transaction, msgspec.structs.replace(files.uicc, pins=pins))


def compare(files: Files, entry: PinEntry, presented: bytes) -> None:
    """Spends a try; on success the tries come back, on failure the command ends with 63Cx or 6983."""
    left = entry.now.tries_left
    if left == 0:
        raise StatusError(BLOCKED)
    spent = msgspec.structs.replace(entry.now, tries_left=left - 1)
    store(files, "T10 try", (entry, spent))
    if entry.is_known and hmac.compare_digest(entry.now.value, presented):
        full = msgspec.structs.replace(entry.now, tries_left=entry.origin.tries_max)
        store(files, "T10 success", (entry, full))
        return
    set_verified(files, entry, False)
    raise StatusError(VERIFICATION_FAILED | (left - 1))


def is_satisfied(files: Files, directory: Key, reference: int) -> bool:
    """Whether a security condition that names this reference holds: verified, or a PIN that is disabled."""
    entry = find_pin(files, directory, reference)
    if entry is None:
        return False
    return not entry.now.is_enabled or is_verified(files, entry)
