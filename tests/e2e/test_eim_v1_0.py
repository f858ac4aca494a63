"""A device of SGP.32 v1.0 before `keim eim serve`, over TLS: its results are known by their connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.card_lab import iccid
from tests.eim_processes import EIM, EimSite, SiteDevice

from keim.eim import compose
from keim.eim.rows import State, Switches
from keim.ipa.configuration import Configuration
from keim.ipa.effects import CallEim, Effect
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
ENABLE = compose.package_of([Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True))])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    made = EimSite(tmp_path_factory.mktemp("eim"), config="old_devices = true\n")
    yield made
    assert made.stop() == 0


def test_an_old_device_is_managed_and_one_of_v1_2_beside_it(site: EimSite) -> None:
    old = SiteDevice(site, 0, configuration=Configuration(v1_0_eims=frozenset({EIM})))
    site.operate(lambda service: service.change_device(old.eid, switches=Switches(is_v1_0=True), actor="lab"))
    new = SiteDevice(site, 1)
    orders = {
        device: [site.order(device.eid, work) for work in (LIST, compose.data_request_of(b"\x84"), ENABLE)]
        for device in (old, new)
    }
    sent: list[bytes] = []

    def note(effect: Effect[object], outcome: object, seconds: float) -> None:
        del outcome, seconds
        if isinstance(effect, CallEim):
            sent.append(effect.request)

    for _ in range(2):
        old.cycle(observe=note)
        new.cycle()
    for device, numbers in orders.items():
        assert [site.operation(device.eid, number).state for number in numbers] == [State.SUCCEEDED] * 3
        assert device.lab.enabled() == iccid(2)
        assert device.pending() == 0
    results = [octets for octets in sent if octets[:2] == b"\xbf\x50"]
    assert results
    assert all(old.eid.octets not in octets[:24] for octets in results), "they do not say whose they are"
