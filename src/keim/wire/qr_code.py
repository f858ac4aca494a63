"""QR codes (ISO/IEC 18004) of short texts such as activation codes: byte mode, error correction level M.

Versions 1 to 10 hold up to 213 octets, more than any activation code. Pure; imports keim.errors only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final

from keim.errors import Refused

Matrix = list[list[bool]]

_BLOCKS: Final = {
    # version: (error correction octets per block, ((blocks, data octets in each), ...)) of level M
    1: (10, ((1, 16),)),
    2: (16, ((1, 28),)),
    3: (26, ((1, 44),)),
    4: (18, ((2, 32),)),
    5: (24, ((2, 43),)),
    6: (16, ((4, 27),)),
    7: (18, ((4, 31),)),
    8: (22, ((2, 38), (2, 39))),
    9: (22, ((3, 36), (2, 37))),
    10: (26, ((4, 43), (1, 44))),
}
_ALIGNMENT: Final = {
    1: (),
    2: (6, 18),
    3: (6, 22),
    4: (6, 26),
    5: (6, 30),
    6: (6, 34),
    7: (6, 22, 38),
    8: (6, 24, 42),
    9: (6, 26, 46),
    10: (6, 28, 50),
}
_MASKS: Final[tuple[Callable[[int, int], bool], ...]] = (
    lambda y, x: (y + x) % 2 == 0,
    lambda y, x: y % 2 == 0,
    lambda y, x: x % 3 == 0,
    lambda y, x: (y + x) % 3 == 0,
    lambda y, x: (y // 2 + x // 3) % 2 == 0,
    lambda y, x: y * x % 2 + y * x % 3 == 0,
    lambda y, x: (y * x % 2 + y * x % 3) % 2 == 0,
    lambda y, x: ((y + x) % 2 + y * x % 3) % 2 == 0,
)


def _powers() -> tuple[list[int], list[int]]:
    exponents, logarithms, value = [0] * 512, [0] * 256, 1
    for power in range(255):
        exponents[power] = exponents[power + 255] = value
        logarithms[value] = power
        value = value << 1 ^ (0x11D if value & 0x80 else 0)
    return exponents, logarithms


_EXP, _LOG = _powers()


def _product(a: int, b: int) -> int:
    return _EXP[_LOG[a] + _LOG[b]] if a and b else 0


def _correction(data: list[int], count: int) -> list[int]:
    """Reed-Solomon remainder over GF(256)."""
    generator = [1]
    for power in range(count):
        shifted = [*generator, 0]
        for index, value in enumerate(generator):
            shifted[index + 1] ^= _product(value, _EXP[power])
        generator = shifted
    remainder = [0] * count
    for octet in data:
        factor = octet ^ remainder[0]
        remainder = [*remainder[1:], 0]
        for index in range(count):
            remainder[index] ^= _product(generator[index + 1], factor)
    return remainder


def _capacity(version: int) -> int:
    return sum(count * size for count, size in _BLOCKS[version][1])


def _codewords(text: bytes, version: int) -> list[int]:
    """Mode, length, text, padding; then the blocks interleaved with their correction."""
    length_bits = 8 if version < 10 else 16
    bits = f"0100{len(text):0{length_bits}b}" + "".join(f"{octet:08b}" for octet in text)
    capacity = _capacity(version)
    bits += "0" * min(4, capacity * 8 - len(bits))
    bits += "0" * (-len(bits) % 8)
    data = [int(bits[index : index + 8], 2) for index in range(0, len(bits), 8)]
    data += [0xEC if index % 2 == 0 else 0x11 for index in range(capacity - len(data))]
    per_block, groups = _BLOCKS[version]
    blocks, start = [], 0
    for count, size in groups:
        for _ in range(count):
            blocks.append(data[start : start + size])
            start += size
    corrections = [_correction(block, per_block) for block in blocks]
    longest = max(len(block) for block in blocks)
    words = [block[i] for i in range(longest) for block in blocks if i < len(block)]
    return words + [correction[i] for i in range(per_block) for correction in corrections]


def _checked(value: int, polynomial: int, bits: int) -> int:
    """A value with its BCH remainder behind it."""
    remainder = value << bits
    for shift in range(value.bit_length() - 1, -1, -1):
        if remainder >> (shift + bits) & 1:
            remainder ^= polynomial << shift
    return value << bits | remainder


class _Drawing:
    """The modules, and which of them are fixed."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.size = 17 + 4 * version
        self.dark: Matrix = [[False] * self.size for _ in range(self.size)]
        self.fixed: Matrix = [[False] * self.size for _ in range(self.size)]
        for index in range(self.size):
            self._set(6, index, index % 2 == 0)
            self._set(index, 6, index % 2 == 0)
        for y, x in ((3, 3), (3, self.size - 4), (self.size - 4, 3)):
            self._finder(y, x)
        self._alignments()
        self.format(0)
        self._version()

    def _set(self, y: int, x: int, dark: bool) -> None:
        self.dark[y][x] = dark
        self.fixed[y][x] = True

    def _finder(self, y: int, x: int) -> None:
        for dy in range(-4, 5):
            for dx in range(-4, 5):
                if 0 <= y + dy < self.size and 0 <= x + dx < self.size:
                    self._set(y + dy, x + dx, max(abs(dy), abs(dx)) not in (2, 4))

    def _alignments(self) -> None:
        places = _ALIGNMENT[self.version]
        corners = {(6, 6), (6, self.size - 7), (self.size - 7, 6)}
        for y in places:
            for x in places:
                if (y, x) in corners:
                    continue
                for dy in range(-2, 3):
                    for dx in range(-2, 3):
                        self._set(y + dy, x + dx, max(abs(dy), abs(dx)) != 1)

    def format(self, mask: int) -> None:
        """Level M is 00; 15 bits, twice."""
        bits = (_checked(mask, 0x537, 10) if mask else 0) ^ 0x5412
        bit = [bits >> index & 1 == 1 for index in range(15)]
        for index in range(6):
            self._set(index, 8, bit[index])
            self._set(8, 5 - index, bit[9 + index])
        self._set(7, 8, bit[6])
        self._set(8, 8, bit[7])
        self._set(8, 7, bit[8])
        for index in range(8):
            self._set(8, self.size - 1 - index, bit[index])
        for index in range(8, 15):
            self._set(self.size - 15 + index, 8, bit[index])
        self._set(self.size - 8, 8, True)

    def _version(self) -> None:
        if self.version < 7:
            return
        bits = _checked(self.version, 0x1F25, 12)
        for index in range(18):
            y, x = self.size - 11 + index % 3, index // 3
            self._set(y, x, bits >> index & 1 == 1)
            self._set(x, y, bits >> index & 1 == 1)

    def free(self) -> Iterator[tuple[int, int]]:
        """The data modules, in the zigzag of the standard."""
        upward = True
        for right in (*range(self.size - 1, 6, -2), 5, 3, 1):
            rows = range(self.size - 1, -1, -1) if upward else range(self.size)
            for y in rows:
                for x in (right, right - 1):
                    if not self.fixed[y][x]:
                        yield y, x
            upward = not upward


def _penalty(matrix: Matrix) -> int:
    size = len(matrix)
    columns = [list(column) for column in zip(*matrix, strict=True)]
    total = 0
    finder = [True, False, True, True, True, False, True]
    patterns = ([False] * 4 + finder, finder + [False] * 4)
    for line in (*matrix, *columns):
        total += sum(run - 2 for run in (len(list(group)) for _, group in groupby(line)) if run >= 5)
        total += 40 * sum(line[i : i + 11] in patterns for i in range(size - 10))
    for y in range(size - 1):
        for x in range(size - 1):
            square = {matrix[y][x], matrix[y][x + 1], matrix[y + 1][x], matrix[y + 1][x + 1]}
            total += 3 * (len(square) == 1)
    dark = sum(map(sum, matrix))
    return total + 10 * (abs(dark * 20 - size * size * 10) // (size * size))


def qr_code(text: str) -> Matrix:
    """The modules, True is dark, without the quiet zone."""
    octets = text.encode()
    version = next((v for v in _BLOCKS if len(octets) + (2 if v < 10 else 3) <= _capacity(v)), None)
    if version is None:
        raise Refused(f"{len(octets)} octets do not fit into a QR code", code="qr.too_long")
    drawing = _Drawing(version)
    bits = "".join(f"{word:08b}" for word in _codewords(octets, version))
    for (y, x), bit in zip(drawing.free(), bits, strict=False):  # a few remainder modules stay light
        drawing.dark[y][x] = bit == "1"
    candidates = []
    for number, mask in enumerate(_MASKS):
        drawing.format(number)
        masked = [
            [dark ^ (mask(y, x) and not drawing.fixed[y][x]) for x, dark in enumerate(row)]
            for y, row in enumerate(drawing.dark)
        ]
        candidates.append((_penalty(masked), number, masked))
    return min(candidates)[2]


def as_text(matrix: Matrix, *, quiet: int = 2) -> str:
    """For a terminal: two modules in one character, dark modules drawn as gaps in a light field."""
    width = len(matrix) + 2 * quiet
    empty = [[False] * width for _ in range(quiet)]
    rows = [*empty, *([False] * quiet + row + [False] * quiet for row in matrix), *empty]
    if len(rows) % 2:
        rows.append([False] * width)
    glyphs = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
    return "\n".join(
        "".join(glyphs[pair] for pair in zip(rows[y], rows[y + 1], strict=True))
        for y in range(0, len(rows), 2)
    )
