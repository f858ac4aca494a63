"""ESipa over LwM2M between our own ends: `keim eim serve`, `keim ipa run` with our card, over DTLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bindings.ways import FILES
from tests.card_lab import iccid
from tests.card_lab import world as world_of_the_card_lab
from tests.eim_processes import EIDS, EIM, EimSite, SiteDevice
from tests.ipa_daemons import Daemon
from tests.mosquitto import until
from tests.server_processes import Site

from keim.app.eim import EimConfig
from keim.app.eim_lwm2m import Lwm2mConfig
from keim.app.eim_reaching import Reaching
from keim.app.eim_service import EimService
from keim.app.eim_workers import run_workers
from keim.app.ipa_coap import CoapSection
from keim.app.ipa_lwm2m import Lwm2mSection, lwm2m_carrier
from keim.eim import compose
from keim.eim.rows import Reach, State
from keim.errors import Refused
from keim.ids import Iccid
from keim.ipa.configuration import Configuration
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest
from keim.pki.world import World

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
SWITCH = compose.package_of([Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True))])


def config_in(folder: Path) -> str:
    keys = folder / "keys.toml"
    keys.write_text(FILES["lwm2m-keys.toml"], "utf-8")
    return f'[lwm2m]\nlisten = "127.0.0.1:0"\nshared_keys = "{keys}"\n'


@pytest.fixture
def pushing(tmp_path: Path) -> Iterator[EimSite]:
    more = "[injection]\ncalls_devices = true\ntimeout_s = 10\n"
    site = EimSite(tmp_path, config=config_in(tmp_path) + more)
    yield site
    assert site.stop() == 0


def daemon(site: EimSite) -> Daemon:
    host, port = site.endpoint("lwm2m")
    return Daemon(
        site,
        0,
        {"lwm2m": {"server": f"{host}:{port}"}},
        coap={"identity": EIDS[0], "shared_keys": str(site.folder / "keys.toml")},
    )


def test_a_registered_daemon_takes_packages_that_are_pushed(pushing: EimSite) -> None:
    device = daemon(pushing)
    pushing.operate(lambda service: reached(service, device.eid))
    listing, switch = pushing.order(device.eid, LIST), pushing.order(device.eid, SWITCH)
    until(lambda: {listing, switch} <= device.succeeded(), 30)
    until(lambda: device.pending() == 0)
    again = pushing.order(device.eid, LIST)  # over the association that was made after the switch
    until(lambda: again in device.succeeded(), 30)
    assert device.lab.enabled() == iccid(2)
    assert device.cycles == 1
    assert 'keim_lwm2m{state="registered"} 1' in pushing.status("/metrics")[1]
    device.stop()
    assert 'keim_lwm2m{state="registered"} 0' in pushing.status("/metrics")[1]


async def reached(service: EimService, eid: Any) -> None:
    await Reaching(service, {"lwm2m"}).set_reach(eid, Reach(f"lwm2m://{eid}"))


def test_a_download_is_relayed_through_object_3443(tmp_path: Path) -> None:
    folder = tmp_path / "smdp"
    folder.mkdir()
    smdp = Site(folder, profiles=1)
    more = (
        '[addresses]\nallowed = ["smdpplus.example.com"]\n'
        f'[servers."smdpplus.example.com"]\nconnect = "{smdp.smdp_at["es9+"]}"\n'
    )
    eim = EimSite(tmp_path, world=smdp.world, pki=folder / "pki", config=config_in(tmp_path) + more)
    try:
        features = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
        device = SiteDevice(eim, configuration=Configuration(features=features))
        order = eim.order(device.eid, compose.download_by_code(f"1$smdpplus.example.com${smdp.released()}"))
        host, port = eim.endpoint("lwm2m")
        carrier = lwm2m_carrier(
            EIM,
            Lwm2mSection(server=f"{host}:{port}", queue_mode=True),
            CoapSection(identity=device.eid, shared_keys=str(tmp_path / "keys.toml")).device(),
            eim_roots=None,
            commands=None,
        )
        device.cycle(carrier=carrier)
        carrier.end()
        operation = eim.operation(device.eid, order)
        assert operation.state is State.SUCCEEDED, operation
        installed = operation.outcome[0].removeprefix("install: ok ")
        assert Iccid(installed).octets in device.lab.states()
        assert device.pending() == 0
    finally:
        assert eim.stop() == 0
        smdp.stop()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"plain": True, "shared_keys": "x"},
        {"plain": True, "client_ca": "x"},
        {"shared_keys": "/nonexistent"},
    ],
)
def test_a_server_that_could_not_know_its_devices_is_refused(wrong: dict[str, Any]) -> None:
    world: World = world_of_the_card_lab()
    with pytest.raises(Refused) as caught:
        Lwm2mConfig(listen="127.0.0.1:0", **wrong).lower(world)
    assert caught.value.code in ("config.invalid", "config.file_not_found")


def test_registrations_need_one_process() -> None:
    config = EimConfig(lwm2m=Lwm2mConfig(listen="127.0.0.1:0"), store="postgresql://nowhere/eim")
    with pytest.raises(Refused) as caught:
        run_workers(config, 2, on_ready=print)
    assert caught.value.code == "eim.one_process"
