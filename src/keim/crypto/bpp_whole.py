"""Opening a whole bound profile package at once: for tools and tests that hold the card's one-time key."""

from __future__ import annotations

import msgspec

from keim.crypto.bpp_events import (
    BppFault,
    BppRefused,
    BppSession,
    IsdpConfigured,
    MetadataStored,
    ProfileElements,
    SessionKeysReplaced,
)
from keim.crypto.bpp_open import BppReceiver
from keim.messages.notification import ErrorReason


class OpenedPackage(msgspec.Struct, frozen=True):
    """The plaintexts of one package."""

    configure_isdp: bytes
    store_metadata: bytes
    upp: bytes
    has_own_keys: bool
    """Whether the profile elements came under a random key (PPK mode)."""


def open_bpp(session: BppSession, bpp: bytes) -> OpenedPackage:
    """The plaintexts, or `BppFault`. Unlike a card, which waits, it calls a truncated package a fault."""
    receiver = BppReceiver(session)
    configure_isdp = store_metadata = b""
    elements: list[bytes] = []
    has_own_keys = False
    for event in receiver.feed(bpp):
        match event:
            case BppRefused(command=command, reason=reason, why=why):
                raise BppFault(why, command=command, reason=reason)
            case IsdpConfigured(request=request):
                configure_isdp = request
            case MetadataStored(request=request):
                store_metadata = request
            case SessionKeysReplaced():
                has_own_keys = True
            case ProfileElements(octets=octets):
                elements.append(octets)
            case _:
                pass
    progress = receiver.progress
    if not progress.is_finished:
        raise BppFault(
            "the package is truncated", command=progress.due, reason=ErrorReason.SCP03T_STRUCTURE_ERROR
        )
    return OpenedPackage(
        configure_isdp=configure_isdp,
        store_metadata=store_metadata,
        upp=b"".join(elements),
        has_own_keys=has_own_keys,
    )
