"""What an IPA on a gateway knows of its network. Imports nothing of keim."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol


class Network(Protocol):
    def await_service(self, timeout_s: float) -> bool:
        """Whether there is registration and IP connectivity within the time."""
        ...

    def serving_plmn(self) -> bytes | None: ...

    def use(self, http_params: bytes | None) -> None:
        """The enabled profile's connectivity parameters."""
        ...


class AlwaysConnected:
    """A wired gateway, or one whose bearer another program looks after."""

    def await_service(self, timeout_s: float) -> bool:
        return True

    def serving_plmn(self) -> bytes | None:
        return None

    def use(self, http_params: bytes | None) -> None:
        """Nobody here can use them."""


class Probe:
    """Service is when a TCP connection to a known address can be made."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
        pause_s: float = 5.0,
    ) -> None:
        self._host, self._port, self._pause_s = host, port, pause_s
        self._monotonic, self._sleep = monotonic, sleep

    def await_service(self, timeout_s: float) -> bool:
        until = self._monotonic() + timeout_s
        while True:
            try:
                socket.create_connection((self._host, self._port), timeout=10.0).close()
            except OSError:
                if self._monotonic() + self._pause_s > until:
                    return False
                self._sleep(self._pause_s)
            else:
                return True

    def serving_plmn(self) -> bytes | None:
        return None

    def use(self, http_params: bytes | None) -> None:
        """A probe has no bearer to configure."""
