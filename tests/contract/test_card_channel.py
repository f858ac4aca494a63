"""One suite for every `CardChannel`: the card in process, behind TCP, and on disk behind TCP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.euicc.cards import CountingEntropy, identity, new_card, profile

from keim.errors import TimedOut, Unreachable
from keim.euicc.card import Card
from keim.euicc.faults import Faults
from keim.euicc.identity import DEFAULT_ATR
from keim.euicc.state import CardState
from keim.io.card_file import CardFile
from keim.io.card_server import serve_connection, serve_tcp
from keim.io.card_tcp import TcpCardChannel
from keim.seams import CardChannel

KINDS = ["in process", "tcp", "file behind tcp"]


class Served:
    """A card behind a listening socket of a thread; ends with the last of its connections."""

    def __init__(self, card: Card, connections: int = 1) -> None:
        self._ready = threading.Event()
        self.port = 0
        self.thread = threading.Thread(
            target=serve_tcp,
            args=(card, "127.0.0.1", 0),
            kwargs={"on_ready": self._note, "connections": connections},
            daemon=True,
        )
        self.thread.start()
        assert self._ready.wait(10)

    def _note(self, host: str, port: int) -> None:
        self.port = port
        self._ready.set()


@pytest.fixture(params=KINDS)
def channel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CardChannel]:
    state = CardState(profiles=(profile("usim-6-classic"),))
    if request.param == "in process":
        yield Card(identity(), CountingEntropy(), state=state)
        return
    medium = CardFile.create(tmp_path / "a.card", identity(), state) if "file" in request.param else None
    served = Served(Card(identity(), CountingEntropy(), state=state, medium=medium))
    client = TcpCardChannel("127.0.0.1", served.port, timeout_s=10)
    yield client
    client.close()
    served.thread.join(10)
    assert not served.thread.is_alive()
    if medium is not None:
        medium.close()


def test_it_is_a_card_channel(channel: CardChannel) -> None:
    assert isinstance(channel, CardChannel)


def test_reset_returns_the_atr(channel: CardChannel) -> None:
    assert channel.reset() == DEFAULT_ATR
    assert channel.reset() == DEFAULT_ATR


def test_a_response_ends_with_its_status_word(channel: CardChannel) -> None:
    channel.reset()
    assert channel.transmit(bytes.fromhex("00A4000C022FE2")) == b"\x90\x00"
    assert channel.transmit(bytes.fromhex("00B0000000")) == bytes.fromhex("980001010000000060F89000")
    assert channel.transmit(bytes.fromhex("00FF0000")) == b"\x6d\x00"


def test_a_long_response_comes_whole(channel: CardChannel) -> None:
    channel.reset()
    assert len(channel.transmit(bytes.fromhex("0084000000"))) == 258


@pytest.mark.parametrize("octets", [b"", b"\x00", b"\x04", b"\x02", b"\x00\xa4", bytes(300)])
def test_octets_that_are_no_apdu_get_a_status_word(channel: CardChannel, octets: bytes) -> None:
    channel.reset()
    assert channel.transmit(octets) == b"\x67\x00"


def test_a_reset_drops_what_is_volatile_and_keeps_the_rest(channel: CardChannel) -> None:
    channel.reset()
    assert channel.transmit(bytes.fromhex("0070000001")) == b"\x01\x90\x00"
    assert channel.transmit(bytes.fromhex("0020000A08") + bytes(8)) == b"\x63\xc9"
    channel.reset()
    assert channel.transmit(bytes.fromhex("0170000000")) == b"\x68\x81"
    assert channel.transmit(bytes.fromhex("0020000A")) == b"\x63\xc9"


def test_close_may_be_called_once_more(channel: CardChannel) -> None:
    channel.reset()
    channel.close()
    channel.close()


# what only a connection can do


def test_a_second_reader_finds_the_card_powered_off() -> None:
    served = Served(new_card("iot-2-auth"), connections=2)
    first = TcpCardChannel("127.0.0.1", served.port, timeout_s=10)
    first.reset()
    first.transmit(bytes.fromhex("0070000001"))
    first.close()
    second = TcpCardChannel("127.0.0.1", served.port, timeout_s=10)
    assert second.transmit(bytes.fromhex("0170000000")) == b"\x68\x81"
    second.close()
    served.thread.join(10)


def test_power_loss_closes_the_connection_without_an_answer() -> None:
    card = new_card("iot-2-auth")
    served = Served(card, connections=2)
    client = TcpCardChannel("127.0.0.1", served.port, timeout_s=10)
    client.reset()
    card.faults = Faults(cut_at_apdu=0)
    with pytest.raises(Unreachable) as lost:
        client.transmit(bytes.fromhex("0084000002"))
    assert lost.value.code == "euicc.card_unreachable"
    client.close()
    again = TcpCardChannel("127.0.0.1", served.port, timeout_s=10)
    assert again.reset() == DEFAULT_ATR
    again.close()
    served.thread.join(10)


def test_a_card_that_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(Unreachable) as refused:
        TcpCardChannel("127.0.0.1", port)
    assert refused.value.code == "euicc.card_unreachable"


def test_a_card_that_does_not_answer_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = TcpCardChannel("127.0.0.1", silent.getsockname()[1], timeout_s=0.05)
        with pytest.raises(TimedOut) as late:
            client.reset()
        assert late.value.code == "euicc.card_silent"
        client.close()


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(Unreachable) as refused:
            serve_tcp(new_card(), "127.0.0.1", taken.getsockname()[1])
        assert refused.value.code == "euicc.port_unusable"


@pytest.mark.parametrize("sent", [b"\x00", b"\x00\x05ab", b"\xff\xff"])
def test_a_reader_that_goes_in_the_middle_of_a_message_does_no_harm(sent: bytes) -> None:
    card = new_card("iot-2-auth")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            serve_connection(card, ours)


def test_the_controls_of_the_framing() -> None:
    """Power on, reset and power off are not answered; only the ATR is."""
    card = new_card("iot-2-auth")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(10)
        for control in (b"\x01", b"\x02", b"\x00", b"\x01", b"\x04", b"\x07"):
            theirs.sendall(b"\x00\x01" + control)
        theirs.shutdown(socket.SHUT_WR)
        serve_connection(card, ours)
        ours.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := theirs.recv(4096):
            received += chunk
    assert received == len(DEFAULT_ATR).to_bytes(2, "big") + DEFAULT_ATR
