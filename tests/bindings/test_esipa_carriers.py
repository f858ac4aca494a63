"""One suite for every carrier and binding of ESipa: the same eIM, the same procedures, the same refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.bindings.ways import SILENT, STRANGERS, WAYS, every_way, start_site, stop_site
from tests.card_lab import iccid
from tests.eim_processes import EIDS, EIM, EimSite, SiteDevice
from tests.system_packages import needs

from keim.eim import compose
from keim.eim.rows import State
from keim.errors import KeimError, Malformed, PeerError, TimedOut
from keim.io.ipa_carriers import EimCarrier
from keim.ipa.effects import PeerBusy
from keim.ipa.trust import EimPeer
from keim.messages.esipa import GetEimPackageRequest
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
ENABLE = compose.package_of([Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True))])
STRANGER = GetEimPackageRequest(eid_value=STRANGERS[0].octets).encode()
BUSY = "[limits]\neid_rate = 0.001\neid_burst = 2\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    running = start_site(tmp_path_factory.mktemp("eim"))
    yield running
    assert stop_site(running) == 0


@pytest.fixture(scope="module")
def devices(site: EimSite) -> dict[str, SiteDevice]:
    return {name: SiteDevice(site, number) for number, name in enumerate(WAYS)}


@contextmanager
def open_way(device: SiteDevice, name: str) -> Iterator[EimCarrier]:
    carrier = WAYS[name](device)
    try:
        yield carrier
    finally:
        carrier.close()


def peer(eid: str = STRANGERS[0]) -> EimPeer:
    return EimPeer(EIM, EIM, eid=eid)


def silence(way: str) -> tuple[tuple[type[KeimError], ...], float]:
    """What a message that is not answered ends in, and how long to wait for it."""
    return ((TimedOut,), 0.5) if way in SILENT else ((PeerError, Malformed), 20)


@pytest.mark.parametrize("way", every_way())
def test_a_device_is_managed(devices: dict[str, SiteDevice], way: str) -> None:
    """Poll, package, result; a switch with rollback, its result from the new profile, acknowledgements."""
    device = devices[way]
    listing, switch = device.site.order(device.eid, LIST), device.site.order(device.eid, ENABLE)
    for _ in range(2):
        device.cycle(carrier=WAYS[way](device))
    for order in (listing, switch):
        operation = device.site.operation(device.eid, order)
        assert (operation.state, operation.is_verified) == (State.SUCCEEDED, True)
    assert device.lab.enabled() == iccid(2)
    assert device.pending() == 0


@pytest.mark.parametrize("way", every_way())
def test_a_stranger_is_told_so(devices: dict[str, SiteDevice], way: str) -> None:
    with open_way(devices[way], way) as carrier:
        carrier.reach_eim(peer(), 20)
        assert carrier.call_eim(peer(), STRANGER, 20) == bytes.fromhex("BF4F03020102")


@pytest.mark.parametrize("way", every_way())
def test_what_cannot_be_believed_or_read_has_no_answer_and_the_next_message_has(
    devices: dict[str, SiteDevice], way: str
) -> None:
    """A result of a package that nobody signed; octets that are no message."""
    eid, (kinds, patience_s) = devices[way].eid, silence(way)
    forged = bytes.fromhex("BF50175A10") + eid.octets + bytes.fromhex("BF51020500")
    with open_way(devices[way], way) as carrier:
        for octets in (forged, bytes.fromhex("BF4F0102"), bytes.fromhex("BF4F0100")):
            with pytest.raises(kinds):
                carrier.call_eim(peer(eid), octets, patience_s)
        assert carrier.call_eim(peer(), STRANGER, 20) == bytes.fromhex("BF4F03020102")


@pytest.mark.parametrize("way", every_way())
def test_who_asks_too_often_is_told_when_to_come_back(limited: EimSite, way: str) -> None:
    """By EID, over whatever carrier; the others are not slowed down."""
    number = list(WAYS).index(way)
    device = SiteDevice(limited, number)
    poll = GetEimPackageRequest(eid_value=device.eid.octets).encode()
    with open_way(device, way) as carrier:
        for _ in range(2):
            assert carrier.call_eim(peer(device.eid), poll, 20)
        with pytest.raises(TimedOut if way in SILENT else PeerBusy) as told:
            carrier.call_eim(peer(device.eid), poll, silence(way)[1])
        assert way in SILENT or getattr(told.value, "retry_after_s", None) == 5
        other = STRANGERS[1 + number]
        asked = GetEimPackageRequest(eid_value=other.octets).encode()
        assert carrier.call_eim(peer(other), asked, 20) == bytes.fromhex("BF4F03020102")


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    running = start_site(tmp_path_factory.mktemp("limited"), BUSY)
    yield running
    assert stop_site(running) == 0


def test_the_answers_of_all_carriers_are_counted_and_no_eid_is_told(
    site: EimSite, devices: dict[str, SiteDevice]
) -> None:
    has_broker = needs()["mosquitto"].is_met()
    for way in WAYS if has_broker else (way for way in WAYS if not way.startswith("mqtt")):
        kinds, patience_s = silence(way)
        with open_way(devices[way], way) as carrier:
            assert carrier.call_eim(peer(), STRANGER, 20) == bytes.fromhex("BF4F03020102")
            with pytest.raises(kinds):
                carrier.call_eim(peer(), bytes.fromhex("BF4F0100"), patience_s)
    status, text = site.status("/metrics")
    assert status == 200
    assert 'keim_http_responses_total{path="getEimPackage",status="200"}' in text
    assert 'keim_coap_responses_total{path="getEimPackage",status="2.04"}' in text
    assert 'keim_coap_responses_total{path="getEimPackage",status="4.00"}' in text
    assert 'keim_coap_associations{state="half_open"} 0' in text
    assert 'keim_lwm2m_responses_total{path="getEimPackage",status="answered"}' in text
    assert not has_broker or 'keim_mqtt_responses_total{path="getEimPackage"' in text
    assert all(str(eid) not in text for eid in EIDS)
