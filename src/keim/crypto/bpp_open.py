"""Opening a bound profile package as an eUICC does: piece by piece, with the faults that a card reports.

The pieces may be cut anywhere (an IPA cuts at the segments, see `load_segments`); octets of an unfinished TLV
wait for the rest. A fault is an event, not an exception, because the card answers it with an installation
result; the order of the checks of BF23 is that of SGP.22 §5.5.1 as the fact sheet orders it.
"""

from __future__ import annotations

from typing import Final, NoReturn

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

_LARGEST_CHANNEL_REQUEST: Final = 8192
"""BF23 has about 200 octets today; a post-quantum suite would need about 4600."""
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

    __slots__ = (
        "_bsp",
        "_command",
        "_due",
        "_has_new_keys",
        "_in_group",
        "_is_finished",
        "_is_opened",
        "_left_in_group",
        "_left_in_package",
        "_pending",
        "_position",
        "_refusal",
        "_session",
    )

    def __init__(self, session: BppSession, progress: BppProgress | None = None) -> None:
        start = progress or BppProgress()
        self._session = session
        self._due = start.due
        self._is_opened = start.is_opened
        self._in_group = start.in_group
        self._has_new_keys = start.has_new_keys
        self._is_finished = start.is_finished
        self._left_in_package = start.left_in_package
        self._left_in_group = start.left_in_group
        self._bsp = None if start.bsp is None else Bsp(start.bsp)
        self._pending = start.pending
        self._command = start.command
        self._refusal = start.refusal
        self._position = 0

    @property
    def progress(self) -> BppProgress:
        return BppProgress(
            due=self._due,
            is_opened=self._is_opened,
            in_group=self._in_group,
            has_new_keys=self._has_new_keys,
            is_finished=self._is_finished,
            left_in_package=self._left_in_package,
            left_in_group=self._left_in_group,
            bsp=None if self._bsp is None else self._bsp.state,
            pending=self._pending,
            command=self._command,
            refusal=self._refusal,
        )

    def feed(self, octets: bytes) -> tuple[BppEvent, ...]:
        """The events of the next octets; `BppRefused` is the last one ever."""
        if self._refusal is not None:
            return (self._refusal,)
        events: list[BppEvent] = []
        self._pending += octets
        self._position = 0
        try:
            while self._step(events):
                pass
            self._pending = self._pending[self._position :]
        except BppFault as fault:
            self._refusal = BppRefused(command=fault.command, reason=fault.reason, why=fault.message)
            self._bsp, self._pending, self._command = None, b"", b""
            events.append(self._refusal)
        return tuple(events)

    def _refuse(self, why: str, reason: ErrorReason = ErrorReason.SCP03T_STRUCTURE_ERROR) -> NoReturn:
        raise BppFault(why, command=self._due, reason=reason)

    def _step(self, events: list[BppEvent]) -> bool:
        """One TLV or header, if it has come in whole; False when there is nothing more to do."""
        if self._is_finished:
            if self._position < len(self._pending):
                self._refuse("octets follow the end of the package")
            return False
        if not self._is_opened:
            return self._read_package_header()
        if self._due is BppCommandId.INITIALISE_SECURE_CHANNEL:
            return self._read_channel_request(events)
        if not self._in_group:
            return self._read_group_header()
        return self._read_segment(events)

    def _header(self) -> tuple[int, int, int] | None:
        """Tag, start of contents and end of the next TLV, or None while its header is incomplete."""
        try:
            return header_of(self._pending, self._position)
        except Malformed as fault:
            self._refuse(f"no TLV: {fault.message}")

    def _read_package_header(self) -> bool:
        header = self._header()
        if header is None:
            return False
        tag, content, end = header
        if tag != PACKAGE_TAG:
            self._refuse("the package does not start with BF36")
        self._is_opened, self._left_in_package, self._position = True, end - content, content
        return True

    def _read_channel_request(self, events: list[BppEvent]) -> bool:
        if self._left_in_package == 0:
            self._refuse("the package is empty")
        header = self._header()
        if header is None:
            return False
        tag, _, end = header
        size = end - self._position
        if tag != INITIALISE_SECURE_CHANNEL_TAG:
            self._refuse("InitialiseSecureChannel (BF23) does not come first")
        if size > min(_LARGEST_CHANNEL_REQUEST, self._left_in_package):
            self._refuse("InitialiseSecureChannel is longer than what it stands in")
        if len(self._pending) < end:
            return False
        keys, event = open_secure_channel(self._session, self._pending[self._position : end])
        self._bsp = Bsp.from_keys(keys)
        events.append(event)
        self._due = BppCommandId.CONFIGURE_ISDP
        self._left_in_package -= size
        self._position = end
        return True

    def _read_group_header(self) -> bool:
        if self._left_in_package == 0:
            self._refuse("the package ends before its profile elements")
        header = self._header()
        if header is None:
            return False
        tag, content, end = header
        due = self._due
        # ReplaceSessionKeys is optional, and stands where the profile elements are due.
        if (
            due is BppCommandId.LOAD_PROFILE_ELEMENTS
            and tag == REPLACE_SESSION_KEYS_GROUP
            and not self._has_new_keys
        ):
            due = BppCommandId.REPLACE_SESSION_KEYS
        if tag != _GROUPS[due][0]:
            self._refuse(f"the group {_GROUPS[due][0]:02X} is due, not {tag:02X}")
        self._due = due
        if end - self._position > self._left_in_package or end == content:
            self._refuse("a group is empty or longer than the package")
        self._in_group, self._command = True, b""
        self._left_in_group = end - content
        self._left_in_package -= end - self._position
        self._position = content
        return True

    def _read_segment(self, events: list[BppEvent]) -> bool:
        header = self._header()
        if header is None:
            return False
        tag, _, end = header
        size = end - self._position
        if tag != _GROUPS[self._due][1]:
            self._refuse(f"a TLV {_GROUPS[self._due][1]:02X} is due, not {tag:02X}")
        if size > self._left_in_group or size > TOLERATED_SEGMENT_OCTETS:
            self._refuse("a protected TLV is longer than its group or than 1036 octets")
        if len(self._pending) < end:
            return False
        plaintext = self._unprotect(self._pending[self._position : end])
        self._left_in_group -= size
        self._position = end
        if self._due is BppCommandId.LOAD_PROFILE_ELEMENTS:
            events.append(ProfileElements(plaintext))
            if self._left_in_group == 0:
                self._finish(events)
            return True
        self._command += plaintext
        if len(self._command) > _LARGEST_COMMAND:
            self._refuse("a command is longer than 16 KiB")
        if self._left_in_group == 0:
            events.append(self._obey(self._command))
            self._in_group, self._command, self._due = False, b"", _NEXT[self._due]
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
        due = self._due
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
        self._has_new_keys = True
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
        if self._left_in_package:
            self._refuse("something follows the profile elements")
        self._is_finished, self._in_group, self._bsp = True, False, None
        events.append(PackageFinished())


def _is_one(command: bytes, tag: int) -> bool:
    try:
        elements = list(walk(command))
    except Malformed:
        return False
    return len(elements) == 1 and elements[0].tag == tag
