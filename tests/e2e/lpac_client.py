"""A client that speaks lpac's stdio protocol as lpac does: one JSON line per request, blocks of 120 octets,
GET RESPONSE with CLA 8x. Run as a program it lists the profiles of the card behind its pipes.
"""

from __future__ import annotations

import json
import sys
from typing import IO, Any

ISD_R = "a0000005591010ffffffff8900000100"
BLOCK = 120


class LpacClient:
    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers
        self.channel = 0

    def call(self, func: str, param: str | None = None) -> dict[str, Any]:
        message = {"type": "apdu", "payload": {"func": func, "param": param}}
        self._requests.write(json.dumps(message) + "\n")
        self._requests.flush()
        answer = json.loads(self._answers.readline())
        assert answer["type"] == "apdu"
        payload: dict[str, Any] = answer["payload"]
        return payload

    def open(self) -> None:
        assert self.call("connect")["ecode"] == 0
        assert self._transmit("80aa00000aa9088100820101830107")[-2:] == b"\x90\x00"
        self.channel = self.call("logic_channel_open", ISD_R)["ecode"]
        assert self.channel > 0

    def close(self) -> None:
        assert self.call("logic_channel_close", f"{self.channel:02x}")["ecode"] == 0
        assert self.call("disconnect")["ecode"] == 0

    def _transmit(self, apdu: str) -> bytes:
        payload = self.call("transmit", apdu)
        assert payload["ecode"] == 0
        return bytes.fromhex(payload["data"])

    def es10(self, request: str) -> str:
        """One function: STORE DATA in blocks, then GET RESPONSE as long as 61xx comes."""
        octets, cla = bytes.fromhex(request), 0x80 | self.channel
        blocks = [octets[i : i + BLOCK] for i in range(0, len(octets), BLOCK)]
        response = b""
        for number, block in enumerate(blocks):
            p1 = 0x91 if number == len(blocks) - 1 else 0x11
            response = self._transmit(f"{cla:02x}e2{p1:02x}{number:02x}{len(block):02x}{block.hex()}")
        data = response[:-2]
        while response[-2] == 0x61:
            response = self._transmit(f"{cla:02x}c00000{response[-1]:02x}")
            data += response[:-2]
        assert response[-2] & 0xF0 == 0x90, response.hex()
        return data.hex().upper()


def main() -> None:
    client = LpacClient(sys.stdout, sys.stdin)
    client.open()
    profiles = client.es10("bf2d00")
    client.close()
    result = {"type": "lpa", "payload": {"code": 0, "message": "success", "data": profiles}}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
