"""HTTP clients of the servers that were called last: many names, few connections."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from keim.io.http_client import HttpClient

MOST: Final = 64


class KeptClients:
    """By whatever tells them apart; the one that has not been asked for the longest goes first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._clients: dict[Hashable, HttpClient] = {}

    def of(self, key: Hashable, make: Callable[[], HttpClient]) -> HttpClient:
        client = self._clients.pop(key, None) or make()
        self._clients[key] = client
        if len(self._clients) > self._most:
            self._clients.pop(next(iter(self._clients))).close()
        return client

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()
