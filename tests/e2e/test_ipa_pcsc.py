"""The IPA on a card in a PC/SC reader: pcscd, a virtual reader with our card, a cycle with a switch."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.e2e.test_card_vpcd import _wait
from tests.roles.ipa_lab import IpaLab, iccid
from tests.roles.ipa_world import IpaWorld
from tests.virtual_reader import VirtualReader, virtual_reader

from keim.errors import Unreachable
from keim.io.card_server import serve_connection
from keim.io.pcsc import PcscChannel
from keim.ipa.configuration import Configuration
from keim.ipa.cycle import run_cycle
from keim.messages.package import EnablePsmo, Psmo


@pytest.fixture(scope="module")
def reader() -> Iterator[VirtualReader]:
    with virtual_reader() as found:
        yield found


def test_a_cycle_with_a_switch_through_a_reader(reader: VirtualReader) -> None:
    scard: Any = pytest.importorskip("smartcard.scard")
    lab = IpaLab()
    connection: list[Any] = []

    def serve() -> None:
        with socket.create_connection(("127.0.0.1", reader.port)) as plug:
            connection.append(plug)
            with suppress(OSError):
                serve_connection(lab.lab.card, plug)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    _wait(scard, reader.name, present=True)
    channel = PcscChannel(reader.name)
    try:
        lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
        world = IpaWorld(channel, dict(lab.eims), configuration=Configuration())
        world.run(run_cycle)
        assert lab.enabled() == iccid(2)
        assert lab.eim.executed
        assert lab.pending() == []
        assert world.resets == 1
    finally:
        channel.close()
        connection[0].shutdown(socket.SHUT_RDWR)
        thread.join(10)
        lab.close()
    _wait(scard, reader.name, present=False)


def test_a_reader_that_is_not_there_is_named(reader: VirtualReader) -> None:
    with pytest.raises(Unreachable):
        PcscChannel("no such reader")
