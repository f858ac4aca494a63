"""The MQTT way of `keim bench wire`: a Mosquitto with TLS beside the eIM, and a device's carrier through it.

    with mqtt_way(folder, host="10.0.0.1", prefix=("ip", "netns", "exec", "server")) as way:
        ... start an eIM whose configuration ends with way.eim_config ...
        carrier = carrier_of(way.device_config(eid))  # TCP, TLS and MQTT begin with the first message
        carrier.call_eim(peer, message, 30)  # PUBLISH, PUBACK, PUBLISH, PUBACK
        carrier.end()                        # DISCONNECT

What is on the air is between device and broker; eIM and broker talk on one machine. Needs Debian's mosquitto.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import convert
from tests.eim_processes import EIM
from tests.mosquitto import EIM_USER, Broker, toml_of

from keim.app.ipa import EimSettings, IpaConfig, carriers_of
from keim.io.ipa_carriers import EimCarrier
from keim.io.mqtt import Version


class MqttWay:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.address = f"{broker.host}:{broker.port}"

    @property
    def eim_config(self) -> str:
        """The table `[mqtt]` of the eIM's TOML."""
        return f"[mqtt]\n{toml_of(self._broker.config(EIM_USER))}"

    def device_config(self, eid: str, *, version: Version = "5") -> dict[str, Any]:
        """The table `mqtt` of an IPA's configuration, with a client certificate of the device's own."""
        found: dict[str, Any] = self._broker.config(eid, version=version)
        return found


def carrier_of(config: dict[str, Any]) -> EimCarrier:
    """As the configuration of an IPA makes it."""
    own = convert({"mqtt": config}, EimSettings)
    return carriers_of(IpaConfig(eims={EIM: own}), None, eim_roots=None, addresses={})[EIM]


@contextmanager
def mqtt_way(folder: Path, *, host: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> Iterator[MqttWay]:
    """`folder` gets the broker's files; `prefix` stands before its command, for a network namespace."""
    broker = Broker(folder, host=host, prefix=prefix)
    try:
        yield MqttWay(broker)
    finally:
        broker.stop()
