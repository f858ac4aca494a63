"""The way to a card, written as one word: pcsc:, at:, at-csim:, mbim:, qmi:, tcp: or card:.

Imports its neighbours when they are needed, so that `--help` needs no driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keim.errors import Refused
from keim.seams import CardChannel

UNTRIED = {
    "pcsc": "pcsc: with vsmartcard's virtual reader, not on hardware",
    "at": "at: with a scripted modem, not on hardware",
    "at-csim": "at-csim: with a scripted modem, not on hardware",
    "mbim": "mbim: with a scripted mbimcli, not on hardware",
    "qmi": "qmi: with a scripted qmi-proxy, not on hardware",
}
"""What the ways to the card have seen so far, for those that have not seen hardware."""
KINDS = "pcsc:[READER], at:PORT, at-csim:PORT, mbim:DEVICE, qmi:DEVICE[#SLOT], tcp:HOST:PORT, card:FILE"


@dataclass(frozen=True, slots=True)
class OpenedCard:
    channel: CardChannel
    block_size: int
    """Largest STORE DATA block that gets through."""
    is_behind_modem: bool
    """A modem owns the card: it answers proactive commands, and sees a REFRESH."""


def open_card_at(address: str) -> OpenedCard:
    kind, _, rest = address.partition(":")
    match kind:
        case "pcsc":
            from keim.io.pcsc import PcscChannel

            return OpenedCard(PcscChannel(rest), 255, False)
        case "at" | "at-csim":
            return _open_at(rest, is_csim=kind == "at-csim")
        case "mbim":
            from keim.io.mbim import open_mbim

            return OpenedCard(open_mbim(rest), 255, True)
        case "qmi":
            from keim.io.qmi import open_qmi

            device, _, slot = rest.partition("#")
            return OpenedCard(open_qmi(device, slot=_number(slot, 1, address)), 255, True)
        case "tcp":
            from keim.io.card_tcp import TcpCardChannel

            host, port = _host_port(rest, address)
            return OpenedCard(TcpCardChannel(host, port), 255, False)
        case "card":
            return OpenedCard(_open_file(Path(rest)), 255, False)
    raise Refused(f"{address!r} is no way to a card: {KINDS}", code="ipa.unknown_channel")


def _open_at(rest: str, *, is_csim: bool) -> OpenedCard:
    from keim.io.at_modem import open_at
    from keim.io.at_port import AtPort, SerialLine, TcpLine

    if rest.startswith("tcp:"):
        port = AtPort(TcpLine(*_host_port(rest.removeprefix("tcp:"), rest)))
    else:
        path, _, speed = rest.partition("@")
        port = AtPort(SerialLine(path, speed=_number(speed, 115_200, rest)))
    channel, quirks = open_at(port, way="csim" if is_csim else None)
    return OpenedCard(channel, quirks.block_size, True)


def _number(text: str, default: int, address: str) -> int:
    if text and not text.isdecimal():
        raise Refused(f"{address!r}: {text!r} is no number", code="ipa.unknown_channel")
    return int(text) if text else default


def _host_port(text: str, address: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise Refused(f"{address!r} needs HOST:PORT", code="ipa.unknown_channel")
    return host, int(port)


def _open_file(path: Path) -> CardChannel:
    from keim.euicc.card import Card
    from keim.io.card_file import CardFile
    from keim.io.entropy import OsEntropy

    medium = CardFile.open(path)
    return FileCard(Card(medium.identity, OsEntropy(), medium=medium), medium)


class FileCard:
    """A card of ours in this process; closing it releases its file."""

    def __init__(self, card: CardChannel, medium: object) -> None:
        self._card, self._medium = card, medium

    def transmit(self, apdu: bytes) -> bytes:
        return self._card.transmit(apdu)

    def reset(self) -> bytes:
        return self._card.reset()

    def close(self) -> None:
        self._card.close()
        close = getattr(self._medium, "close", None)
        if close is not None:
            close()
