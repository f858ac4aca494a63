"""Wrapping secrets at rest with AES-256-GCM under one key from a file: the default of the `KeyWrap` seam.

The context (what the secret belongs to) is authenticated, so that a wrapped secret cannot be moved to another
row. A key inside of a PKCS#11 token is another implementation of the same seam.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keim.errors import Refused, StoreFailed

KEY_OCTETS: Final = 32
NONCE_OCTETS: Final = 12
_VERSION: Final = b"\x01"


class AesKeyWrap:
    """Prints nothing of its key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_OCTETS:
            raise Refused(f"a wrapping key has {KEY_OCTETS} octets, not {len(key)}", code="store.wrap_key")
        self._aead = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """The key in a file of 32 octets that only its owner may read; made on the first start."""
        try:
            if not path.exists():
                _make(path)
            return cls(path.read_bytes())
        except OSError as error:
            raise StoreFailed(f"{path}: {error.strerror}", code="store.wrap_key") from None

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_OCTETS)
        return _VERSION + nonce + self._aead.encrypt(nonce, secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            if wrapped[:1] != _VERSION:
                raise InvalidTag
            nonce = wrapped[1 : 1 + NONCE_OCTETS]
            return self._aead.decrypt(nonce, wrapped[1 + NONCE_OCTETS :], context)
        except (InvalidTag, ValueError):
            raise StoreFailed(
                "a secret at rest does not open with this key", code="store.unwrap_failed"
            ) from None

    def __repr__(self) -> str:
        return "AesKeyWrap(***)"


def _make(path: Path) -> None:
    """Whole or not at all: several processes may start at once, and the power may go."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(os.urandom(KEY_OCTETS))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # somebody was faster: theirs is the key
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
