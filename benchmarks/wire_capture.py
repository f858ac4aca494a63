"""The line of `keim bench wire`: carries frames between two virtual Ethernet ends, late, and counts them.

Two pairs of ends: one side of each is the server's or the device's (in a network namespace of its own),
between the other sides this process is the cable. MTU 1500, all offloads off, so what passes is what a modem
would be given; a delay each way, so that who could send at once does, and who must wait waits. Linux only.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import select
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections import deque
from typing import Any, Final

SERVER: Final = "10.83.0.1"
DEVICE: Final = "10.83.0.2"
SERVER_END: Final = "keim-s"
DEVICE_END: Final = "keim-d"
OUR_ENDS: Final = ("keim-x", "keim-y")
"""Opposite the server's and the device's."""
DELAY_S: Final = 0.03
QUIET_S: Final = 0.35
LONGEST_S: Final = 5.0
_ALL: Final = 0x0003
_IPV4: Final = 0x0800
_ARP: Final = 0x0806
_SIOCETHTOOL: Final = 0x8946
_OFFLOADS: Final = (0x17, 0x15, 0x1F, 0x21, 0x24, 0x2C)
"""ETHTOOL_STXCSUM, SRXCSUM, STSO, SUFO, SGSO, SGRO."""


class Packet(tuple[bool, int, bool]):
    """(is up, IP octets, whether it carries data or opens a connection)"""

    __slots__ = ()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def set_up_end(name: str, address: str | None = None) -> None:
    """One end, in whatever namespace this process is in."""
    ip("link", "set", "lo", "up")
    if address is not None:
        ip("addr", "add", f"{address}/24", "dev", name)
    ip("link", "set", name, "mtu", "1500", "up")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in _OFFLOADS:
            value = array.array("B", struct.pack("II", command, 0))
            pointer, _ = value.buffer_info()
            request = struct.pack(
                f"16s{ctypes.sizeof(ctypes.c_void_p)}s", name.encode(), pointer.to_bytes(8, "little")
            )
            try:
                fcntl.ioctl(control, _SIOCETHTOOL, request.ljust(40, b"\0"))
            except OSError:
                continue  # an offload that this kernel does not have


def can_make_networks() -> list[str] | None:
    """The command that runs another one in a network of its own, or None where that is not allowed."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return None
    for command in (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]):
        trial = [*command, "ip", "link", "add", SERVER_END, "type", "veth", "peer", "name", DEVICE_END]
        if subprocess.run(trial, capture_output=True, check=False).returncode == 0:
            return command
    return None


def make_line() -> None:
    """Both pairs, in this process's namespace; the device's end is then moved into its own."""
    for ours, theirs in zip(OUR_ENDS, (SERVER_END, DEVICE_END), strict=True):
        ip("link", "add", theirs, "type", "veth", "peer", "name", ours)
        ip("link", "set", ours, "arp", "off")
        set_up_end(ours)


class Line:
    """Carries in a thread until closed; `read` waits until the line is quiet."""

    def __init__(self, delay_s: float = DELAY_S) -> None:
        self._delay_s = delay_s
        self._sockets = []
        for name in OUR_ENDS:
            one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
            one.bind((name, 0))
            one.setblocking(False)
            self._sockets.append(one)
        self._late: deque[tuple[float, socket.socket, bytes]] = deque()
        self._packets: list[Packet] = []
        self._last = time.monotonic()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ends.is_set():
            wait_s = max(0.0, self._late[0][0] - time.monotonic()) if self._late else 0.05
            readable, _, _ = select.select(self._sockets, [], [], wait_s)
            for one in readable:
                self._take(one)
            now = time.monotonic()
            while self._late and self._late[0][0] <= now:
                _, target, frame = self._late.popleft()
                target.send(frame)

    def _take(self, one: socket.socket) -> None:
        is_up = one is self._sockets[1]
        while True:
            try:
                frame, (_, _, kind, *_) = one.recvfrom(65536)
            except BlockingIOError:
                return
            protocol = int.from_bytes(frame[12:14], "big")
            if kind == socket.PACKET_OUTGOING or protocol not in (_IPV4, _ARP):
                continue
            now = time.monotonic()
            self._late.append((now + self._delay_s, self._sockets[0 if is_up else 1], frame))
            if protocol == _IPV4:
                packet, octets = frame[14:], int.from_bytes(frame[16:18], "big")
                self._packets.append(Packet((is_up, octets, _speaks(packet, octets))))
                self._last = now

    def read(self) -> list[Packet]:
        """What passed since the last time."""
        start = time.monotonic()
        while time.monotonic() - max(self._last, start) < QUIET_S and time.monotonic() - start < LONGEST_S:
            time.sleep(0.02)
        taken, self._packets = self._packets, []
        return taken

    def close(self) -> None:
        self._ends.set()
        self._thread.join(5)
        for one in self._sockets:
            one.close()


def _speaks(packet: bytes, octets: int) -> bool:
    """False for a bare acknowledgement and for the end of a connection."""
    head = (packet[0] & 15) * 4
    if packet[9] != socket.IPPROTO_TCP:
        return True
    flags, offset = packet[head + 13], (packet[head + 12] >> 4) * 4
    return bool(flags & 0x02) or octets > head + offset


def summary(packets: list[Packet]) -> dict[str, Any]:
    """Packets and octets each way, and how often the device waited for the other side."""
    found: dict[str, Any] = {"packets_up": 0, "packets_down": 0, "bytes_up": 0, "bytes_down": 0}
    trips, has_spoken = 0, False
    for is_up, octets, speaks in packets:
        way = "up" if is_up else "down"
        found[f"packets_{way}"] += 1
        found[f"bytes_{way}"] += octets
        if speaks and is_up:
            has_spoken = True
        elif speaks and has_spoken:
            trips, has_spoken = trips + 1, False
    return {"round_trips": trips, **found}
