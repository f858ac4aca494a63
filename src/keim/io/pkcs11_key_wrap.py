"""Wrapping secrets at rest under an AES key inside of a PKCS#11 token: the key never leaves it.

The same form as `keim.io.key_wrap` (version, nonce, AES-256-GCM), under a key that nobody can copy. Needs the
extra `keim[pkcs11]`.
"""

from __future__ import annotations

import os
from typing import Any, Final

from keim.crypto.secrets import Secret
from keim.errors import Refused, StoreFailed
from keim.io.pkcs11 import Pkcs11Token

KEY_BITS: Final = 256
NONCE_OCTETS: Final = 12
_VERSION: Final = b"\x02"


class Pkcs11KeyWrap(Pkcs11Token):
    """A session of its own with the token; the key named `label` is made there if it is absent."""

    def __init__(self, module: str, token_label: str, pin: Secret, label: str) -> None:
        super().__init__(module, token_label, pin, writes=True)
        self._key = self._find_or_make(label)

    def _find_or_make(self, label: str) -> Any:
        classes, types = self._library.ObjectClass, self._library.KeyType
        try:
            return self._session.get_key(object_class=classes.SECRET_KEY, key_type=types.AES, label=label)
        except self._library.exceptions.NoSuchKey:
            return self._session.generate_key(types.AES, KEY_BITS, label=label, store=True)
        except self._library.exceptions.MultipleObjectsReturned:
            raise Refused(f"the token has several keys {label!r}", code="store.wrap_key") from None

    def _parameters(self, nonce: bytes, context: bytes) -> Any:
        from pkcs11.mechanisms import GCMParams

        return GCMParams(nonce, context, 128)

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_OCTETS)
        try:
            with self._lock:
                sealed: bytes = self._key.encrypt(
                    secret,
                    mechanism=self._library.Mechanism.AES_GCM,
                    mechanism_param=self._parameters(nonce, context),
                )
        except self._fault as fault:
            raise StoreFailed(
                f"the token did not wrap: {type(fault).__name__}", code="store.wrap_key"
            ) from None
        return _VERSION + nonce + sealed

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        nonce, sealed = wrapped[1 : 1 + NONCE_OCTETS], wrapped[1 + NONCE_OCTETS :]
        if wrapped[:1] == _VERSION and len(nonce) == NONCE_OCTETS:
            try:
                with self._lock:
                    secret: bytes = self._key.decrypt(
                        sealed,
                        mechanism=self._library.Mechanism.AES_GCM,
                        mechanism_param=self._parameters(nonce, context),
                    )
                return secret
            except self._fault:
                pass  # every fault is the same refusal: which one it was is no caller's business
        raise StoreFailed("a secret at rest does not open with this key", code="store.unwrap_failed")

    def __repr__(self) -> str:
        return "Pkcs11KeyWrap(***)"
