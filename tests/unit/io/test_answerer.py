"""What an answerer is told before a body comes."""

from __future__ import annotations

import pytest

from keim.io.answerer import declared_length


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (b"0", 0),
        (b"21", 21),
        (b"0" * 5000 + b"21", 21),
        (b"0" * 5000, 0),
        (b"18446744073709551615", 2**64 - 1),
        (b"", 0),
        (b"-1", 0),
        (b"+21", 0),
    ],
)
def test_a_length_is_read_however_it_is_written(value: bytes, length: int) -> None:
    assert declared_length([(b"host", b"x"), (b"content-length", value)]) == length
