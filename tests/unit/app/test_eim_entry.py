"""What eUICCs are told of an eIM: its entry, as its configuration makes it."""

from __future__ import annotations

from datetime import UTC, datetime

from keim.app.eim_coap import CoapConfig
from keim.app.eim_config import EimConfig
from keim.app.eim_identity import configuration_data
from keim.messages.package import EimSupportedProtocol
from keim.pki.world import WorldPlan, create_world


def test_the_entry_for_euiccs_names_the_key_and_the_carrier() -> None:
    world = create_world(WorldPlan(), now=datetime.now(UTC))
    config = EimConfig(pin_tls_key=True, coap=CoapConfig(listen="127.0.0.1:0"))
    entry = configuration_data(world, config)
    pinned = entry.trusted_public_key_data_tls
    assert pinned is not None
    assert bytes(pinned.trusted_eim_pk_tls or b"") == world.get("eim-tls").certificate.spki
    protocols = entry.eim_supported_protocol
    assert protocols is not None
    assert EimSupportedProtocol.EIM_RETRIEVE_COAPS in protocols
    assert EimSupportedProtocol.EIM_INJECT_COAPS not in protocols
