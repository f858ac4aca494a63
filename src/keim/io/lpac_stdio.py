"""The JSON protocol of lpac's stdio driver: lpac writes a request per line, the card's side answers per line.

    {"type":"apdu","payload":{"func":"transmit","param":"<hex>"}}
    {"type":"apdu","payload":{"ecode":0,"data":"<hex>"}}

`ecode` is 0 for success, the channel number for `logic_channel_open`, -1 for failure. Lines of another type
(lpac's own results and progress) are not ours; they go to the caller's `others`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

from keim.errors import Unreachable
from keim.euicc.faults import PowerLost
from keim.seams import CardChannel

FAILED = -1


class Payload(TypedDict, total=False):
    ecode: int
    data: str


class LpacSession:
    """One connected client. Every request gets one answer, whatever it says."""

    def __init__(self, card: CardChannel) -> None:
        self._card = card

    def answer(self, payload: object) -> Payload:
        """The answer's payload for a request's payload."""
        if not isinstance(payload, dict):
            return {"ecode": FAILED}
        param = payload.get("param")
        try:
            octets = bytes.fromhex(param) if isinstance(param, str) else b""
            return self._perform(payload.get("func"), octets)
        except (ValueError, PowerLost):  # no hexadecimal, or a fault control cut the card's power
            return {"ecode": FAILED}

    def _perform(self, func: object, octets: bytes) -> Payload:
        match func:
            case "connect":
                self._card.reset()
                return {"ecode": 0}
            case "disconnect":
                self._card.close()
                return {"ecode": 0}
            case "transmit":
                return {"ecode": 0, "data": self._card.transmit(octets).hex()}
            case "logic_channel_open":
                return self._open_channel(octets)
            case "logic_channel_close":
                return self._close_channel(octets)
            case _:
                return {"ecode": FAILED}

    def _open_channel(self, aid: bytes) -> Payload:
        opened = self._card.transmit(bytes.fromhex("0070000001"))
        if len(opened) != 3 or not _is_fine(opened):
            return {"ecode": FAILED}
        number = opened[0]
        if aid:
            selected = self._card.transmit(_select(number, aid))
            if not _is_fine(selected):
                self._card.transmit(bytes([0x00, 0x70, 0x80, number]))
                return {"ecode": FAILED}
        return {"ecode": number}

    def _close_channel(self, param: bytes) -> Payload:
        if len(param) != 1:
            return {"ecode": FAILED}
        closed = self._card.transmit(bytes([0x00, 0x70, 0x80, param[0]]))
        return {"ecode": 0 if _is_fine(closed) else FAILED}


def serve_lines(
    card: CardChannel,
    lines: Iterable[str],
    write: Callable[[str], object],
    others: Callable[[str], object] = lambda line: None,
) -> None:
    """Answers request lines until the client's output ends."""
    session = LpacSession(card)
    for line in lines:
        payload = _apdu_payload(line)
        if payload is None:
            others(line)
            continue
        message = {"type": "apdu", "payload": session.answer(payload)}
        write(json.dumps(message, separators=(",", ":")) + "\n")


def serve_command(card: CardChannel, command: Sequence[str], others: Callable[[str], object]) -> int:
    """Starts the client with its standard streams crossed with ours; returns its exit code."""
    try:
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    except OSError as fault:
        raise Unreachable(
            f"Cannot start {command[0]}: {fault.strerror}", code="euicc.client_not_started"
        ) from fault
    with client:
        stdin, stdout = client.stdin, client.stdout
        assert stdin is not None
        assert stdout is not None

        def write(line: str) -> None:
            # The client may end without waiting for its answer. The pipe has no buffer of ours, so that
            # nothing is left to be written, and to fail again, when it is closed.
            with contextlib.suppress(BrokenPipeError):
                rest = memoryview(line.encode())
                while rest:
                    rest = rest[stdin.write(rest) :]

        with open(stdout.fileno(), encoding="utf-8", errors="replace", closefd=False) as lines:
            serve_lines(card, lines, write, others)
    return client.returncode


def _apdu_payload(line: str) -> object | None:
    """The payload of a request of type apdu; None for a line that is no such request."""
    try:
        message: object = json.loads(line)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("type") != "apdu":
        return None
    payload: object = message.get("payload")
    return payload if payload is not None else {}


def _select(channel: int, aid: bytes) -> bytes:
    cla = channel if channel < 4 else 0x40 | (channel - 4)
    return bytes([cla, 0xA4, 0x04, 0x00, len(aid)]) + aid


def _is_fine(response: bytes) -> bool:
    return response[-2:-1] in {b"\x90", b"\x91", b"\x61"}
