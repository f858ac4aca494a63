"""The card in a PC/SC reader: `keim euicc serve --vpcd`, pcscd with vsmartcard's vpcd listening, pyscard."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.euicc.cards import EID, SELECT_ISD_R, identity, profile
from tests.virtual_reader import VirtualReader, virtual_reader

from keim.euicc.identity import DEFAULT_ATR
from keim.euicc.state import CardState
from keim.io.card_file import CardFile


@pytest.fixture(scope="module")
def reader() -> Iterator[VirtualReader]:
    with virtual_reader() as found:
        yield found


@pytest.fixture
def connection(reader: VirtualReader, tmp_path: Path) -> Iterator[Any]:
    """A pyscard connection to a card that a process of its own serves."""
    from smartcard import scard
    from smartcard.System import readers

    path = tmp_path / "one.card"
    CardFile.create(path, identity(), CardState(profiles=(profile("iot-2-auth"),))).close()
    server = subprocess.Popen(
        [sys.executable, "-m", "keim.cli", "euicc", "serve", str(path), "--vpcd", str(reader.port)],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        assert server.stderr is not None
        assert "the card is in the reader" in server.stderr.readline()
        _wait(scard, reader.name, present=True)
        found = next(r for r in readers() if str(r) == reader.name)
        made = found.createConnection()
        made.connect()
        yield made
        made.disconnect()
        made.release()  # while pcscd still runs, or its finaliser complains
    finally:
        server.terminate()
        server.wait(10)
        assert server.stderr is not None
        server.stderr.close()
    _wait(scard, reader.name, present=False)


def _wait(scard: Any, name: str, *, present: bool) -> None:
    """Blocks in PC/SC until the reader reports the card, or its absence."""
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    assert result == scard.SCARD_S_SUCCESS
    state = scard.SCARD_STATE_UNAWARE
    wanted = scard.SCARD_STATE_PRESENT if present else scard.SCARD_STATE_EMPTY
    for _ in range(100):
        result, states = scard.SCardGetStatusChange(context, 20_000, [(name, state)])
        assert result == scard.SCARD_S_SUCCESS, scard.SCardGetErrorMessage(result)
        state = states[0][1]
        if state & wanted and not state & scard.SCARD_STATE_MUTE:
            break
    else:
        raise AssertionError("the reader never reached the wanted state")
    scard.SCardReleaseContext(context)


def send(connection: Any, apdu: str) -> str:
    """As `tests.unit.euicc.cards.send`, through PC/SC with T=0."""
    octets = list(bytes.fromhex(apdu))
    data, sw1, sw2 = connection.transmit(octets)
    response = bytes(data)
    while sw1 == 0x61:
        data, sw1, sw2 = connection.transmit([octets[0], 0xC0, 0, 0, sw2])
        response += bytes(data)
    return (response + bytes([sw1, sw2])).hex().upper()


def test_the_reader_shows_the_atr(connection: Any) -> None:
    assert bytes(connection.getATR()) == DEFAULT_ATR


def test_a_case_4_command_is_answered_by_61xx_as_t0_readers_need(connection: Any) -> None:
    data, sw1, sw2 = connection.transmit(list(bytes.fromhex("00A40004022FE2")))
    assert (data, sw1, sw2) == ([], 0x61, 0x18)
    data, sw1, sw2 = connection.transmit(list(bytes.fromhex("00C0000018")))
    assert (bytes(data)[:2], sw1, sw2) == (b"\x62\x16", 0x90, 0x00)


def test_files_and_the_isd_r_through_the_reader(connection: Any) -> None:
    assert send(connection, "00A40004022FE2").endswith("9000")
    assert send(connection, "00B000000A") == "980001010000000020F79000"
    assert send(connection, SELECT_ISD_R).startswith("6F")
    assert send(connection, "80E2910006BF3E035C015A") == f"BF3E125A10{EID}9000"


def test_a_reset_by_the_reader_is_one_for_the_card(connection: Any) -> None:
    from smartcard.scard import SCARD_RESET_CARD

    assert send(connection, "0070000001") == "019000"
    connection.reconnect(disposition=SCARD_RESET_CARD)
    assert send(connection, "01A4000C023F00") == "6881"
