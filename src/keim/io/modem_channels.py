"""A `CardChannel` on modems that open logical channels themselves (AT+CCHO, QMI, MBIM).

Such a modem refuses MANAGE CHANNEL as an APDU. So it is answered here, the channel is opened in the modem
when an application is selected on it, and every later APDU travels in that session. Imports keim.errors only.
"""

from __future__ import annotations

from typing import Protocol

from keim.errors import Refused

MANAGE_CHANNEL, SELECT, GET_RESPONSE = 0x70, 0xA4, 0xC0
OK = b"\x90\x00"
CHANNEL_NOT_SUPPORTED = b"\x68\x81"
CONDITIONS_NOT_SATISFIED = b"\x69\x85"
WRONG_PARAMETERS = b"\x6a\x86"
MOST_CHANNELS = 19


class ModemSessions(Protocol):
    """What a modem offers instead of MANAGE CHANNEL."""

    def open_session(self, aid: bytes) -> tuple[int, bytes]:
        """The modem's number of the session, and the answer to SELECT with its status word."""
        ...

    def send(self, session: int, apdu: bytes) -> bytes: ...

    def close_session(self, session: int) -> None: ...

    def send_basic(self, apdu: bytes) -> bytes | None:
        """On the basic channel; None where the modem does not let anybody there."""
        ...

    def reset(self) -> bytes: ...

    def close(self) -> None: ...


class ModemChannels:
    """The translation; one instance per card."""

    def __init__(self, modem: ModemSessions, *, keeps_class_channel: bool = False) -> None:
        self._modem = modem
        self._keeps_class_channel = keeps_class_channel
        """Some modems want the class byte with the channel, most want channel 0 and put theirs in."""
        self._sessions: dict[int, int | None] = {}
        self._pending: dict[int, bytes] = {}

    def transmit(self, apdu: bytes) -> bytes:
        if len(apdu) < 4:
            return b"\x67\x00"
        if apdu[1] == MANAGE_CHANNEL:
            return self._manage(apdu)
        channel = _channel_of(apdu[0])
        if channel == 0:
            answer = self._modem.send_basic(apdu)
            return b"\x6d\x00" if answer is None else answer
        if channel not in self._sessions:
            return CHANNEL_NOT_SUPPORTED
        if apdu[1] == SELECT and apdu[2] == 0x04:
            return self._select(channel, apdu)
        if apdu[1] == GET_RESPONSE and channel in self._pending:
            return self._get_response(channel, apdu[4] if len(apdu) > 4 else 0)
        session = self._sessions[channel]
        if session is None:
            return CONDITIONS_NOT_SATISFIED
        self._pending.pop(channel, None)
        cla = apdu[0] if self._keeps_class_channel else _without_channel(apdu[0])
        return self._modem.send(session, bytes((cla,)) + apdu[1:])

    def _manage(self, apdu: bytes) -> bytes:
        if apdu[2] == 0x80:
            return self._close_channel(apdu[3])
        number = apdu[3] or next((n for n in range(1, MOST_CHANNELS + 1) if n not in self._sessions), 0)
        if not 1 <= number <= MOST_CHANNELS or number in self._sessions:
            return WRONG_PARAMETERS
        self._sessions[number] = None  # the modem opens it with the first SELECT
        return OK if apdu[3] else bytes((number,)) + OK

    def _close_channel(self, number: int) -> bytes:
        if number not in self._sessions:
            return WRONG_PARAMETERS
        session = self._sessions.pop(number)
        self._pending.pop(number, None)
        if session is not None:
            self._modem.close_session(session)
        return OK

    def _select(self, channel: int, apdu: bytes) -> bytes:
        session = self._sessions[channel]
        if session is not None:
            self._modem.close_session(session)
            self._sessions[channel] = None
        aid = apdu[5 : 5 + apdu[4]] if len(apdu) > 5 else b""
        try:
            session, answer = self._modem.open_session(aid)
        except Refused:
            return b"\x6a\x82"
        self._sessions[channel] = session
        if len(answer) <= 2 or answer[-2:] != OK:
            return answer or OK
        self._pending[channel] = answer[:-2]
        return bytes((0x61, min(len(answer) - 2, 0xFF)))

    def _get_response(self, channel: int, wanted: int) -> bytes:
        waiting = self._pending.pop(channel)
        part, rest = waiting[: wanted or 256], waiting[wanted or 256 :]
        if rest:
            self._pending[channel] = rest
            return part + bytes((0x61, min(len(rest), 0xFF)))
        return part + OK

    def reset(self) -> bytes:
        self._sessions.clear()
        self._pending.clear()
        return self._modem.reset()

    def close(self) -> None:
        for session in self._sessions.values():
            if session is not None:
                self._modem.close_session(session)
        self._sessions.clear()
        self._modem.close()


def _channel_of(cla: int) -> int:
    return (cla & 0x0F) + 4 if cla & 0x40 else cla & 0x03


def _without_channel(cla: int) -> int:
    return cla & 0xB0 if cla & 0x40 else cla & 0xFC
