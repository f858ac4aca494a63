"""A bad network between a device and a server on loopback: UDP that is lost, doubled, late, cut or moved.

A seed decides what happens to which datagram; nothing here waits: a late datagram goes after the next one.
"""

from __future__ import annotations

import random
import select
import socket
import threading
from collections import Counter
from types import TracebackType
from typing import Self

LARGEST = 1 << 14


class BadNetwork:
    """Stands where the server is reached (`address`), for one device; `happened`: how many what befell."""

    def __init__(self, server: tuple[str, int], seed: int, *, moves_after: int, rate: float = 0.05) -> None:
        """Each mishap befalls a datagram at `rate`; after so many of the device its outer address changes.

        What is still sent to the old address arrives, as while a NAT has not forgotten it.
        """
        self._server, self._rate = server, rate
        self._chances = {is_up: random.Random(f"{seed} {is_up}") for is_up in (True, False)}
        self._moves_after = moves_after
        self._inner, self._outer = _bound(), [_bound()]
        self.address: tuple[str, int] = self._inner.getsockname()
        self.happened: Counter[str] = Counter()
        self._device: tuple[str, int] | None = None
        self._held: dict[bool, bytes] = {}
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._thread.join(10)
        for one in (self._inner, *self._outer):
            one.close()

    def _run(self) -> None:
        while not self._ends.is_set():
            for one in select.select([self._inner, *self._outer], [], [], 0.05)[0]:
                data, source = one.recvfrom(LARGEST)
                if one is self._inner:
                    self._device = source
                    self._count_up()
                self._befall(data, is_up=one is self._inner)

    def _count_up(self) -> None:
        self.happened["up"] += 1
        if self.happened["up"] % self._moves_after == 0:
            self._outer.append(_bound())
            self.happened["moved"] += 1

    def _befall(self, data: bytes, *, is_up: bool) -> None:
        late = self._held.pop(is_up, None)
        chance = self._chances[is_up]
        match self._mishap(chance):
            case "lost":
                pass
            case "doubled":
                self._pass_on(data, is_up=is_up)
                self._pass_on(data, is_up=is_up)
            case "late" if late is None:
                self._held[is_up] = data
            case "cut":
                self._pass_on(data[: chance.randrange(len(data))], is_up=is_up)
            case _:
                self._pass_on(data, is_up=is_up)
        if late is not None:
            self._pass_on(late, is_up=is_up)

    def _mishap(self, chance: random.Random) -> str:
        number = int(chance.random() / self._rate)
        found = ("lost", "doubled", "late", "cut")[number] if number < 4 else ""
        if found:
            self.happened[found] += 1
        return found

    def _pass_on(self, data: bytes, *, is_up: bool) -> None:
        if is_up:
            self._outer[-1].sendto(data, self._server)
        elif self._device is not None:
            self._inner.sendto(data, self._device)


def _bound() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made
