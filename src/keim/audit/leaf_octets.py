"""The octets of a leaf without the leaf, as the codec spells `Leaf`: for servers that log by the thousand.

What the leaves of one moment share is encoded once. Pure. Imports keim.der and its neighbour `leaf` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from keim.audit.leaf import VERSION, Doubt, Leaf, SignedStatement, microseconds_of
from keim.der import encode, read_tlv, tlv

_WITHOUT_TOKEN = tlv(0x8D)


@lru_cache(maxsize=64)
def head_octets(at: datetime, kind: str, actor: str) -> bytes:
    """What stands before a leaf's own members; the names have their sizes."""
    whole = Leaf(version=VERSION, time=microseconds_of(at), kind=kind, actor=actor).encode()
    return whole[read_tlv(whole).content :]


def proof_octets(
    *,
    operation: str = "",
    package: bytes | None = None,
    result: bytes | None = None,
    statements: Sequence[SignedStatement] = (),
    association_token: int | None = None,
    package_signer: bytes | None = None,
    euicc_chain: Sequence[bytes] = (),
    doubt: Doubt | None = None,
    without_token: bool = False,
) -> bytes:
    """What proves it; `package_signer` and `euicc_chain` are SHA-256 already."""
    proof = tlv(0x85, operation.encode()) if operation else b""
    if package is not None:
        proof += tlv(0x86, package)
    if result is not None:
        proof += tlv(0x87, result)
    if statements:
        proof += tlv(0xA8, *[encode(one) for one in statements])
    if association_token is not None:
        proof += tlv(0x89, encode(association_token, int)[2:])
    if package_signer is not None:
        proof += b"\x8a\x20" + package_signer
    if euicc_chain:
        proof += tlv(0xAB, *[b"\x04\x20" + digest for digest in euicc_chain])
    if doubt is not None:
        proof += tlv(0x8C, bytes((doubt,)))
    if without_token:
        proof += _WITHOUT_TOKEN
    return proof


def leaf_octets(head: bytes, eid: bytes, proof: bytes, detail: bytes) -> bytes:
    """Of `head_octets`, the EID (16 octets, or none), `proof_octets` and the event itself."""
    return tlv(0x30, head, b"\x84\x10" + eid if eid else b"", proof, tlv(0x8E, detail))
