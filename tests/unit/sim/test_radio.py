"""The radio carries octets as they are, counts them, and carries none where there is no coverage."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from keim.sim.radio import LOOPBACK, Radio
from keim.wire import dns

NAME = "server.example.com"


class Echo:
    """Says everything twice."""

    def __init__(self) -> None:
        self.socket = socket.create_server((LOOPBACK, 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        with connection:
            while octets := connection.recv(65_536):
                connection.sendall(octets + octets)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def carried(port: int, octets: bytes) -> bytes:
    """The answer, or nothing where the connection broke."""
    try:
        return exchange(port, octets)
    except OSError:
        return b""


def the_rest_of(connection: socket.socket) -> bytes:
    """What still comes until the end, orderly or not."""
    found = b""
    try:
        while more := connection.recv(100):
            found += more
    except ConnectionError:
        pass
    return found


@pytest.fixture
def world() -> Iterator[tuple[Radio, Echo]]:
    radio, echo = Radio(), Echo()
    radio.start()
    radio.add_server(NAME, LOOPBACK, echo.port)
    yield radio, echo
    radio.stop()
    echo.close()


def exchange(port: int, octets: bytes) -> bytes:
    with socket.create_connection((LOOPBACK, port), timeout=10) as connection:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while more := connection.recv(65_536):
            found += more
        return found


def test_octets_arrive_as_they_are_and_are_counted_for_each_device(world: Any) -> None:
    radio, _ = world
    near, far = radio.bearer(), radio.bearer()
    near.is_covered = far.is_covered = True
    sent = bytes(range(256)) * 1000
    assert exchange(near.port(NAME), sent)[: 2 * len(sent)].count(sent[:256]) >= 1000
    assert (near.octets_up, near.octets_down, near.connections) == (len(sent), 2 * len(sent), 1)
    assert near.octets == 3 * len(sent)
    assert far.octets == 0


def test_without_coverage_nothing_is_carried(world: Any) -> None:
    radio, _ = world
    bearer = radio.bearer()
    assert carried(bearer.port(NAME), b"x" * 10) == b""
    assert bearer.octets == bearer.connections == 0


def test_loss_of_coverage_cuts_what_is_open(world: Any) -> None:
    radio, _ = world
    bearer = radio.bearer()
    bearer.is_covered = True
    with socket.create_connection((LOOPBACK, bearer.port(NAME)), timeout=10) as connection:
        connection.sendall(b"ab")
        assert connection.recv(4) == b"abab"
        bearer.is_covered = False
        assert the_rest_of(connection) == b""


def test_a_server_that_is_down_is_a_connection_that_breaks(world: Any) -> None:
    radio, echo = world
    bearer = radio.bearer()
    bearer.is_covered = True
    echo.close()
    radio.add_server(NAME, LOOPBACK, echo.port)
    assert carried(bearer.port(NAME), b"x") == b""
    assert bearer.octets_down == 0


def test_an_unknown_server_has_no_port(world: Any) -> None:
    radio, _ = world
    assert radio.bearer().port("nobody.example.com") == 0


def test_names_have_addresses_that_stay_when_a_server_moves(world: Any) -> None:
    radio, _ = world
    radio.add_server("other.example.com", LOOPBACK, 1)

    def ask(name: str) -> bytes | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.sendto(dns.question(name, 77), (LOOPBACK, radio.name_server_port))
            return dns.address_in(client.recv(512), 77)

    first = ask(NAME)
    assert first is not None
    assert radio.name_of(first) == NAME
    radio.add_server(NAME, LOOPBACK, 2)
    assert ask(NAME) == first
    assert ask("other.example.com") not in (None, first)
    assert ask("nobody.example.com") is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(
            b"\x00", (LOOPBACK, radio.name_server_port)
        )  # nonsense is not answered and harms nobody
    assert ask(NAME) == first


async def turns() -> None:
    """The radio has looked at its sockets since."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_datagrams_are_carried_and_counted_and_lost_without_coverage() -> None:
    radio = Radio()
    radio.start()
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device,
        ):
            server.bind((LOOPBACK, 0))
            server.settimeout(10)
            device.settimeout(10)
            radio.datagram_servers[NAME] = server.getsockname()
            bearer = radio.bearer()
            port = bearer.datagram_port(NAME)
            assert bearer.datagram_port("nobody.example.com") == 0
            device.sendto(b"lost", (LOOPBACK, port))
            radio.call(turns())
            bearer.is_covered = True
            for word in (b"one", b"three"):
                device.sendto(word, (LOOPBACK, port))
                heard, beyond = server.recvfrom(100)
                assert heard == word
            server.sendto(b"answer", beyond)
            assert device.recv(100) == b"answer"
            assert (bearer.octets_up, bearer.octets_down) == (8, 6)
    finally:
        radio.stop()
