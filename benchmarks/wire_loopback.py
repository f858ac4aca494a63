"""What the device's own sockets counted, where nobody may make a network to capture on.

Octets and segments of TCP are the kernel's (TCP_INFO), with segments limited to what fits into 1,500 octets;
datagrams are ours, with 28 octets of headers each. The end of a connection comes after the last count and is
missing; round trips are those that the protocols need, not seen ones. Linux only; for `keim bench wire`.
"""

from __future__ import annotations

import socket
import ssl
import struct
import weakref
from typing import Any, Final

from keim.io.datagram import DatagramSocket
from keim.io.ipa_http import Connection

SEGMENT: Final = 1448
_TCP_HEADERS: Final = 52
_SYN_MORE: Final = 8
_UDP_HEADERS: Final = 28


class SocketCounts:
    """Counts from its making on, everything that an IPA of this process opens."""

    def __init__(self) -> None:
        self._total = dict.fromkeys(
            ("round_trips", "packets_up", "packets_down", "bytes_up", "bytes_down"), 0
        )
        self._streams: weakref.WeakSet[ssl.SSLSocket] = weakref.WeakSet()
        self._datagrams: weakref.WeakSet[DatagramSocket] = weakref.WeakSet()
        self._seen: weakref.WeakKeyDictionary[Any, tuple[int, ...]] = weakref.WeakKeyDictionary()
        self._hook()

    def take(self) -> dict[str, int]:
        """What came together since the last time."""
        for stream in list(self._streams):
            self._count_stream(stream)
        for datagrams in list(self._datagrams):
            self._count_datagrams(datagrams)
        taken, self._total = self._total, dict.fromkeys(self._total, 0)
        return taken

    def _hook(self) -> None:
        opened, closed, shut = Connection._opened, Connection.close, DatagramSocket.close
        used, exchanged = DatagramSocket.use, Connection._exchange

        def open_stream(connection: Connection, timeout_s: float) -> ssl.SSLSocket:
            is_new = connection._socket is None
            stream = opened(connection, timeout_s)
            if is_new:
                self._streams.add(stream)
                self._total["round_trips"] += 2  # TCP's, and that of TLS 1.3
            return stream

        def close_stream(connection: Connection) -> None:
            if connection._socket is not None:
                self._count_stream(connection._socket)
                self._streams.discard(connection._socket)
            closed(connection)

        def exchange(connection: Connection, *more: Any) -> Any:
            self._total["round_trips"] += 1
            return exchanged(connection, *more)

        def use(datagrams: DatagramSocket, bound: socket.socket) -> tuple[str, int]:
            self._datagrams.add(datagrams)
            return used(datagrams, bound)

        def close_datagrams(datagrams: DatagramSocket) -> None:
            self._count_datagrams(datagrams)
            shut(datagrams)

        Connection._opened, Connection.close, Connection._exchange = open_stream, close_stream, exchange  # type: ignore[method-assign]  # the benchmark looks over the program's shoulder
        DatagramSocket.use, DatagramSocket.close = use, close_datagrams  # type: ignore[method-assign]  # as above
        socket.create_connection = _small_segments  # type: ignore[assignment]  # as above

    def _count_stream(self, stream: ssl.SSLSocket) -> None:
        info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        received, segments_out, segments_in = struct.unpack_from("QII", info, 128)
        (sent,) = struct.unpack_from("Q", info, 200)
        now = (
            segments_out,
            segments_in,
            sent + segments_out * _TCP_HEADERS + _SYN_MORE,
            received + segments_in * _TCP_HEADERS + _SYN_MORE,
        )
        self._add(stream, now)

    def _count_datagrams(self, datagrams: DatagramSocket) -> None:
        out, came = datagrams.datagrams_out, datagrams.datagrams_in
        before = self._seen.get(datagrams, (0, 0, 0, 0))
        self._total["round_trips"] += min(out - before[0], came - before[1])
        octets_out = datagrams.octets_out + out * _UDP_HEADERS
        self._add(datagrams, (out, came, octets_out, datagrams.octets_in + came * _UDP_HEADERS))

    def _add(self, one: Any, now: tuple[int, ...]) -> None:
        before = self._seen.get(one, (0, 0, 0, 0))
        self._seen[one] = now
        names = ("packets_up", "packets_down", "bytes_up", "bytes_down")
        for name, later, earlier in zip(names, now, before, strict=True):
            self._total[name] += later - earlier


def _small_segments(address: tuple[str, int], timeout: float | None = None, **_: Any) -> socket.socket:
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    stream.settimeout(timeout)
    stream.connect(address)
    return stream
