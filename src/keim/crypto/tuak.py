"""TUAK, the second example algorithm set (3GPP TS 35.231), over Keccak-f[1600].

The permutation is written here because no public interface of `hashlib` or `cryptography` runs it bare. One
state of 200 octets per function: inputs enter with their octets reversed and results leave reversed.
"""

from __future__ import annotations

from keim.crypto.aka import AkaVector

_NAME = b"TUAK1.0"[::-1]
_MASK = (1 << 64) - 1
_MAC_CODE = {8: 0x08, 16: 0x10, 32: 0x20}
_RES_CODE = {4: 0x00, 8: 0x08, 16: 0x10, 32: 0x20}
_F1_STAR, _F2345, _F5_STAR = 0x80, 0x40, 0xC0


def _round_constants() -> tuple[int, ...]:
    """FIPS 202 section 3.2.5: bits of a linear feedback shift register of degree 8."""
    register, constants = 1, []
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


def _lane_moves() -> tuple[tuple[int, int, int], ...]:
    """rho and pi together (FIPS 202 sections 3.2.2, 3.2.3): (from lane, rotation, to lane)."""
    moves = [(0, 0, 0)]
    x, y = 1, 0
    for step in range(24):
        rotation = (step + 1) * (step + 2) // 2 % 64
        moves.append((x + 5 * y, rotation, y + 5 * ((2 * x + 3 * y) % 5)))
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(moves)


_CONSTANTS = _round_constants()
_MOVES = _lane_moves()


def keccak_f1600(state: bytes) -> bytes:
    """The permutation of 24 rounds on 200 octets, lanes little-endian."""
    lanes = [int.from_bytes(state[i : i + 8], "little") for i in range(0, 200, 8)]
    moved = [0] * 25
    for constant in _CONSTANTS:
        parity = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        theta = [parity[x - 1] ^ _rotate(parity[(x + 1) % 5], 1) for x in range(5)]
        for source, rotation, target in _MOVES:
            moved[target] = _rotate(lanes[source] ^ theta[source % 5], rotation)
        for row in range(0, 25, 5):
            for x in range(5):
                lanes[row + x] = moved[row + x] ^ (~moved[row + (x + 1) % 5] & moved[row + (x + 2) % 5])
        lanes[0] ^= constant
    return b"".join((lane & _MASK).to_bytes(8, "little") for lane in lanes)


def _rotate(lane: int, bits: int) -> int:
    return ((lane << bits) | (lane >> (64 - bits))) & _MASK


def topc(key: bytes, top: bytes, iterations: int = 1) -> bytes:
    """TOPc from the operator's TOP."""
    return _run(_layout(top, 0x00, key), iterations)[:32][::-1]


class Tuak:
    """f1 to f5* under one K (16 or 32 octets) and TOPc; lengths in octets."""

    __slots__ = ("_ck_length", "_ik_length", "_iterations", "_key", "_mac_length", "_res_length", "_topc")

    def __init__(
        self,
        key: bytes,
        topc: bytes,
        *,
        iterations: int = 1,
        mac_length: int = 8,
        res_length: int = 8,
        ck_length: int = 16,
        ik_length: int = 16,
    ) -> None:
        if len(key) not in {16, 32} or len(topc) != 32 or iterations < 1:
            raise ValueError("TUAK needs a K of 16 or 32 octets, a TOPc of 32 and at least one iteration.")
        if mac_length not in _MAC_CODE or res_length not in _RES_CODE or {ck_length, ik_length} - {16, 32}:
            raise ValueError("TUAK: a length is not one that TS 35.231 provides for.")
        self._key = key
        self._topc = topc
        self._iterations = iterations
        self._mac_length = mac_length
        self._res_length = res_length
        self._ck_length = ck_length
        self._ik_length = ik_length

    def __repr__(self) -> str:
        return "Tuak(***)"

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        return self._mac(0x00, rand, sqn, amf)

    def f1_star(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        return self._mac(_F1_STAR, rand, sqn, amf)

    def f2345(self, rand: bytes) -> AkaVector:
        instance = _F2345 | _RES_CODE[self._res_length]
        instance |= (0x04 if self._ck_length == 32 else 0) | (0x02 if self._ik_length == 32 else 0)
        out = self._permuted(instance, rand)
        return AkaVector(
            out[: self._res_length][::-1],
            out[32 : 32 + self._ck_length][::-1],
            out[64 : 64 + self._ik_length][::-1],
            out[96:102][::-1],
        )

    def f5_star(self, rand: bytes) -> bytes:
        return self._permuted(_F5_STAR, rand)[96:102][::-1]

    def _mac(self, instance: int, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        out = self._permuted(instance | _MAC_CODE[self._mac_length], rand, sqn, amf)
        return out[: self._mac_length][::-1]

    def _permuted(self, instance: int, rand: bytes, sqn: bytes = bytes(6), amf: bytes = bytes(2)) -> bytes:
        message = rand[::-1] + amf[::-1] + sqn[::-1]
        return _run(_layout(self._topc, instance, self._key, message), self._iterations)


def _layout(first: bytes, instance: int, key: bytes, message: bytes = bytes(24)) -> bytes:
    """The state of TS 35.231 clause 6; `message` is RAND, AMF, SQN, each reversed."""
    state = first[::-1] + bytes([instance | (len(key) == 32)]) + _NAME + message
    return state + key[::-1].ljust(32, b"\0") + b"\x1f" + bytes(38) + b"\x80" + bytes(64)


def _run(state: bytes, iterations: int) -> bytes:
    for _ in range(iterations):
        state = keccak_f1600(state)
    return state
