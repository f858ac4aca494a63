"""The radio of simulated devices: real sockets on loopback that carry, count, and fail for lack of coverage.

Each device has a bearer of its own. A connection to a named server goes to a port of the bearer and is
passed on octet by octet; so what is counted is what a network would have carried above IP. Runs in a thread
with an event loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, cast

from keim.wire import dns

T = TypeVar("T")
LOOPBACK: Final = "127.0.0.1"
NAME_SERVER: Final = bytes((10, 11, 0, 254))
CHUNK: Final = 65_536


class Bearer:
    """What one device sees of the network. Use it from any thread."""

    def __init__(self, radio: Radio) -> None:
        self._radio = radio
        self._ports: dict[str, int] = {}
        self.tasks: set[asyncio.Future[None]] = set()
        self._links: set[asyncio.StreamWriter] = set()
        self._is_covered = False
        self.octets_up = 0
        self.octets_down = 0
        self.connections = 0

    @property
    def octets(self) -> int:
        return self.octets_up + self.octets_down

    @property
    def is_covered(self) -> bool:
        return self._is_covered

    @is_covered.setter
    def is_covered(self, value: bool) -> None:
        """Without coverage every connection is cut, and a new one is answered by nobody."""
        self._is_covered = value
        if not value:
            self._radio.call(self._cut())

    async def _cut(self) -> None:
        for writer in list(self._links):
            writer.transport.abort()

    def port(self, name: str) -> int:
        """Of this bearer, for the server of that name; 0 where there is none."""
        if name not in self._radio.servers:
            return 0
        if name not in self._ports:
            self._ports[name] = self._radio.call(self._listen(name))
        return self._ports[name]

    def datagram_port(self, name: str) -> int:
        """Of this bearer, for datagrams to the server of that name; 0 where there is none."""
        if name not in self._radio.datagram_servers:
            return 0
        key = f"{name}/udp"
        if key not in self._ports:
            self._ports[key] = self._radio.call(self._relay(name))
        return self._ports[key]

    async def _relay(self, name: str) -> int:
        server = self._radio.datagram_servers[name]
        transport, relay = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: DatagramRelay(self, server), (LOOPBACK, 0)
        )
        self._radio.relays.append(relay)
        port: int = transport.get_extra_info("sockname")[1]
        return port

    async def _listen(self, name: str) -> int:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.CancelledError):  # the end of the world
                await self._carry(name, reader, writer)

        server = await asyncio.start_server(carry, LOOPBACK, 0)
        self._radio.listeners.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _carry(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_covered:
            writer.transport.abort()
            return
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._radio.servers[name])
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._links |= ends
        try:
            await asyncio.gather(
                self._pass_on(reader, far_writer, is_up=True), self._pass_on(far_reader, writer, is_up=False)
            )
        finally:
            self._links -= ends
            for end in ends:
                end.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_up: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while octets := await reader.read(CHUNK):
                if is_up:
                    self.octets_up += len(octets)
                else:
                    self.octets_down += len(octets)
                writer.write(octets)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        if not self._is_covered:
            writer.transport.abort()


class DatagramRelay(asyncio.DatagramProtocol):
    """One device's datagrams to one server: each address of the device has a socket of its own beyond."""

    def __init__(self, bearer: Bearer, server: tuple[str, int]) -> None:
        self._bearer, self._server = bearer, server
        self._transport: asyncio.DatagramTransport | None = None
        self._beyond: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self._waiting: dict[tuple[str, int], list[bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # made by create_datagram_endpoint

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self._bearer.is_covered:
            return  # lost, as datagrams are
        self._bearer.octets_up += len(data)
        if (beyond := self._beyond.get(addr)) is not None:
            beyond.sendto(data)
        elif addr in self._waiting:
            self._waiting[addr].append(data)
        else:
            self._waiting[addr] = [data]
            task = asyncio.ensure_future(self._open(addr))
            self._bearer.tasks.add(task)
            task.add_done_callback(self._bearer.tasks.discard)

    async def _open(self, addr: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: DatagramWayBack(self, addr), remote_addr=self._server
        )
        self._beyond[addr] = transport
        for data in self._waiting.pop(addr):
            transport.sendto(data)

    def back(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._bearer.is_covered and self._transport is not None:
            self._bearer.octets_down += len(data)
            self._transport.sendto(data, addr)

    def close(self) -> None:
        for transport in self._beyond.values():
            transport.close()
        if self._transport is not None:
            self._transport.close()


class DatagramWayBack(asyncio.DatagramProtocol):
    def __init__(self, relay: DatagramRelay, device: tuple[str, int]) -> None:
        self._relay, self._device = relay, device

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._relay.back(data, self._device)


class NameServer(asyncio.DatagramProtocol):
    """The DNS of this small internet: an address of its own for each server, for clients that ask by UDP."""

    def __init__(self, addresses: dict[str, bytes]) -> None:
        self._addresses = addresses
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # made by create_datagram_endpoint

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with contextlib.suppress(IndexError, UnicodeDecodeError):
            answer = dns.answer(data, self._addresses.get(dns.name_asked(data)))
            if self._transport is not None:
                self._transport.sendto(answer, addr)


class Radio:
    """`servers` are the names that devices know, and where they really listen; they may move."""

    def __init__(self) -> None:
        self.servers: dict[str, tuple[str, int]] = {}
        self.datagram_servers: dict[str, tuple[str, int]] = {}
        self.listeners: list[asyncio.Server] = []
        self.relays: list[DatagramRelay] = []
        self.name_server = NAME_SERVER
        """The address of the DNS in this internet, and the port at which it really listens."""
        self.name_server_port = 0
        self._name_server: asyncio.BaseTransport | None = None
        self._addresses: dict[str, bytes] = {}
        self._names: dict[bytes, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="keim-radio", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.name_server_port = self.call(self._start_name_server())

    async def _start_name_server(self) -> int:
        self._name_server, _ = await self._loop.create_datagram_endpoint(
            lambda: NameServer(self._addresses), (LOOPBACK, 0)
        )
        port: int = self._name_server.get_extra_info("sockname")[1]
        return port

    def add_server(self, name: str, host: str, port: int) -> None:
        """Also when it has moved: its address in the DNS stays."""
        self.servers[name] = (host, port)
        if name not in self._addresses:
            address = bytes((10, 11, 0, len(self._addresses) + 1))
            self._addresses[name] = address
            self._names[address] = name

    def name_of(self, address: bytes) -> str | None:
        return self._names.get(address)

    def bearer(self) -> Bearer:
        return Bearer(self)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def stop(self) -> None:
        async def end() -> None:
            if self._name_server is not None:
                self._name_server.close()
            for server in self.listeners:
                server.close()
            for relay in self.relays:
                relay.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # what was closed is told so in the next turn of the loop

        if self._thread.is_alive():
            self.call(end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        self._loop.close()
