"""Opening a bound profile package as an eUICC does: piece by piece, with the faults that a card reports.

The pieces may be cut anywhere (an IPA cuts at the segments, see `load_segments`); octets of an unfinished TLV
wait for the rest. A fault is an event, not an exception, because the card answers it with an installation
result; the order of the checks of BF23 is that of SGP.22 §5.5.1 as the fact sheet orders it.
"""

from __future__ import annotations

from typing import Final, NoReturn

import msgspec

from keim.crypto.bpp import (
    CONFIGURE_ISDP_GROUP,
    INITIALISE_SECURE_CHANNEL_TAG,
    PACKAGE_TAG,
    PROFILE_ELEMENTS_GROUP,
    REPLACE_SESSION_KEYS_GROUP,
    STORE_METADATA_GROUP,
)
from keim.crypto.bpp_channel import open_secure_channel
from keim.crypto.bpp_events import (
    BppEvent,
    BppFault,
    BppProgress,
    BppRefused,
    BppSession,
    IsdpConfigured,
    MetadataStored,
    PackageFinished,
    ProfileElements,
    SessionKeysReplaced,
)
from keim.crypto.bpp_segments import header_of
from keim.crypto.bsp import (
    COMMAND_TAG,
    METADATA_TAG,
    PROFILE_ELEMENTS_TAG,
    TOLERATED_SEGMENT_OCTETS,
    Bsp,
)
from keim.crypto.faults import BspFault
from keim.crypto.kdf import SessionKeys
from keim.der import walk
from keim.errors import Malformed
from keim.messages.notification import BppCommandId, ErrorReason

_LARGEST_CHANNEL_REQUEST: Final = 1024
_LARGEST_COMMAND: Final = 16 * 1024

_GROUPS: Final = {
    BppCommandId.CONFIGURE_ISDP: (CONFIGURE_ISDP_GROUP, COMMAND_TAG),
    BppCommandId.STORE_METADATA: (STORE_METADATA_GROUP, METADATA_TAG),
    BppCommandId.REPLACE_SESSION_KEYS: (REPLACE_SESSION_KEYS_GROUP, COMMAND_TAG),
    BppCommandId.LOAD_PROFILE_ELEMENTS: (PROFILE_ELEMENTS_GROUP, PROFILE_ELEMENTS_TAG),
}
_NEXT: Final = {
    BppCommandId.CONFIGURE_ISDP: BppCommandId.STORE_METADATA,
    BppCommandId.STORE_METADATA: BppCommandId.LOAD_PROFILE_ELEMENTS,
    BppCommandId.REPLACE_SESSION_KEYS: BppCommandId.LOAD_PROFILE_ELEMENTS,
}


class BppReceiver:
    """Reads one package. Take `progress` after any piece, and make a new receiver of it to go on."""

    __slots__ = ("_bsp", "_session", "_state")

    def __init__(self, session: BppSession, progress: BppProgress | None = None) -> None:
        self._session = session
        self._state = progress or BppProgress()
        self._bsp = None if self._state.bsp is None else Bsp(self._state.bsp)

    @property
    def progress(self) -> BppProgress:
        return self._with(bsp=None if self._bsp is None else self._bsp.state)

    def feed(self, octets: bytes) -> tuple[BppEvent, ...]:
        """The events of the next octets; `BppRefused` is the last one ever."""
        state = self._state
        if state.refusal is not None:
            return (state.refusal,)
        events: list[BppEvent] = []
        self._state = self._with(pending=state.pending + octets)
        try:
            while self._step(events):
                pass
        except BppFault as fault:
            refusal = BppRefused(command=fault.command, reason=fault.reason, why=fault.message)
            self._state = self._with(refusal=refusal, pending=b"", command=b"")
            events.append(refusal)
        return tuple(events)

    def _with(self, **changes: object) -> BppProgress:
        return msgspec.structs.replace(self._state, **changes)

    def _refuse(self, why: str, reason: ErrorReason = ErrorReason.SCP03T_STRUCTURE_ERROR) -> NoReturn:
        raise BppFault(why, command=self._state.due, reason=reason)

    def _step(self, events: list[BppEvent]) -> bool:
        """One TLV or header, if it has come in whole; False when there is nothing more to do."""
        state = self._state
        if state.is_finished:
            if state.pending:
                self._refuse("octets follow the end of the package")
            return False
        if not state.is_opened:
            return self._read_package_header()
        if state.due is BppCommandId.INITIALISE_SECURE_CHANNEL:
            return self._read_channel_request(events)
        if not state.in_group:
            return self._read_group_header()
        return self._read_segment(events)

    def _header(self) -> tuple[int, int, int] | None:
        """Tag, start of contents and end of the next TLV, or None while its header is incomplete."""
        pending = self._state.pending
        try:
            return header_of(pending)
        except Malformed as fault:
            self._refuse(f"no TLV: {fault.message}")

    def _read_package_header(self) -> bool:
        header = self._header()
        if header is None:
            return False
        tag, content, end = header
        if tag != PACKAGE_TAG:
            self._refuse("the package does not start with BF36")
        self._state = self._with(
            is_opened=True, left_in_package=end - content, pending=self._state.pending[content:]
        )
        return True

    def _read_channel_request(self, events: list[BppEvent]) -> bool:
        if self._state.left_in_package == 0:
            self._refuse("the package is empty")
        header = self._header()
        if header is None:
            return False
        tag, _, end = header
        if tag != INITIALISE_SECURE_CHANNEL_TAG:
            self._refuse("InitialiseSecureChannel (BF23) does not come first")
        if end > min(_LARGEST_CHANNEL_REQUEST, self._state.left_in_package):
            self._refuse("InitialiseSecureChannel is longer than what it stands in")
        pending = self._state.pending
        if len(pending) < end:
            return False
        keys, event = open_secure_channel(self._session, pending[:end])
        self._bsp = Bsp.from_keys(keys)
        events.append(event)
        self._state = self._with(
            due=BppCommandId.CONFIGURE_ISDP,
            pending=pending[end:],
            left_in_package=self._state.left_in_package - end,
        )
        return True

    def _read_group_header(self) -> bool:
        state = self._state
        if state.left_in_package == 0:
            self._refuse("the package ends before its profile elements")
        header = self._header()
        if header is None:
            return False
        tag, content, end = header
        due = state.due
        # ReplaceSessionKeys is optional, and stands where the profile elements are due.
        if (
            due is BppCommandId.LOAD_PROFILE_ELEMENTS
            and tag == REPLACE_SESSION_KEYS_GROUP
            and not state.has_new_keys
        ):
            due = BppCommandId.REPLACE_SESSION_KEYS
        if tag != _GROUPS[due][0]:
            self._refuse(f"the group {_GROUPS[due][0]:02X} is due, not {tag:02X}")
        self._state = self._with(due=due)
        if end > state.left_in_package or end == content:
            self._refuse("a group is empty or longer than the package")
        self._state = self._with(
            in_group=True,
            command=b"",
            left_in_group=end - content,
            left_in_package=state.left_in_package - end,
            pending=state.pending[content:],
        )
        return True

    def _read_segment(self, events: list[BppEvent]) -> bool:
        state = self._state
        header = self._header()
        if header is None:
            return False
        tag, _, end = header
        if tag != _GROUPS[state.due][1]:
            self._refuse(f"a TLV {_GROUPS[state.due][1]:02X} is due, not {tag:02X}")
        if end > state.left_in_group or end > TOLERATED_SEGMENT_OCTETS:
            self._refuse("a protected TLV is longer than its group or than 1036 octets")
        if len(state.pending) < end:
            return False
        plaintext = self._unprotect(state.pending[:end])
        is_last = end == state.left_in_group
        self._state = self._with(left_in_group=state.left_in_group - end, pending=state.pending[end:])
        if state.due is BppCommandId.LOAD_PROFILE_ELEMENTS:
            events.append(ProfileElements(plaintext))
            if is_last:
                self._finish(events)
            return True
        command = state.command + plaintext
        if len(command) > _LARGEST_COMMAND:
            self._refuse("a command is longer than 16 KiB")
        self._state = self._with(command=command)
        if is_last:
            events.append(self._obey(command))
            self._state = self._with(in_group=False, command=b"", due=_NEXT[state.due])
        return True

    def _unprotect(self, protected: bytes) -> bytes:
        assert self._bsp is not None  # BF23 comes first, see _step
        try:
            return self._bsp.unprotect(protected)
        except BspFault as fault:
            if fault.code == "crypto.bsp_security":
                self._refuse(fault.message, ErrorReason.SCP03T_SECURITY_ERROR)
            self._refuse(fault.message)

    def _obey(self, command: bytes) -> BppEvent:
        """The event of a complete command; bytes beyond it, or another command, are a fault."""
        due = self._state.due
        if due is BppCommandId.CONFIGURE_ISDP:
            if not _is_one(command, 0xBF24):
                self._refuse("the first command is not one ConfigureISDP (BF24)")
            return IsdpConfigured(command)
        if due is BppCommandId.STORE_METADATA:
            if not _is_one(command, 0xBF25):
                self._refuse(
                    "the metadata are not one StoreMetadata (BF25)", ErrorReason.INCORRECT_INPUT_VALUES
                )
            return MetadataStored(command)
        self._bsp = Bsp.from_keys(self._replacement_keys(command))
        self._state = self._with(has_new_keys=True)
        return SessionKeysReplaced()

    def _replacement_keys(self, command: bytes) -> SessionKeys:
        if not _is_one(command, 0xBF26):
            self._refuse("the command is not one ReplaceSessionKeys (BF26)")
        try:
            elements = list(walk(command, next(walk(command)).content))
        except Malformed:
            elements = []
        if [(e.tag, e.end - e.content) for e in elements] != [(0x80, 16), (0x81, 16), (0x82, 16)]:
            self._refuse(
                "ReplaceSessionKeys holds three values of 16 octets", ErrorReason.INCORRECT_INPUT_VALUES
            )
        chaining_value, encryption, mac = (command[e.content : e.end] for e in elements)
        return SessionKeys(initial_mac_chaining_value=chaining_value, s_enc=encryption, s_mac=mac)

    def _finish(self, events: list[BppEvent]) -> None:
        if self._state.left_in_package:
            self._refuse("something follows the profile elements")
        self._state = self._with(is_finished=True, in_group=False)
        events.append(PackageFinished())


def _is_one(command: bytes, tag: int) -> bool:
    try:
        elements = list(walk(command))
    except Malformed:
        return False
    return len(elements) == 1 and elements[0].tag == tag
