"""The contract of `CardChannel` for the ways of an IPA to its card: modems by AT, MBIM and QMI, and a file.

What these can promise is what an IPA needs (tests/contract/test_card_channel.py asks more of a plain reader:
a modem shows no ATR and keeps the basic channel for itself).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.roles.ipa_lab import IpaLab
from tests.unit.ipa.test_modems import ScriptedMbimcli, ScriptedModem, ScriptedProxy, read_eid

from keim.euicc.card import Card
from keim.io.at_modem import open_at
from keim.io.at_port import AtPort
from keim.io.card_address import open_card_at
from keim.io.card_file import CardFile
from keim.io.mbim import open_mbim
from keim.io.qmi import open_qmi
from keim.seams import CardChannel


class ModemLine:
    """A scripted modem without a terminal between."""

    def __init__(self, modem: ScriptedModem) -> None:
        self.modem, self.waiting = modem, b""

    def write(self, octets: bytes) -> None:
        self.waiting += self.modem.answer(octets.decode().strip()).encode()

    def read(self, timeout_s: float) -> bytes:
        waiting, self.waiting = self.waiting, b""
        return waiting

    def close(self) -> None:
        pass


def by_sessions(card: Card, folder: Path) -> CardChannel:
    return open_at(AtPort(ModemLine(ScriptedModem(card))), sleep=lambda seconds: None)[0]


def by_csim(card: Card, folder: Path) -> CardChannel:
    return open_at(AtPort(ModemLine(ScriptedModem(card))), way="csim", sleep=lambda seconds: None)[0]


def by_mbim(card: Card, folder: Path) -> CardChannel:
    return open_mbim("/dev/cdc-wdm0", ScriptedMbimcli(card))


def by_qmi(card: Card, folder: Path) -> CardChannel:
    return open_qmi("/dev/cdc-wdm0", stream=ScriptedProxy(card))


def by_file(card: Card, folder: Path) -> CardChannel:
    CardFile.create(folder / "one.card", card.identity, card.state).close()
    return open_card_at(f"card:{folder / 'one.card'}").channel


WAYS: dict[str, Callable[[Card, Path], CardChannel]] = {
    "at sessions": by_sessions,
    "at csim": by_csim,
    "mbim": by_mbim,
    "qmi": by_qmi,
    "card file": by_file,
}


@pytest.fixture(params=WAYS)
def channel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CardChannel]:
    lab = IpaLab()
    made = WAYS[request.param](lab.lab.card, tmp_path)
    yield made
    made.close()
    lab.close()


def test_it_is_a_card_channel(channel: CardChannel) -> None:
    assert isinstance(channel, CardChannel)


def test_the_isd_r_is_reached_on_a_channel_of_our_own(channel: CardChannel) -> None:
    assert len(read_eid(channel)) == 16
    assert channel.transmit(bytes.fromhex("0070800100"))[-2:] == b"\x90\x00"


def test_a_long_chain_and_a_long_answer_come_whole(channel: CardChannel) -> None:
    read_eid(channel)
    request = bytes.fromhex("BF2D0F5C0D5A4F9F7091929F7B9F269F6795")
    for number, part in enumerate((request[:10], request[10:])):
        last = 0x91 if number else 0x11
        answer = channel.transmit(bytes((0x81, 0xE2, last, number, len(part))) + part)
    octets = answer[:-2]
    while answer[-2] == 0x61:
        answer = channel.transmit(bytes((0x01, 0xC0, 0, 0, answer[-1])))
        octets += answer[:-2]
    assert answer[-2:] == b"\x90\x00"
    assert octets[:2] == b"\xbf\x2d"
    assert len(octets) > 80


def test_a_closed_channel_is_told_as_such(channel: CardChannel) -> None:
    read_eid(channel)
    channel.transmit(bytes.fromhex("0070800100"))
    assert channel.transmit(bytes.fromhex("81E2910003BF2000")) == b"\x68\x81"


def test_after_a_reset_everything_begins_anew(channel: CardChannel) -> None:
    first = read_eid(channel)
    channel.reset()
    assert channel.transmit(bytes.fromhex("81E2910003BF2000")) == b"\x68\x81"
    assert read_eid(channel) == first


def test_octets_that_are_no_apdu_get_a_status_word(channel: CardChannel) -> None:
    assert channel.transmit(b"\x00\xa4") == b"\x67\x00"


def test_close_may_be_called_once_more(channel: CardChannel) -> None:
    channel.close()
