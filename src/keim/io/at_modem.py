"""The card behind a modem's AT port: +CCHO, +CGLA, +CCHC, or +CSIM (bindings §12.5).

Tested against a scripted modem on a pseudo-terminal; not tried on hardware. What modems do otherwise stands
in modem_quirks.toml. Imports keim.errors and its neighbours only.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Callable
from importlib.resources import files
from typing import Final, Literal

import msgspec

from keim.errors import Malformed, Refused, TimedOut
from keim.io.at_port import AtPort
from keim.io.modem_channels import ModemChannels
from keim.seams import CardChannel

_CSIM: Final = re.compile(r'\+CSIM:\s*\d+\s*,\s*"?(?P<hex>[0-9A-Fa-f]*)"?')
_CGLA: Final = re.compile(r'\+CGLA:\s*\d+\s*,\s*"?(?P<hex>[0-9A-Fa-f]*)"?')
_CCHO: Final = re.compile(r"(?:\+CCHO:\s*)?(?P<id>\d+)\s*")
READY_S: Final = 60.0


class Quirks(msgspec.Struct, frozen=True):
    match: str = ""
    note: str = ""
    way: Literal["session", "csim"] = "session"
    keeps_class: bool = False
    block_size: int = 120
    reset: tuple[str, ...] = ("AT+CFUN=0", "AT+CFUN=1")
    open_answer: Literal["id", "bare"] = "id"
    adds_le: bool = False


class _QuirkFile(msgspec.Struct):
    modem: tuple[Quirks, ...]


def quirks_of(identity: str) -> Quirks:
    """The row for what the modem says of itself (ATI)."""
    document = tomllib.loads(files("keim.io").joinpath("modem_quirks.toml").read_text("utf-8"))
    rows = msgspec.convert(document, _QuirkFile).modem
    return next(row for row in rows if re.search(row.match, identity))


def open_at(
    port: AtPort,
    *,
    way: Literal["session", "csim"] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[CardChannel, Quirks]:
    """The channel that this modem supports, with its quirks. `way` overrides the table."""
    port.command("ATE0")
    quirks = quirks_of("\n".join(port.command("ATI")))
    chosen = way or quirks.way
    if chosen == "session" and way is None:
        try:
            port.command("AT+CCHO=?")
        except Refused:
            chosen = "csim"
    if chosen == "csim":
        return CsimChannel(port, quirks, sleep), quirks
    sessions = AtSessions(port, quirks, sleep)
    return ModemChannels(sessions, keeps_class_channel=quirks.keeps_class), quirks


def power_cycle(port: AtPort, quirks: Quirks, sleep: Callable[[float], None]) -> bytes:
    """Powers the card down and up, and waits until the modem has it again. A modem does not show the ATR."""
    for command in quirks.reset:
        port.command(command)
    for _ in range(int(READY_S)):
        try:
            port.command("AT+CPIN?", timeout_s=5.0)
        except (Refused, TimedOut):
            sleep(1.0)
        else:
            return b""
    raise TimedOut("the modem does not see the card after its reset", code="ipa.modem_silent")


class CsimChannel:
    """APDUs as they are, on the modem's own connection to the card."""

    def __init__(self, port: AtPort, quirks: Quirks, sleep: Callable[[float], None]) -> None:
        self._port, self._quirks, self._sleep = port, quirks, sleep

    def transmit(self, apdu: bytes) -> bytes:
        return _answer(self._port, "AT+CSIM=", _with_le(apdu, self._quirks), _CSIM)

    def reset(self) -> bytes:
        return power_cycle(self._port, self._quirks, self._sleep)

    def close(self) -> None:
        self._port.close()


class AtSessions:
    """Sessions opened by the modem."""

    def __init__(self, port: AtPort, quirks: Quirks, sleep: Callable[[float], None]) -> None:
        self._port, self._quirks, self._sleep = port, quirks, sleep

    def open_session(self, aid: bytes) -> tuple[int, bytes]:
        lines = self._port.command(f'AT+CCHO="{aid.hex().upper()}"')
        wants_prefix = self._quirks.open_answer == "id"
        for line in lines:
            found = _CCHO.fullmatch(line)
            if found and (line.startswith("+CCHO") or not wants_prefix):
                return int(found["id"]), b"\x90\x00"  # the modem keeps the answer to SELECT for itself
        raise Malformed(
            "no session number came",
            offset=0,
            code="ipa.modem_unreadable",
            party="modem",
            evidence=" ".join(lines)[:200],
        )

    def send(self, session: int, apdu: bytes) -> bytes:
        return _answer(self._port, f"AT+CGLA={session},", _with_le(apdu, self._quirks), _CGLA)

    def close_session(self, session: int) -> None:
        try:
            self._port.command(f"AT+CCHC={session}")
        except Refused:
            return  # the modem closed it with its own reset

    def send_basic(self, apdu: bytes) -> bytes | None:
        try:
            return _answer(self._port, "AT+CSIM=", apdu, _CSIM)
        except Refused:
            return None

    def reset(self) -> bytes:
        return power_cycle(self._port, self._quirks, self._sleep)

    def close(self) -> None:
        self._port.close()


def _with_le(apdu: bytes, quirks: Quirks) -> bytes:
    is_case_3 = len(apdu) > 5 and len(apdu) == 5 + apdu[4]
    return apdu + b"\x00" if quirks.adds_le and is_case_3 else apdu


def _answer(port: AtPort, command: str, apdu: bytes, pattern: re.Pattern[str]) -> bytes:
    """The response APDU; lengths are in characters, and some modems count otherwise: the digits decide."""
    lines = port.command(f'{command}{2 * len(apdu)},"{apdu.hex().upper()}"')
    for line in lines:
        found = pattern.fullmatch(line)
        if found and len(found["hex"]) % 2 == 0 and len(found["hex"]) >= 4:
            return bytes.fromhex(found["hex"])
    raise Malformed(
        "no response APDU came",
        offset=0,
        code="ipa.modem_unreadable",
        party="modem",
        evidence=" ".join(lines)[:200],
    )
