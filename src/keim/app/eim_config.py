"""The eIM's configuration: docs/how-to/run-the-eim.md tells what each key means."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from keim.app.config import Count, Days, Milliseconds, Minutes, Octets, Rate, Seconds
from keim.app.eim_coap import CoapConfig
from keim.app.eim_injection import InjectionConfig
from keim.app.eim_lwm2m import Lwm2mConfig
from keim.app.eim_mqtt import MqttConfig
from keim.app.eim_outside import ServerConfig
from keim.app.eim_retention import RetentionConfig
from keim.app.es2_orders import Es2Config
from keim.app.operators import ApiConfig
from keim.app.webhook_setup import WebhooksConfig
from keim.eim.rows import Switches
from keim.eim.settings import Rules, Strangers
from keim.io.esipa_server import BODY_LIMIT
from keim.io.serve import BODY_TIMEOUT_S, HEADER_TIMEOUT_S


class RulesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    strangers: Strangers = Strangers.REFUSE
    ranges: tuple[str, ...] = ()
    quarantine_limit: Count = 10_000
    learns_first: bool = True
    offer_days: Days = 30
    emergency_minutes: Minutes = 15

    def rules(self) -> Rules:
        return Rules(
            strangers=self.strangers,
            ranges=frozenset(self.ranges),
            quarantine_limit=self.quarantine_limit,
            learns_first=self.learns_first,
            offer_lifetime=timedelta(days=self.offer_days),
            emergency_pause=timedelta(minutes=self.emergency_minutes),
        )


class AddressesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    allowed: tuple[str, ...] = ()
    """Names of SM-DP+s and SM-DSs, `*.example.com` for a domain; empty: all but private ones."""
    allow_private: bool = False


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests a second on average, and at once. 0: no limit."""

    eid_rate: Rate = 20.0
    eid_burst: Rate = 200.0
    address_rate: Rate = 500.0
    address_burst: Rate = 5000.0
    body: Octets = BODY_LIMIT
    header_s: Seconds = HEADER_TIMEOUT_S
    """How long a request's header and body may take to come."""
    body_s: Seconds = BODY_TIMEOUT_S


class EimConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """docs/how-to/run-the-eim.md."""

    pki: str = "pki"
    signing_key: str = ""
    """The URI of a key in a token (docs/how-to/pkcs11.md); empty: `eim-sign` of the PKI."""
    previous_signing_keys: tuple[str, ...] = ()
    """URIs of keys that devices may still know, the oldest first; `pki` stands for those of the PKI."""
    eim_id: str | None = None
    """Without it, the first name in the TLS certificate."""
    audit_key: str = ""
    """Signs the checkpoints of the log; empty: `audit-log.key` in the PKI directory. Made if absent."""
    listen: str = "127.0.0.1:8453"
    status_listen: str = "127.0.0.1:8455"
    api_listen: str | None = None
    """The operators' API; None: it is off."""
    tls: bool = True
    """False only behind something that ends TLS itself."""
    pin_tls_key: bool = False
    """Entries for eUICCs name the key of our TLS certificate: devices then need no authority for it, and over
    DTLS no certificate at all."""
    client_certificates: bool = False
    """Devices may show a certificate of the PKI's roots."""
    store: str = "eim.db"
    store_in_thread: bool = False
    store_gather_ms: Milliseconds = 8.0
    """How long a message or a change waits at most for company, while it keeps coming."""
    rules: RulesConfig = RulesConfig()
    switches: Switches = Switches()
    addresses: AddressesConfig = AddressesConfig()
    limits: LimitsConfig = LimitsConfig()
    old_devices: bool = False
    """Devices with the switch `is_v1_0` may speak SGP.32 v1.0; each message costs one look at its device."""
    coap: CoapConfig = CoapConfig()
    api: ApiConfig = ApiConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    es2plus: dict[str, Es2Config] = {}
    """SM-DP+s from which profiles can be ordered."""
    wrap_key: str = "eim.wrap-key"
    """File with the key under which the secrets of webhooks are kept; made with the first of them."""
    servers: dict[str, ServerConfig] = {}
    injection: InjectionConfig = InjectionConfig()
    retention: RetentionConfig = RetentionConfig()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    mqtt: MqttConfig | None = None
    lwm2m: Lwm2mConfig | None = None

    @property
    def device_schemes(self) -> frozenset[str]:
        """Of addresses at which devices can be called."""
        more = {"mqtt": self.mqtt, "lwm2m": self.lwm2m}
        return frozenset({"https", "coaps"}) | {name for name, config in more.items() if config is not None}
