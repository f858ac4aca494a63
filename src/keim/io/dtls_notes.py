"""What a device keeps of its DTLS peers while it sleeps: an association to go on with, a session to resume.

A small file beside the IPA's state, replaced as a whole, mode 0600: the keys are in it. Imports keim.errors
and its neighbours in keim.io.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from keim.errors import StoreFailed
from keim.io.ipa_state import replace_durably


class DtlsNote(msgspec.Struct, frozen=True):
    """Of one peer. Secret."""

    association: bytes = b""
    """A snapshot; empty where none is worth keeping."""
    session: bytes = b""


EMPTY = DtlsNote()


class DtlsNotes:
    """`None` as path keeps them in the process only. A file that cannot be read costs a handshake."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._notes: dict[str, DtlsNote] = {}
        if path is not None:
            try:
                self._notes = msgspec.msgpack.decode(path.read_bytes(), type=dict[str, DtlsNote])
            except (OSError, msgspec.MsgspecError):
                self._notes = {}

    def get(self, peer: str) -> DtlsNote:
        return self._notes.get(peer, EMPTY)

    def put(self, peer: str, note: DtlsNote) -> None:
        """Durable when it returns: a nonce that comes twice would be fatal."""
        if self._notes.get(peer) == note:
            return
        self._notes[peer] = note
        if self._path is None:
            return
        try:
            replace_durably(self._path, msgspec.msgpack.encode(self._notes))
        except OSError as fault:
            raise StoreFailed(f"{self._path}: {fault.strerror}", code="ipa.state_not_written") from fault
