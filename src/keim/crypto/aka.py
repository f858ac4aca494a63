"""UMTS authentication and key agreement: what all algorithm sets offer, and the test algorithm.

An algorithm set is chosen by the profile package (PE-AKAParameter) and used by the card's AUTHENTICATE and,
on the network's side, by whoever plays the AuC. Sequence numbers are not judged here.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class AkaVector(NamedTuple):
    res: bytes
    ck: bytes
    ik: bytes
    ak: bytes


class AkaAlgorithm(Protocol):
    """f1 to f5* of 3GPP TS 33.102, keyed."""

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """MAC-A."""
        ...

    def f1_star(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """MAC-S, for resynchronisation."""
        ...

    def f2345(self, rand: bytes) -> AkaVector: ...

    def f5_star(self, rand: bytes) -> bytes:
        """AK*, the anonymity key for resynchronisation."""
        ...


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


class TestAlgorithm:
    """The USIM test algorithm of TS 34.108 clause 8.1.2: not secret, for test equipment only."""

    __slots__ = ("_key", "_res_length")
    __test__ = False  # its name is the standard's; it is no test class

    def __init__(self, key: bytes, res_length: int = 8) -> None:
        self._key = key
        self._res_length = res_length

    def __repr__(self) -> str:
        return "TestAlgorithm(***)"

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        return xor(xor(self._key, rand)[:8], sqn + amf)

    f1_star = f1

    def f2345(self, rand: bytes) -> AkaVector:
        out = xor(self._key, rand)
        return AkaVector(out[: self._res_length], out[1:] + out[:1], out[2:] + out[:2], out[3:9])

    def f5_star(self, rand: bytes) -> bytes:
        return self.f2345(rand).ak


def autn(algorithm: AkaAlgorithm, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
    """The network's token: (SQN xor AK) || AMF || MAC-A."""
    return xor(sqn, algorithm.f2345(rand).ak) + amf + algorithm.f1(rand, sqn, amf)


def gsm_keys(vector: AkaVector) -> tuple[bytes, bytes]:
    """SRES (4 octets) and Kc (8) by the conversion functions c2 and c3 of TS 33.102."""
    padded = vector.res.ljust(16, b"\0")[:16]
    sres = xor(xor(padded[:4], padded[4:8]), xor(padded[8:12], padded[12:]))
    return sres, kc(vector)


def kc(vector: AkaVector) -> bytes:
    """c3: Kc = CK1 xor CK2 xor IK1 xor IK2."""
    ck, ik = vector.ck, vector.ik
    return xor(xor(ck[:8], ck[8:16]), xor(ik[:8], ik[8:16]))
