"""A card made of a table: ES10 tag -> answer. It speaks T=0 as silicon does, and keeps what it was told.

For sequences that a card must see to the octet, and for cards that misbehave; the real one is keim.euicc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Answer = bytes | Callable[[bytes], bytes | int]
"""A response object, or a function of the request; an int is a status word instead."""


@dataclass
class ScriptedCard:
    functions: dict[str, Answer] = field(default_factory=dict)
    """The first octets of the request in hex -> answer; the longest match decides."""
    log: list[str] = field(default_factory=list)
    """Management commands as hex, ES10 requests as the hex of the whole object."""
    resets: int = 0
    _chain: bytes = b""
    _pending: bytes = b""

    def reset(self) -> bytes:
        self.resets += 1
        self._chain = self._pending = b""
        return bytes.fromhex("3B9F96801FC78031A073BE21136743200718000001A5")

    def transmit(self, apdu: bytes) -> bytes:
        instruction = apdu[1]
        if instruction == 0xC0:
            return self._get_response(apdu[4] or 256)
        if instruction == 0xE2:
            return self._store_data(apdu)
        self.log.append(apdu.hex().upper())
        if instruction == 0xA4:
            self._pending = bytes.fromhex("6F128410A0000005591010FFFFFFFF8900000100")
            return bytes((0x61, len(self._pending)))
        return b"\x90\x00"

    def _store_data(self, apdu: bytes) -> bytes:
        if apdu[3] == 0:
            self._chain = b""
        self._chain += apdu[5 : 5 + apdu[4]]
        if apdu[2] == 0x11:
            return b"\x90\x00"
        request, self._chain = self._chain, b""
        self.log.append(request.hex().upper())
        answer = self._answer(request)
        if isinstance(answer, int):
            return answer.to_bytes(2, "big")
        if not answer:
            return b"\x90\x00"
        self._pending = answer
        return bytes((0x61, min(len(answer), 0xFF)))

    def _answer(self, request: bytes) -> bytes | int:
        text = request.hex().upper()
        matches = [prefix for prefix in self.functions if text.startswith(prefix)]
        if not matches:
            return 0x6A88
        answer = self.functions[max(matches, key=len)]
        return answer if isinstance(answer, bytes) else answer(request)

    def _get_response(self, length: int) -> bytes:
        part, self._pending = self._pending[:length], self._pending[length:]
        left = bytes((0x61, min(len(self._pending), 0xFF))) if self._pending else b"\x90\x00"
        return part + left

    @property
    def es10(self) -> list[str]:
        """The tags of the ES10 requests, in their order."""
        return [entry[:4] for entry in self.log if not entry.startswith(("80AA", "0070", "01A4"))]
