"""ESipa over MQTT in the eIM's program: configuration, client names of workers, calls to devices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from keim.app.config import Count
from keim.app.mqtt_config import BrokerConfig
from keim.errors import Refused
from keim.io.device_mqtt import MqttDevices
from keim.io.entropy import OsEntropy
from keim.io.esipa_door import EsipaDoor
from keim.io.esipa_mqtt import EsipaMqttServer
from keim.io.metrics import Counters


class MqttConfig(BrokerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[mqtt]` of the eIM."""

    session_s: Count = 3600
    """How long the broker keeps what devices publish while the eIM is away."""
    instance: str = ""
    """Tells processes apart that share one subscription; workers get their numbers."""
    share: str = "keim"
    wake: bool = True
    """An order for one device calls it."""
    wake_expiry_s: Count = 86_400
    """How long a call waits for a device that is away; not longer than it sleeps between polls."""


def config_of_worker(config: MqttConfig | None, number: int) -> MqttConfig | None:
    """Each worker is a client of its own: a broker knows one connection for each name."""
    if config is None:
        return None
    instance = f"{config.instance}-{number}" if config.instance else str(number)
    return msgspec.structs.replace(config, instance=instance)


class MqttCarrier:
    """One process of the eIM on a broker."""

    def __init__(self, config: MqttConfig, eim_id: str, door: EsipaDoor, counters: Counters) -> None:
        is_5 = config.version == "5"
        if config.instance and not is_5:
            raise Refused(
                "several workers share a subscription, which MQTT 3.1.1 lacks: one worker, or version 5",
                code="config.invalid",
            )
        name = config.client_id or f"keim-{eim_id}"
        settings = config.settings(client_id=name, session_s=config.session_s)
        if config.instance:
            settings = msgspec.structs.replace(settings, client_id=f"{name}-{config.instance}")
        self._wake_expiry_s = config.wake_expiry_s if is_5 else None
        self._wakes = config.wake
        self.server = EsipaMqttServer(
            settings,
            door,
            entropy=OsEntropy(),
            topics=config.topics,
            share=config.share if config.instance else "",
            instance=config.instance,
            limit=config.limit,
            observe=partial(counters.observe, carrier="mqtt"),
        )

    async def open(self) -> Mapping[str, tuple[str, int]]:
        self.server.open()
        return {}

    async def close(self) -> None:
        await self.server.close()

    def gauges(self) -> Mapping[str, Mapping[str, int]]:
        return self.server.gauges()

    def devices(self, *, timeout_s: float) -> MqttDevices:
        """For packages that are pushed, to `mqtt://EID`."""
        return MqttDevices(self.server, timeout_s=timeout_s)

    def wake(self, eid: str) -> None:
        if self._wakes:
            self.server.wake(eid, expiry_s=self._wake_expiry_s)
