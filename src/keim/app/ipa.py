"""An IPAd put together: configuration, card, HTTPS, state file, trace. For `keim ipa` and for gateways."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from keim.app.config import host_and_port
from keim.app.ipa_coap import CoapSection, coap_peers
from keim.app.ipa_lwm2m import Lwm2mSection, lwm2m_carrier
from keim.app.mqtt_config import BrokerConfig
from keim.errors import Refused
from keim.io.card_address import OpenedCard, open_card_at
from keim.io.drive import drive
from keim.io.entropy import OsEntropy
from keim.io.ipa_carriers import EimCarrier
from keim.io.ipa_control import Command
from keim.io.ipa_device import Device as IpaDevice
from keim.io.ipa_device import Observer
from keim.io.ipa_http import Binding, HttpPeers
from keim.io.ipa_listener import Injected
from keim.io.ipa_mqtt import MqttCarrier
from keim.io.ipa_network import AlwaysConnected, Network, Probe
from keim.io.ipa_state import StateFile
from keim.io.mqtt import MqttSettings
from keim.io.pem import read_certificates
from keim.ipa.card import close_isdr
from keim.ipa.configuration import Configuration, Device, Timers
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.events import Event
from keim.messages.ipa_data import IpaFeatures, IpaSupportedProtocols
from keim.pki import Certificate

T = TypeVar("T")
Commands = queue.Queue[Command | Injected | None]

Feature = Literal[
    "direct",
    "indirect",
    "eim_download_data_handling",
    "eim_ctx_params1_generation",
    "eim_profile_metadata_verification",
    "minimize_esipa_bytes",
]
FEATURES: dict[str, IpaFeatures] = {
    "direct": IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION,
    "indirect": IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION,
    "eim_download_data_handling": IpaFeatures.EIM_DOWNLOAD_DATA_HANDLING,
    "eim_ctx_params1_generation": IpaFeatures.EIM_CTX_PARAMS1_GENERATION,
    "eim_profile_metadata_verification": IpaFeatures.EIM_PROFILE_METADATA_VERIFICATION,
    "minimize_esipa_bytes": IpaFeatures.MINIMIZE_ESIPA_BYTES,
}


class EimSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What is known of one eIM beyond its entry in the card."""

    address: str | None = None
    carrier: Literal["https", "coaps"] = "https"
    binding: Binding = "asn1"
    path: str = "/gsma/rsp2/asn1"
    compact: bool = False
    version: Literal["1.0", "1.2"] = "1.2"
    """Of SGP.32; "1.0" sends and reads that version's forms, to and from this eIM only."""
    mqtt: BrokerConfig | None = None
    """Where it is reached over a broker instead of HTTPS."""
    lwm2m: Lwm2mSection | None = None
    """Where it is reached as an LwM2M server instead of HTTPS."""

    @property
    def is_over_http(self) -> bool:
        return self.carrier == "https" and self.mqtt is None and self.lwm2m is None


class TimerSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    request_s: float = 30.0
    bound_profile_package_s: float = 300.0
    poll_idle_s: float = 86_400.0
    poll_busy_s: float = 60.0
    attach_s: float = 300.0
    delivery_pauses_s: tuple[float, ...] = (30.0, 60.0, 120.0)
    fallback_s: float = 1800.0
    return_first_s: float = 3600.0
    return_s: float = 86_400.0
    redelivery_first_s: float = 900.0
    redelivery_most_s: float = 86_400.0
    refresh_s: float | None = None


class IpaConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The TOML file of `keim ipa`; docs/how-to/run-the-ipa.md explains each key."""

    card: str = "pcsc:"
    state: str = ""
    control: str = ""
    listen: str = ""
    listen_certificate: str = ""
    listen_key: str = ""
    listen_client_ca: str = ""
    features: tuple[Feature, ...] = ("direct", "indirect")
    imei: str | None = None
    tac: str = "35290611"
    eims: dict[str, EimSettings] = {}
    eim_order: tuple[str, ...] = ()
    eim_ca: str = ""
    rsp_ca: str = ""
    rsp_binding: Binding = "json"
    resolve: dict[str, str] = {}
    probe: str = ""
    prefer_direct: bool = True
    immediate_enable: bool = True
    confirmation_codes: dict[str, str] = {}
    accepted_owners: tuple[str, ...] = ()
    block_size: int | None = None
    retries: int = 3
    delivery_tries: int = 3
    timers: TimerSettings = TimerSettings()
    coap: CoapSection = CoapSection()


def configuration_of(config: IpaConfig, card: OpenedCard) -> Configuration:
    """The role's configuration: what the file says, and what the way to the card implies."""
    if config.imei is not None and not (len(config.imei) == 15 and config.imei.isdecimal()):
        raise Refused("imei has 15 digits", code="config.invalid")
    if not (len(config.tac) == 8 and config.tac.isdecimal()):
        raise Refused("tac has 8 digits", code="config.invalid")
    for eim, own in config.eims.items():
        if own.version == "1.0" and own.binding == "json":
            raise Refused(f'eims."{eim}": version 1.0 has no JSON binding here', code="config.invalid")
        if (own.carrier != "https") + (own.mqtt is not None) + (own.lwm2m is not None) > 1:
            raise Refused(f'eims."{eim}" has more than one carrier', code="config.invalid")
        if not own.is_over_http and own.binding == "json":
            raise Refused(f'eims."{eim}": only HTTPS carries the JSON binding', code="config.invalid")
    features = IpaFeatures(0)
    for name in config.features:
        features |= FEATURES[name]
    refresh_s = config.timers.refresh_s
    if refresh_s is None:
        refresh_s = 10.0 if card.is_behind_modem else 0.0
    timers = {name: getattr(config.timers, name) for name in config.timers.__struct_fields__}
    return Configuration(
        features=features,
        protocols=protocols_of(config),
        device=Device(imei=config.imei, tac=config.tac),
        timers=Timers(**{**timers, "refresh_s": refresh_s}),
        eim_order=config.eim_order,
        eim_addresses={eim: where for eim, own in config.eims.items() if (where := _address_of(own))},
        compact_eims=frozenset(eim for eim, own in config.eims.items() if own.compact),
        v1_0_eims=frozenset(eim for eim, own in config.eims.items() if own.version == "1.0"),
        retries=config.retries,
        delivery_tries=config.delivery_tries,
        is_direct_preferred=config.prefer_direct,
        is_immediate_enable_tried=config.immediate_enable,
        confirmation_codes=config.confirmation_codes,
        accepted_owners=frozenset(config.accepted_owners),
        block_size=config.block_size or card.block_size,
        has_refresh_flag=card.is_behind_modem,
        answers_proactive_commands=not card.is_behind_modem,
    )


def protocols_of(config: IpaConfig) -> IpaSupportedProtocols:
    found = IpaSupportedProtocols.IPA_RETRIEVE_HTTPS
    if any(own.carrier == "coaps" for own in config.eims.values()):
        found |= IpaSupportedProtocols.IPA_RETRIEVE_COAPS
    if config.listen:
        found |= IpaSupportedProtocols.IPA_INJECT_HTTPS
    if config.coap.listen:
        found |= IpaSupportedProtocols.IPA_INJECT_COAPS
    if any(own.mqtt is not None or own.lwm2m is not None for own in config.eims.values()):
        found |= IpaSupportedProtocols.IPA_PROPRIETARY
    return found


def _address_of(own: EimSettings) -> str | None:
    """An eIM behind a broker needs no address of its own."""
    return own.address or (own.mqtt.broker if own.mqtt is not None else None)


def carriers_of(
    config: IpaConfig,
    commands: Commands | None,
    *,
    eim_roots: tuple[Certificate, ...] | None,
    addresses: dict[str, tuple[str, int]],
) -> dict[str, EimCarrier]:
    """By eimId, for eIMs that are not reached over HTTPS. With `commands` eIMs can call and inject."""
    found: dict[str, EimCarrier] = {}
    by_coap = [eim for eim, own in config.eims.items() if own.carrier == "coaps"]
    if by_coap:
        coap = coap_peers(config.coap, config.state, eim_roots=eim_roots, addresses=addresses)
        found |= dict.fromkeys(by_coap, coap)
    for eim_id, own in config.eims.items():
        if own.mqtt is not None:
            found[eim_id] = MqttCarrier(
                eim_id,
                partial(_session_of, own.mqtt),
                entropy=OsEntropy(),
                topics=own.mqtt.topics,
                limit=own.mqtt.limit,
                commands=commands,
            )
        elif own.lwm2m is not None:
            found[eim_id] = lwm2m_carrier(
                eim_id, own.lwm2m, config.coap.device(), eim_roots=eim_roots, commands=commands
            )
    return found


def _session_of(config: BrokerConfig, eid: str) -> MqttSettings:
    return config.settings(client_id=f"keim-{eid}")


def now() -> datetime:
    return datetime.now(UTC)


def closing(procedure: Callable[[Ipa], Procedure[T]]) -> Callable[[Ipa], Procedure[T]]:
    """The procedure with its logical channel closed behind it, for one function outside of a cycle."""

    def closed(ipa: Ipa) -> Procedure[T]:
        found = yield from procedure(ipa)
        yield from close_isdr(ipa)
        return found

    return closed


@dataclass(frozen=True, slots=True)
class Assistant:
    """An IPA with its device; each `run` is a fresh start with what it remembers."""

    configuration: Configuration
    device: IpaDevice
    state: StateFile
    peers: HttpPeers

    def run(self, make: Callable[[Ipa], Procedure[T]]) -> T:
        return drive(make(Ipa(self.configuration, self.state.load())), self.device.perform)


@contextmanager
def assistant(
    config: IpaConfig,
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    observer: Observer | None = None,
    sleep: Callable[[float], None] = time.sleep,
    is_alone: bool = True,
    commands: Commands | None = None,
) -> Iterator[Assistant]:
    """Opens the card and everything else, and closes it again.

    `commands` is the queue of a daemon, where carriers put what eIMs call for.
    `is_alone`: no other IPA may work with the state file; False for those who only look.
    """
    state = StateFile(Path(config.state) if config.state else None)
    with state.held() if is_alone else nullcontext():
        yield from _opened(config, state, on_event, observer, sleep, commands=commands)


def _opened(
    config: IpaConfig,
    state: StateFile,
    on_event: Callable[[Event], None],
    observer: Observer | None,
    sleep: Callable[[float], None],
    *,
    commands: Commands | None,
) -> Iterator[Assistant]:
    card = open_card_at(config.card)
    eim_roots = _certificates(config.eim_ca)
    addresses = {name: host_and_port(where, f"resolve.{name}") for name, where in config.resolve.items()}
    peers = HttpPeers(
        now,
        bindings={eim: own.binding for eim, own in config.eims.items()},
        paths={eim: own.path for eim, own in config.eims.items()},
        eim_roots=eim_roots,
        server_roots=_certificates(config.rsp_ca),
        server_binding=config.rsp_binding,
        addresses=addresses,
        carriers=carriers_of(config, commands, eim_roots=eim_roots, addresses=addresses),
    )
    device = IpaDevice(
        card.channel,
        peers,
        network_of(config, sleep),
        state,
        now=now,
        monotonic=time.monotonic,
        sleep=sleep,
        on_event=on_event,
        observer=observer,
    )
    try:
        yield Assistant(configuration_of(config, card), device, state, peers)
    finally:
        peers.end()
        card.channel.close()


def network_of(config: IpaConfig, sleep: Callable[[float], None]) -> Network:
    if not config.probe:
        return AlwaysConnected()
    host, port = host_and_port(config.probe, "probe")
    return Probe(host, port, monotonic=time.monotonic, sleep=sleep)


def _certificates(path: str) -> tuple[Certificate, ...] | None:
    return tuple(read_certificates(Path(path))) if path else None


def document_of(event: Event) -> dict[str, Any]:
    """An event as one line of JSON."""
    members = {name: getattr(event, name) for name in event.__slots__}
    return {"event": type(event).__name__, **members}
