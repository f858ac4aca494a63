"""The card's own keys: which credential signs, and held signers for the ones in use.

Imports floor 0 and the card's values only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from keim.crypto.ecdsa import MemorySigner, VerifyingKey
from keim.crypto.suites import suite_named, verifying_key_of_spki

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.identity import Identity, SigningCredential


def find_credential(identity: Identity, ci_pk_id: bytes) -> SigningCredential | None:
    """By the whole key identifier of the CI or by a beginning that only one has; empty means the default."""
    if not ci_pk_id:
        return identity.credentials[0]
    found = [entry for entry in identity.credentials if entry.ci_pk_id.startswith(ci_pk_id)]
    return found[0] if len(found) == 1 else None


def credential_of(identity: Identity, ci_pk_id: bytes) -> SigningCredential:
    """For an identifier that was checked when it was stored."""
    return find_credential(identity, ci_pk_id) or identity.credentials[0]


def sign(context: CardContext, ci_pk_id: bytes, covered: bytes) -> bytes:
    credential = credential_of(context.identity, ci_pk_id)
    signer = _signer(credential.suite, credential.private_key, context.options.has_reproducible_signatures)
    return signer.sign(covered)


@lru_cache(maxsize=2048)
def _signer(suite: str, private_key: bytes, is_reproducible: bool) -> MemorySigner:
    """Making a key object costs more than a signature (speed.md 1.1), so recently used ones are held."""
    return suite_named(suite).signer_of_scalar(private_key, reproducible=is_reproducible)


@lru_cache(maxsize=1024)
def held_key(spki: bytes) -> VerifyingKey:
    """An eIM's key; a fleet has few eIMs."""
    return verifying_key_of_spki(spki)
