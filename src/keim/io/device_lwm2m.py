"""Calling a registered device over LwM2M to inject packages (bindings §11.1): `lwm2m://EID`.

Imports keim.errors, keim.ids and its neighbours.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from keim.errors import PeerError, Refused, Unreachable
from keim.ids import Eid
from keim.io.lwm2m_server import Lwm2mServer


class Lwm2mExchange:
    """One device, one package at a time."""

    def __init__(self, server: Lwm2mServer, eid: Eid, timeout_s: float) -> None:
        self._server, self._eid, self._timeout_s = server, eid, timeout_s

    async def send(self, message: bytes) -> bytes:
        try:
            return await self._server.inject(self._eid, message, timeout_s=self._timeout_s)
        except PeerError as refused:
            raise Unreachable(
                f"the device has no time now: {refused}", code="eim.device_busy", party=self._eid
            ) from None

    def close(self) -> None:
        """The association is the device's."""


class Lwm2mDevices:
    def __init__(self, server: Lwm2mServer, *, timeout_s: float) -> None:
        self._server, self._timeout_s = server, timeout_s

    async def reach(self, address: str, spki: bytes) -> Lwm2mExchange:
        """A KeimError when the device is not registered or sleeps."""
        if spki:
            raise Refused("LwM2M devices prove themselves when they register", code="eim.bad_device_address")
        try:
            eid = Eid(urlsplit(address).hostname or "")
        except Refused:
            raise Refused(f"{address} is not lwm2m://EID", code="eim.bad_device_address") from None
        self._server.reach(eid)
        return Lwm2mExchange(self._server, eid, self._timeout_s)
