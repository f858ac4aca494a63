"""The octets of a leaf without the leaf, as the codec spells `Leaf`: for servers that log by the thousand.

What the leaves of one moment share is encoded once. Pure. Imports keim.der and its neighbour `leaf` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from keim.audit.leaf import VERSION, Doubt, Leaf, SignedStatement
from keim.der import encode, read_tlv, tlv

_WITHOUT_TOKEN = tlv(0x8D)


@lru_cache(maxsize=64)
def _head(time: int, kind: str, actor: str) -> bytes:
    whole = Leaf(version=VERSION, time=time, kind=kind, actor=actor).encode()
    return whole[read_tlv(whole).content :]


def leaf_octets(
    time: int,
    kind: str,
    actor: str,
    detail: bytes,
    *,
    eid: bytes | None = None,
    operation: str | None = None,
    package: bytes | None = None,
    result: bytes | None = None,
    statements: Sequence[SignedStatement] = (),
    association_token: int | None = None,
    package_signer: bytes | None = None,
    euicc_chain: Sequence[bytes] = (),
    doubt: Doubt | None = None,
    without_token: bool = False,
) -> bytes:
    """`package_signer` and `euicc_chain` are SHA-256 already; eid has 16 octets, the names their sizes."""
    parts = [_head(time, kind, actor)]
    if eid is not None:
        parts.append(b"\x84\x10" + eid)
    if operation is not None:
        parts.append(tlv(0x85, operation.encode()))
    if package is not None:
        parts.append(tlv(0x86, package))
    if result is not None:
        parts.append(tlv(0x87, result))
    if statements:
        parts.append(tlv(0xA8, *[encode(one) for one in statements]))
    if association_token is not None:
        parts.append(tlv(0x89, encode(association_token, int)[2:]))
    if package_signer is not None:
        parts.append(b"\x8a\x20" + package_signer)
    if euicc_chain:
        parts.append(tlv(0xAB, *[b"\x04\x20" + digest for digest in euicc_chain]))
    if doubt is not None:
        parts.append(tlv(0x8C, bytes((doubt,))))
    if without_token:
        parts.append(_WITHOUT_TOKEN)
    parts.append(tlv(0x8E, detail))
    return tlv(0x30, *parts)
