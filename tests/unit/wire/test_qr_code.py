"""QR codes against a symbol of the standard and against a reading of our own."""

from __future__ import annotations

import pytest

from keim.errors import Refused
from keim.wire.qr_code import _BLOCKS, _EXP, _MASKS, _Drawing, _product, as_text, qr_code

TEXTS = ["A", "LPA:1$smdp.example.com$ABC-1", "x" * 60, "y" * 120, "z" * 154, "w" * 213]


def syndromes(block: list[int], count: int) -> list[int]:
    """All zero for a right Reed-Solomon word: the check that a reader makes."""
    found = []
    for power in range(count):
        value = 0
        for octet in block:
            value = _product(value, _EXP[power]) ^ octet
        found.append(value)
    return found


def read(matrix: list[list[bool]]) -> str:
    """A reader without a camera: format, mask, zigzag, blocks, correction check, text."""
    version = (len(matrix) - 17) // 4
    bits = 0
    for index in range(6):
        bits |= matrix[index][8] << index
    bits |= matrix[7][8] << 6 | matrix[8][8] << 7 | matrix[8][7] << 8
    for index in range(9, 15):
        bits |= matrix[8][14 - index] << index
    format_ = (bits ^ 0x5412) >> 10
    assert format_ >> 3 == 0, "level M"
    mask = _MASKS[format_ & 7]
    drawing = _Drawing(version)
    stream = "".join(str(int(matrix[y][x] ^ mask(y, x))) for y, x in drawing.free())
    words = [int(stream[i : i + 8], 2) for i in range(0, len(stream) - 7, 8)]
    per_block, groups = _BLOCKS[version]
    sizes = [size for count, size in groups for _ in range(count)]
    blocks: list[list[int]] = [[] for _ in sizes]
    position = 0
    for index in range(max(sizes)):
        for block, size in zip(blocks, sizes, strict=True):
            if index < size:
                block.append(words[position])
                position += 1
    data = [octet for block in blocks for octet in block]
    for _ in range(per_block):
        for block in blocks:
            block.append(words[position])
            position += 1
    assert all(not any(syndromes(block, per_block)) for block in blocks)
    text = "".join(f"{octet:08b}" for octet in data)
    assert text[:4] == "0100"
    width = 8 if version < 10 else 16
    length = int(text[4 : 4 + width], 2)
    start = 4 + width
    return bytes(int(text[start + 8 * i : start + 8 * i + 8], 2) for i in range(length)).decode()


@pytest.mark.parametrize("text", TEXTS)
def test_a_reader_gets_the_text_back(text: str) -> None:
    assert read(qr_code(text)) == text


@pytest.mark.parametrize("text", TEXTS)
def test_the_finders_and_the_timing_stand_where_a_camera_looks_for_them(text: str) -> None:
    matrix = qr_code(text)
    size = len(matrix)
    finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        rows = ["".join(str(int(cell)) for cell in matrix[top + i][left : left + 7]) for i in range(7)]
        assert rows == finder
    assert [matrix[6][x] for x in range(8, size - 8)] == [x % 2 == 0 for x in range(8, size - 8)]
    assert matrix[size - 8][8]


def test_the_format_bits_are_those_of_the_standard() -> None:
    """ISO/IEC 18004 annex: level M with mask 5 is 100000011001110."""
    drawing = _Drawing(1)
    drawing.format(5)
    column = [drawing.dark[y][8] for y in (0, 1, 2, 3, 4, 5, 7, 8)]
    row = [drawing.dark[8][x] for x in (7, 5, 4, 3, 2, 1, 0)]
    bits = "".join(str(int(bit)) for bit in reversed(column + row))
    assert bits == "100000011001110"


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        qr_code("x" * 214)
    assert caught.value.code == "qr.too_long"


def test_the_drawing_for_a_terminal_is_square_and_has_its_quiet_zone() -> None:
    lines = as_text(qr_code("A")).splitlines()
    assert {len(line) for line in lines} == {25}
    assert lines[0] == "█" * 25
    assert len(lines) == 13
