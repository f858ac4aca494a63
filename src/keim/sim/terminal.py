"""A modem as a card sees it: TERMINAL PROFILE, FETCH, BIP channels, timers, events, REFRESH.

Time is a number. Just enough of TS 102 223 for an application in the card that needs a network. Where a
channel leads is the
business of `dial`: a stream in memory for tests, a socket for a laboratory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from keim.seams import CardChannel
from keim.wire import bip

TERMINAL_PROFILE = b"\xff" * 34
"""Everything supported; octet 34, bit 6 says "eUICC profile state change" (else REFRESH asks for a reset)."""
TERMINAL_PROFILE_WITHOUT_STATE_CHANGE = b"\xff" * 33 + b"\xdf"
CAPABILITY_WITHOUT_IPAD = bytes.fromhex("A903830100")
MOST_CHANNELS = 7


class Stream(Protocol):
    """The far end of a channel."""

    def send(self, octets: bytes) -> None: ...

    def receive(self, *, waits: bool) -> bytes:
        """What has arrived by now; nothing is no error. `waits`: the card can do nothing until then."""
        ...

    def close(self) -> None: ...


Dial = Callable[[int, bytes, int], "Stream | None"]
"""(protocol, IPv4 address, port) -> a stream, or None where nobody answers."""


@dataclass
class Channel:
    stream: Stream
    buffer: bytes = b""


@dataclass
class Terminal:
    card: CardChannel
    dial: Dial
    plmn: bytes | None = bytes.fromhex("62F220")
    epoch: datetime = field(default_factory=lambda: datetime(2026, 11, 20, 12))
    profile: bytes = TERMINAL_PROFILE
    has_network: Callable[[], bool] = lambda: True
    on_profile_change: Callable[[], None] = lambda: None
    """A REFRESH that is no reset: the modem reads the card anew and looks for the other network."""
    now_s: float = 0.0
    timers: dict[int, float] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    commands: list[int] = field(default_factory=list)
    """Types of the proactive commands, in their order."""
    resets: int = 0
    octets: int = 0
    """Carried by SEND DATA and RECEIVE DATA."""

    def start(self) -> None:
        """Power-up: reset, TERMINAL CAPABILITY, TERMINAL PROFILE, and what the card wants then."""
        self.resets += 1
        self.timers.clear()
        for channel in self.channels.values():
            channel.stream.close()
        self.channels.clear()
        self.card.reset()
        self._send(bytes((0x80, 0xAA, 0, 0, len(CAPABILITY_WITHOUT_IPAD))) + CAPABILITY_WITHOUT_IPAD)
        self._send(bytes((0x80, 0x10, 0, 0, len(self.profile))) + self.profile)

    def set_clock(self, moment: datetime) -> None:
        """What the terminal tells a card that asks for date and time; timers are not touched."""
        self.epoch = moment - timedelta(seconds=self.now_s)

    def run(self, seconds: float) -> None:
        """Lets time pass: timers expire in their order."""
        until = self.now_s + seconds
        while self.timers:
            timer, moment = min(self.timers.items(), key=lambda item: item[1])
            if moment > until:
                break
            self.now_s = max(self.now_s, moment)
            del self.timers[timer]
            self._envelope(bip.timer_expired(timer))
        self.now_s = until

    def _envelope(self, data: bytes) -> None:
        self._send(bytes((0x80, 0xC2, 0, 0, len(data))) + data)

    def _send(self, apdu: bytes) -> None:
        """One command, then everything that waits to be fetched, then the events that came of it."""
        answer = self.card.transmit(apdu)
        while answer[-2:-1] == b"\x91":
            fetched = self.card.transmit(bytes((0x80, 0x12, 0, 0, answer[-1])))
            response, is_reset = self._perform(fetched[:-2])
            answer = self.card.transmit(bytes((0x80, 0x14, 0, 0, len(response))) + response)
            if is_reset:
                self.start()
                return
            if self.commands[-1] == bip.REFRESH:
                self.on_profile_change()
            while answer[-2:-1] != b"\x91" and (event := self._event()) is not None:
                answer = self.card.transmit(bytes((0x80, 0xC2, 0, 0, len(event))) + event)

    def _event(self) -> bytes | None:
        """ "Data available" for the first channel whose empty buffer has filled."""
        for number, channel in self.channels.items():
            if not channel.buffer:
                channel.buffer = channel.stream.receive(waits=True)
                if channel.buffer:
                    left = min(len(channel.buffer), 0xFF)
                    return bip.event(
                        bip.EVENT_DATA_AVAILABLE,
                        bip.object_tlv(0x80 | bip.CHANNEL_STATUS, bytes((0x80 | number, 0x00))),
                        bip.object_tlv(0x80 | bip.CHANNEL_DATA_LENGTH, bytes((left,))),
                    )
        return None

    def _perform(self, octets: bytes) -> tuple[bytes, bool]:
        """The TERMINAL RESPONSE to a proactive command, and whether the card is reset after it."""
        members = bip.inside(octets, bip.PROACTIVE)
        details = members[bip.DETAILS]
        kind, qualifier = details[1], details[2]
        self.commands.append(kind)
        performed = bytes((bip.PERFORMED,))
        target = members[bip.DEVICES][1]
        match kind:
            case bip.REFRESH:
                return bip.response(details, performed), qualifier != 0x09
            case bip.TIMER_MANAGEMENT:
                seconds = bip.timer_seconds(members[bip.TIMER_VALUE])
                self.timers[members[bip.TIMER_ID][0]] = self.now_s + seconds
            case bip.PROVIDE_LOCAL_INFORMATION:
                return self._local_information(details, qualifier), False
            case bip.OPEN_CHANNEL:
                return self._open(details, members), False
            case bip.SEND_DATA | bip.RECEIVE_DATA | bip.CLOSE_CHANNEL:
                return self._on_channel(details, kind, target & 0x07, members), False
        return bip.response(details, performed), False

    def _local_information(self, details: bytes, qualifier: int) -> bytes:
        performed = bytes((bip.PERFORMED,))
        if qualifier == bip.DATE_AND_TIME:
            moment = self.epoch + timedelta(seconds=self.now_s)
            parts = (moment.year % 100, moment.month, moment.day, moment.hour, moment.minute, moment.second)
            value = bytes(bip.swapped(part) for part in parts) + b"\x00"
            return bip.response(details, performed, bip.object_tlv(0x80 | bip.DATE_TIME, value))
        if self.plmn is None or not self.has_network():
            return bip.response(details, b"\x20\x04")  # terminal currently unable: no service
        location = bip.object_tlv(0x80 | bip.LOCATION, self.plmn + bytes(6))
        return bip.response(details, performed, location)

    def _open(self, details: bytes, members: dict[int, bytes]) -> bytes:
        transport = members[bip.TRANSPORT]
        address = members[bip.DESTINATION][1:]
        number = next((n for n in range(1, MOST_CHANNELS + 1) if n not in self.channels), None)
        if number is None:
            return bip.response(details, bytes((bip.BIP_ERROR, 0x01)))
        stream = None
        if self.has_network():
            stream = self.dial(transport[0], address, int.from_bytes(transport[1:3], "big"))
        if stream is None:
            return bip.response(details, bytes((bip.BIP_ERROR, 0x07)))
        self.channels[number] = Channel(stream)
        status = bip.object_tlv(0x80 | bip.CHANNEL_STATUS, bytes((0x80 | number, 0x00)))
        return bip.response(details, bytes((bip.PERFORMED,)), status)

    def _on_channel(self, details: bytes, kind: int, number: int, members: dict[int, bytes]) -> bytes:
        channel = self.channels.get(number)
        if channel is None:
            return bip.response(details, bytes((bip.BIP_ERROR, 0x03)))
        performed = bytes((bip.PERFORMED,))
        if kind == bip.CLOSE_CHANNEL:
            channel.stream.close()
            del self.channels[number]
            return bip.response(details, performed)
        if kind == bip.SEND_DATA:
            data = members[bip.CHANNEL_DATA]
            self.octets += len(data)
            channel.stream.send(data)
            return bip.response(details, performed, bip.object_tlv(0x80 | bip.CHANNEL_DATA_LENGTH, b"\xff"))
        wanted = members[bip.CHANNEL_DATA_LENGTH][0]
        if len(channel.buffer) < wanted:
            channel.buffer += channel.stream.receive(waits=False)
        data, channel.buffer = channel.buffer[:wanted], channel.buffer[wanted:]
        self.octets += len(data)
        left = bip.object_tlv(0x80 | bip.CHANNEL_DATA_LENGTH, bytes((min(len(channel.buffer), 0xFF),)))
        return bip.response(details, performed, bip.object_tlv(0x80 | bip.CHANNEL_DATA, data), left)
