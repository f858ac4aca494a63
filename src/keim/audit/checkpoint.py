"""Checkpoints (C2SP tlog-checkpoint): the log's name, its size and its root, signed by the log's key.

Pure. Imports its neighbours and keim.errors only.
"""

from __future__ import annotations

from base64 import b64encode

import msgspec

from keim.audit.note import NoteKey, NoteSigner, canonical_base64, open_note, sign_note
from keim.audit.tree import EMPTY_ROOT, HASH_OCTETS, MOST_LEAVES, Edge
from keim.errors import Malformed


class Checkpoint(msgspec.Struct, frozen=True):
    """`origin` names the log; no two logs of one key holder share it."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def of(cls, origin: str, edge: Edge) -> Checkpoint:
        return cls(origin, edge.size, edge.root)

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    def signed(self, *signers: NoteSigner) -> bytes:
        return sign_note(self.text, *signers).encode()

    @classmethod
    def from_text(cls, text: str) -> Checkpoint:
        """Extension lines, which others may add, are read over."""
        origin, size, root = (*text.split("\n"), "", "", "")[:3]
        octets = canonical_base64(root)
        if (
            not origin
            or not (size.isascii() and size.isdigit() and len(size) < 20 and str(int(size)) == size)
            or int(size) > MOST_LEAVES
            or octets is None
            or len(octets) != HASH_OCTETS
            or (size == "0" and octets != EMPTY_ROOT)
        ):
            raise Malformed(
                "a checkpoint has lines for origin, size and root", offset=0, path="checkpoint",
                code="audit.bad_note",
            )  # fmt: skip
        return cls(origin, int(size), octets)

    @classmethod
    def opened(cls, note: bytes, key: NoteKey) -> Checkpoint:
        """The checkpoint in a note that `key` has signed."""
        return cls.from_text(open_note(note, key))
