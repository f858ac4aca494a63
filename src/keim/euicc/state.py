"""The card's state as values: what survives power loss (`CardState`) and what does not (`Volatile`).

All structs are frozen; a command computes new ones. Mappings inside are never mutated, only replaced. What
can be derived is not stored: the file system of a profile is made from its package when it is first needed
after a reset, and only what differs from it (changed contents, spent tries, sequence numbers) is kept here,
so that an idle card stays small.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from keim.euicc.isdr_state import IsdrState, ProfileRecord, RspSession

NOTHING: Mapping[bytes, bytes] = {}


class PinState(msgspec.Struct, frozen=True):
    """One PIN or PUK as it is now; stands in `UiccState.pins` only when it differs from the package."""

    value: bytes
    tries_left: int
    is_enabled: bool = True


class UiccState(msgspec.Struct, frozen=True):
    """What the UICC side of one profile remembers beyond its package."""

    contents: Mapping[bytes, bytes] = NOTHING
    """Key of the EF (two octets for each FID) -> content now, for the files that were changed."""
    life_cycles: Mapping[bytes, int] = {}
    """Key -> life cycle status integer, for files that were activated or deactivated."""
    pins: Mapping[bytes, PinState] = {}
    """Key of the directory that holds it + key reference -> PIN; PUKs under b"PUK" + reference."""
    sequence_numbers: Mapping[bytes, tuple[int, ...]] = {}
    """AID of the NAA -> SEQ by IND."""
    authentications: Mapping[bytes, int] = {}
    """AID of the NAA -> runs of AUTHENTICATE so far, where the package limits them."""
    ota_counters: Mapping[bytes, int] = {}
    """Security domain's AID + KVN -> highest CNTR accepted."""


class Profile(msgspec.Struct, frozen=True):
    """An installed profile: ISD-P and all that is in it."""

    aid: bytes
    iccid: bytes
    """As in metadata tag 5A: 10 octets, nibbles swapped."""
    is_enabled: bool
    record: ProfileRecord
    package: bytes
    """The unprotected profile package as installed; the file system is derived from it."""
    charge: int = 0
    uicc: UiccState = UiccState()


class CardState(msgspec.Struct, frozen=True):
    """All that survives. Profiles stand in the order of their installation."""

    isdr: IsdrState = IsdrState()
    profiles: tuple[Profile, ...] = ()
    applets: Mapping[str, bytes] = {}
    """Name of a toolkit applet -> what it asked the card to remember (applets.py)."""

    @property
    def enabled_profile(self) -> Profile | None:
        return next((profile for profile in self.profiles if profile.is_enabled), None)

    def profile(self, aid: bytes) -> Profile | None:
        return next((profile for profile in self.profiles if profile.aid == aid), None)

    def with_profile(self, changed: Profile) -> CardState:
        """The state in which the profile of the same AID is `changed`."""
        profiles = tuple(changed if profile.aid == changed.aid else profile for profile in self.profiles)
        return msgspec.structs.replace(self, profiles=profiles)


class StoreDataRun(msgspec.Struct, frozen=True):
    """An unfinished chain of STORE DATA blocks on one channel."""

    next_block: int
    data: bytes = b""
    is_oversized: bool = False
    is_stream: bool = False
    """The run is part of a bound profile package: blocks were handed on as they came."""
    response: bytes = b""


class Channel(msgspec.Struct, frozen=True):
    """One open logical channel."""

    application: bytes | None = None
    """AID of the selected application (ISD-R, ECASD, an ADF); None on the MF or with nothing selected."""
    directory: tuple[int, ...] = ()
    """Key of the current DF or ADF (`keim.saip.filesystem.Key`); empty without a file system."""
    file: tuple[int, ...] | None = None
    """Key of the current EF."""
    record: int = 0
    """Record pointer of the current EF; 0 = not set."""
    run: StoreDataRun | None = None
    pending: bytes = b""
    """Response data that GET RESPONSE will fetch."""
    pending_status: int = 0x9000
    verified: frozenset[bytes] = frozenset()
    """Local PINs verified in the current application's session."""
    tlv_unread: bytes = b""
    """What RETRIEVE DATA has not yet returned of an object."""
    tlv_unwritten: bytes = b""
    """What SET DATA has received of an object that is not complete."""


class Toolkit(msgspec.Struct, frozen=True):
    """The proactive session (ETSI TS 102 223)."""

    terminal_profile: bytes | None = None
    queue: tuple[tuple[int, bytes], ...] = ()
    """(source, proactive command) in waiting; source is an applet's index, or `FROM_CARD`."""
    outstanding: tuple[int, bytes] | None = None
    """Fetched, TERMINAL RESPONSE not yet received."""
    next_number: int = 1


FROM_CARD = -1


class SmsParts(msgspec.Struct, frozen=True):
    """A secured packet that comes in several short messages: what has arrived, by part number."""

    reference: int
    total: int
    parts: Mapping[int, bytes]


class Volatile(msgspec.Struct, frozen=True):
    """What a reset drops."""

    channels: Mapping[int, Channel] = {}
    verified: frozenset[bytes] = frozenset()
    """Global PINs verified since the reset."""
    toolkit: Toolkit = Toolkit()
    rsp: RspSession | None = None
    terminal_capability: bytes | None = None
    sms: SmsParts | None = None


POWERED_OFF = Volatile()
"""Shared by all idle cards. No channel is open, not even the basic one."""
