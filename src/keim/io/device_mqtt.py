"""Calling a device over MQTT to inject packages (bindings §11.3): `mqtt://EID`.

The broker knows which client is the device; its access list stands for the device's proof.
Imports keim.errors, keim.ids and its neighbours.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from keim.errors import PeerError, Refused, Unreachable
from keim.ids import Eid
from keim.io.esipa_mqtt import EsipaMqttServer


class MqttExchange:
    """One device, one package at a time."""

    def __init__(self, server: EsipaMqttServer, eid: Eid, timeout_s: float) -> None:
        self._server, self._eid, self._timeout_s = server, eid, timeout_s

    async def send(self, message: bytes) -> bytes:
        try:
            return await self._server.inject(self._eid, message, timeout_s=self._timeout_s)
        except PeerError as declined:
            raise Unreachable(
                f"the device has no time now: {declined}", code="eim.device_busy", party=self._eid
            ) from None

    def close(self) -> None:
        """The connection is the broker's."""


class MqttDevices:
    def __init__(self, server: EsipaMqttServer, *, timeout_s: float) -> None:
        self._server, self._timeout_s = server, timeout_s

    async def reach(self, address: str, spki: bytes) -> MqttExchange:
        """A KeimError when the broker is away, or says that the device is."""
        if spki:
            raise Refused("a broker has no key of the device to pin", code="eim.bad_device_address")
        try:
            eid = Eid(urlsplit(address).hostname or "")
        except Refused:
            raise Refused(f"{address} is not mqtt://EID", code="eim.bad_device_address") from None
        await self._server.reach(eid, timeout_s=self._timeout_s)
        return MqttExchange(self._server, eid, self._timeout_s)
