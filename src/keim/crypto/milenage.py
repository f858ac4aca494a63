"""Milenage, the example algorithm set of 3GPP TS 35.206, over AES-128."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from keim.crypto.aka import AkaVector, xor

DEFAULT_ROTATIONS = bytes.fromhex("4000204060")
"""r1 to r5 in bits."""
DEFAULT_CONSTANTS = b"".join(number.to_bytes(16, "big") for number in (0, 1, 2, 4, 8))
"""c1 to c5."""

_MASK = (1 << 128) - 1


def opc(key: bytes, op: bytes) -> bytes:
    """OPc from the operator's OP: E_K(OP) xor OP."""
    return xor(_encrypt(key, op), op)


class Milenage:
    """f1 to f5* under one K and OPc."""

    __slots__ = ("_constants", "_encryptor", "_opc", "_rotations")

    def __init__(
        self,
        key: bytes,
        opc: bytes,
        rotations: bytes = DEFAULT_ROTATIONS,
        constants: bytes = DEFAULT_CONSTANTS,
    ) -> None:
        if len(key) != 16 or len(opc) != 16 or len(rotations) != 5 or len(constants) != 80:
            raise ValueError("Milenage needs a 16-octet K and OPc, five rotations, five 16-octet constants.")
        self._encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        self._opc = int.from_bytes(opc, "big")
        self._rotations = tuple(rotations)
        self._constants = tuple(int.from_bytes(constants[i : i + 16], "big") for i in range(0, 80, 16))

    def __repr__(self) -> str:
        return "Milenage(***)"

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        return self._out1(rand, sqn, amf)[:8]

    def f1_star(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        return self._out1(rand, sqn, amf)[8:]

    def f2345(self, rand: bytes) -> AkaVector:
        temp = self._temp(rand)
        out2 = self._out(temp, 1)
        return AkaVector(out2[8:], self._out(temp, 2), self._out(temp, 3), out2[:6])

    def f5_star(self, rand: bytes) -> bytes:
        return self._out(self._temp(rand), 4)[:6]

    def _temp(self, rand: bytes) -> int:
        return self._block(int.from_bytes(rand, "big") ^ self._opc)

    def _out1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        in1 = int.from_bytes((sqn + amf) * 2, "big")
        mixed = _rotate(in1 ^ self._opc, self._rotations[0]) ^ self._constants[0]
        return (self._block(self._temp(rand) ^ mixed) ^ self._opc).to_bytes(16, "big")

    def _out(self, temp: int, index: int) -> bytes:
        mixed = _rotate(temp ^ self._opc, self._rotations[index]) ^ self._constants[index]
        return (self._block(mixed) ^ self._opc).to_bytes(16, "big")

    def _block(self, value: int) -> int:
        return int.from_bytes(self._encryptor.update(value.to_bytes(16, "big")), "big")


def _rotate(value: int, bits: int) -> int:
    """Cyclic rotation towards the most significant bit."""
    bits %= 128
    return ((value << bits) | (value >> (128 - bits))) & _MASK


def _encrypt(key: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)
