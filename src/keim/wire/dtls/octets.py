"""Reading and writing the vectors of TLS (RFC 5246 §4.3). Pure."""

from __future__ import annotations

from keim.wire.dtls.faults import malformed


class Reader:
    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, octets: int) -> bytes:
        start, end = self._position, self._position + octets
        if end > len(self._data):
            raise malformed("the message ends too early", start)
        self._position = end
        return self._data[start:end]

    def number(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "big")

    def vector(self, length_octets: int) -> bytes:
        """In one step, since a hello is made of them."""
        data, position = self._data, self._position
        start = position + length_octets
        end = start + int.from_bytes(data[position:start], "big")
        if end > len(data):
            raise malformed("the message ends too early", position)
        self._position = end
        return data[start:end]

    @property
    def is_at_end(self) -> bool:
        return self._position == len(self._data)

    def end(self) -> None:
        if not self.is_at_end:
            raise malformed("octets behind the message's end", self._position)


def vector(length_octets: int, content: bytes) -> bytes:
    return len(content).to_bytes(length_octets, "big") + content


def numbers(data: bytes, octets: int = 2) -> tuple[int, ...]:
    if len(data) % octets:
        raise malformed("a list of uneven length")
    return tuple(int.from_bytes(data[i : i + octets], "big") for i in range(0, len(data), octets))
