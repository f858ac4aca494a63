"""The pseudo-random function of TLS 1.2 and what is derived with it (RFC 5246 §5, §8; RFC 7627). Pure."""

from __future__ import annotations

import hmac
from hashlib import new as new_hash
from typing import Final

MASTER_OCTETS: Final = 48
VERIFY_OCTETS: Final = 12


def prf(hash_name: str, secret: bytes, label: bytes, seed: bytes, octets: int) -> bytes:
    seed = label + seed
    digest = hmac.digest
    made = b""
    chain = seed
    while len(made) < octets:
        chain = digest(secret, chain, hash_name)
        made += digest(secret, chain + seed, hash_name)
    return made[:octets]


def transcript_hash(hash_name: str, transcript: bytes | bytearray) -> bytes:
    return new_hash(hash_name, transcript).digest()


def extended_master(hash_name: str, pre_master: bytes, session_hash: bytes) -> bytes:
    return prf(hash_name, pre_master, b"extended master secret", session_hash, MASTER_OCTETS)


def plain_master(hash_name: str, pre_master: bytes, client_random: bytes, server_random: bytes) -> bytes:
    return prf(hash_name, pre_master, b"master secret", client_random + server_random, MASTER_OCTETS)


def key_block(
    hash_name: str, master: bytes, client_random: bytes, server_random: bytes, octets: int
) -> bytes:
    return prf(hash_name, master, b"key expansion", server_random + client_random, octets)


def verify_data(hash_name: str, master: bytes, *, is_client: bool, digest: bytes) -> bytes:
    label = b"client finished" if is_client else b"server finished"
    return prf(hash_name, master, label, digest, VERIFY_OCTETS)


def psk_pre_master(key: bytes, other: bytes | None = None) -> bytes:
    """RFC 4279 §2: zeros in the place of the other secret; RFC 5489 §2: the ECDH secret there."""
    other = bytes(len(key)) if other is None else other
    return len(other).to_bytes(2, "big") + other + len(key).to_bytes(2, "big") + key
