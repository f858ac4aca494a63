"""VERIFY, CHANGE, DISABLE, ENABLE, UNBLOCK PIN (TS 102 221 clauses 11.1.9 to 11.1.13)."""

from __future__ import annotations

import msgspec

from keim.euicc.apdu import Answer, Apdu
from keim.euicc.context import CardContext
from keim.euicc.filesystem import MASTER_FILE, Files, files_of
from keim.euicc.pins import PinEntry, compare, find_puk, is_verified, required_pin, set_verified, store
from keim.euicc.state import PinState
from keim.euicc.status import (
    BLOCKED,
    CONDITIONS_NOT_SATISFIED,
    REFERENCE_DATA_INVALIDATED,
    VERIFICATION_FAILED,
    WRONG_LENGTH,
    WRONG_PARAMETERS,
    StatusError,
)
from keim.saip.filesystem import Pin

LENGTH = 8


def _pin(context: CardContext, apdu: Apdu) -> tuple[Files, PinEntry, Pin]:
    if apdu.p1:
        raise StatusError(WRONG_PARAMETERS)
    files = files_of(context)
    entry, pin = required_pin(files, context.channel.directory or MASTER_FILE, apdu.p2)
    return files, entry, pin


def _left(entry: PinEntry) -> Answer:
    return Answer(b"", VERIFICATION_FAILED | entry.now.tries_left if entry.now.tries_left else BLOCKED)


def _need_enabled(entry: PinEntry) -> None:
    if not entry.now.is_enabled:
        raise StatusError(REFERENCE_DATA_INVALIDATED)


def verify(context: CardContext, apdu: Apdu) -> Answer:
    """Without data it asks for the state."""
    files, entry, _ = _pin(context, apdu)
    if not apdu.data:
        return Answer() if not entry.now.is_enabled or is_verified(files, entry) else _left(entry)
    if len(apdu.data) != LENGTH:
        raise StatusError(WRONG_LENGTH)
    _need_enabled(entry)
    compare(files, entry, apdu.data)
    set_verified(files, entry, True)
    return Answer()


def change_pin(context: CardContext, apdu: Apdu) -> Answer:
    files, entry, pin = _pin(context, apdu)
    if len(apdu.data) != 2 * LENGTH:
        raise StatusError(WRONG_LENGTH)
    _need_enabled(entry)
    if not pin.is_changeable:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    compare(files, entry, apdu.data[:LENGTH])
    store(files, "T10 change", (entry, _full(entry, value=apdu.data[LENGTH:])))
    set_verified(files, entry, True)
    return Answer()


def disable_pin(context: CardContext, apdu: Apdu) -> Answer:
    return _switch(context, apdu, is_enabled=False)


def enable_pin(context: CardContext, apdu: Apdu) -> Answer:
    return _switch(context, apdu, is_enabled=True)


def _switch(context: CardContext, apdu: Apdu, *, is_enabled: bool) -> Answer:
    files, entry, pin = _pin(context, apdu)
    if len(apdu.data) != LENGTH:
        raise StatusError(WRONG_LENGTH)
    if entry.now.is_enabled == is_enabled or not pin.may_be_disabled:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    compare(files, entry, apdu.data)
    store(files, "T10 enable" if is_enabled else "T10 disable", (entry, _full(entry, is_enabled=is_enabled)))
    set_verified(files, entry, True)
    return Answer()


def unblock_pin(context: CardContext, apdu: Apdu) -> Answer:
    """PUK and new PIN; without data it asks how many tries the PUK has left."""
    files, entry, _ = _pin(context, apdu)
    puk = find_puk(files, entry)
    if not apdu.data:
        return _left(puk)
    if len(apdu.data) != 2 * LENGTH:
        raise StatusError(WRONG_LENGTH)
    compare(files, puk, apdu.data[:LENGTH])
    store(files, "T10 unblock", (entry, _full(entry, value=apdu.data[LENGTH:], is_enabled=True)))
    set_verified(files, entry, True)
    return Answer()


def _full(entry: PinEntry, *, value: bytes | None = None, is_enabled: bool | None = None) -> PinState:
    """The PIN with all its tries, and with what the command changes."""
    return msgspec.structs.replace(
        entry.now,
        value=entry.now.value if value is None else value,
        is_enabled=entry.now.is_enabled if is_enabled is None else is_enabled,
        tries_left=entry.origin.tries_max,
    )
