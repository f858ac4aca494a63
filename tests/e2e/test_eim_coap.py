"""`keim eim serve` over CoAP: procedures of our IPA and card, sleep, restart, refusals, numbers, drain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.card_lab import iccid
from tests.eim_processes import EIDS, EimSite, SiteDevice

from keim.app.ipa_coap import CoapSection
from keim.eim import compose
from keim.eim.rows import State
from keim.messages.esipa import GetEimPackageRequest
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
ENABLE = compose.package_of([Psmo(enable=EnablePsmo(iccid=iccid(2)))])
POLL = GetEimPackageRequest(eid_value=EIDS[3].octets).encode()


def coap_config(folder: Path, more: str = "") -> str:
    return f'[coap]\nlisten = "127.0.0.1:0"\nstate = "{folder}/coap.db"\n{more}'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    folder = tmp_path_factory.mktemp("eim")
    (folder / "keys.toml").write_text('[text]\ndevice-7 = "laboratory"\n')
    made = EimSite(folder, config=coap_config(folder, f'shared_keys = "{folder}/keys.toml"\n'))
    yield made
    assert made.stop() == 0


def manage(site: EimSite, number: int, section: CoapSection) -> SiteDevice:
    device = SiteDevice(site, number)
    listing, switch = site.order(device.eid, LIST), site.order(device.eid, ENABLE)
    device.cycle(carrier=device.coap(section))
    device.cycle(carrier=device.coap(section))
    for order in (listing, switch):
        operation = site.operation(device.eid, order)
        assert (operation.state, operation.is_verified) == (State.SUCCEEDED, True)
    assert device.lab.enabled() == iccid(2)
    assert device.pending() == 0
    return device


@pytest.mark.parametrize(
    ("number", "section"),
    [
        (0, CoapSection()),
        (1, CoapSection(identity="device-7", shared_keys="keys.toml", max_block=64)),
        (2, CoapSection(engine="openssl")),
    ],
    ids=["certificate", "shared key and small blocks", "openssl"],
)
def test_a_device_is_managed_over_coap(site: EimSite, number: int, section: CoapSection) -> None:
    if section.shared_keys:
        import msgspec

        section = msgspec.structs.replace(section, shared_keys=str(site.folder / section.shared_keys))
    manage(site, number, section)
