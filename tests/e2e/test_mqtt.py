"""ESipa over a real Mosquitto: `keim eim serve` on one side, our IPA and card on the other."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks import wire_mqtt
from msgspec import convert
from tests.card_lab import iccid
from tests.e2e.test_eim_workers import workers_of
from tests.eim_processes import EIDS, EIM, EimSite, SiteDevice
from tests.ipa_daemons import Daemon
from tests.mosquitto import EIM_USER, Broker, free_port, toml_of, until
from tests.postgres_cluster import Cluster
from tests.server_processes import Site
from tests.shared import needs_system

from keim.api.client import Client
from keim.api.client.device_models import Target
from keim.app.config import load
from keim.app.eim_mqtt import MqttCarrier, MqttConfig, config_of_worker
from keim.app.eim_reaching import Reaching
from keim.app.eim_service import EimService
from keim.app.ipa import IpaConfig, carriers_of
from keim.app.mqtt_config import BrokerConfig
from keim.cli.program import run_command
from keim.eim import compose
from keim.eim.rows import Reach, State
from keim.errors import KeimError, PeerError, Refused, Unreachable, Untrusted
from keim.ids import Iccid
from keim.io.card_server import serve_tcp
from keim.io.esipa_door import EsipaDoor
from keim.io.ipa_carriers import EimCarrier
from keim.io.metrics import Counters
from keim.io.mqtt import Delivery, MqttClient
from keim.io.mqtt_library import wait_published
from keim.ipa.configuration import Configuration
from keim.ipa.trust import EimPeer
from keim.messages.esipa import GetEimPackageRequest
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest
from keim.pki.world import example_eids
from keim.wire.esipa_mqtt import Publication, Topics, write_wake

pytestmark = needs_system("mosquitto")
LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
SWITCH = compose.package_of([Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True))])


def carrier_of(at: Broker, user: str, commands: Any = None, **more: Any) -> EimCarrier:
    """As the configuration of an IPA makes it."""
    config = load(
        IpaConfig,
        None,
        prefix="KEIM_IPA",
        environment={},
        options={"eims": {EIM: {"mqtt": at.config(user, **more)}}},
    )
    return carriers_of(config, commands, eim_roots=None, addresses={})[EIM]


def site_on(broker: Broker, folder: Path, *, more: str = "", **mqtt: Any) -> EimSite:
    return EimSite(folder, config=f"[mqtt]\n{toml_of(broker.config(EIM_USER, **mqtt))}{more}")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def site(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    made = site_on(broker, tmp_path_factory.mktemp("eim"))
    until(lambda: 'keim_mqtt{state="connected"} 1' in made.status("/metrics")[1])
    yield made
    assert made.stop() == 0


@pytest.mark.parametrize(("number", "version"), [(0, "5"), (1, "3.1.1")])
def test_a_device_is_managed_through_a_broker(
    site: EimSite, broker: Broker, number: int, version: str
) -> None:
    device = SiteDevice(site, number)
    listing = site.order(device.eid, LIST)
    switch = site.order(device.eid, SWITCH)
    carrier = carrier_of(broker, device.eid, version=version)
    device.cycle(carrier=carrier)
    device.cycle(carrier=carrier)
    carrier.end()
    for order in (listing, switch):
        operation = site.operation(device.eid, order)
        assert (operation.state, operation.is_verified) == (State.SUCCEEDED, True)
    assert device.lab.enabled() == iccid(2)
    assert device.pending() == 0


def test_a_download_is_relayed_with_version_3_and_passwords_at_both_ends(tmp_path: Path) -> None:
    old = {"version": "3.1.1"}
    folder = tmp_path / "smdp"
    folder.mkdir()
    smdp = Site(folder, profiles=1)
    eid = example_eids(4)[0]
    broker = Broker(folder, is_mutual=False, users=(eid,))
    more = (
        '[addresses]\nallowed = ["smdpplus.example.com"]\n'
        f'[servers."smdpplus.example.com"]\nconnect = "{smdp.smdp_at["es9+"]}"\n'
    )
    mqtt = toml_of(broker.config(EIM_USER, **old))
    eim = EimSite(tmp_path, world=smdp.world, pki=folder / "pki", config=f"[mqtt]\n{mqtt}{more}")
    try:
        features = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
        device = SiteDevice(eim, configuration=Configuration(features=features))
        order = eim.order(device.eid, compose.download_by_code(f"1$smdpplus.example.com${smdp.released()}"))
        carrier = carrier_of(broker, device.eid, **old)
        device.cycle(carrier=carrier)
        carrier.end()
        operation = eim.operation(device.eid, order)
        assert operation.state is State.SUCCEEDED, operation
        installed = operation.outcome[0].removeprefix("install: ok ")
        assert Iccid(installed).octets in device.lab.states()
        assert device.pending() == 0
        wrong = broker.folder / "wrong"
        wrong.write_text("wrong", "utf-8")
        stranger = carrier_of(broker, device.eid, password_file=str(wrong), **old)
        with pytest.raises(Unreachable) as caught:
            stranger.call_eim(peer(device.eid), POLL, 10)
        stranger.end()
        assert caught.value.code == "mqtt.refused"
    finally:
        assert eim.stop() == 0
        broker.stop()
        smdp.stop()


def peer(eid: str) -> EimPeer:
    return EimPeer(EIM, "broker", eid=eid)


POLL = GetEimPackageRequest(eid_value=EIDS[3].octets).encode()
NOT_FOUND = bytes.fromhex("BF4F03020102")


class Listener:
    """A client that hears what it may."""

    def __init__(self, broker: Broker, user: str, topics: list[str], **more: Any) -> None:
        config = convert(broker.config(user, **more), BrokerConfig)
        self.heard: list[Publication] = []
        self.client = MqttClient(config.settings(client_id=f"ear-{user}"), topics, self._hear)
        self.client.start()
        self.client.wait_ready(10)

    def _hear(self, publication: Publication, delivery: Delivery) -> None:
        self.heard.append(publication)
        self.client.acknowledge(delivery)

    def say(self, publication: Publication) -> None:
        assert wait_published(self.client.publish(publication), 10)


def refused(site: EimSite) -> str:
    lines = site.status("/metrics")[1].splitlines()
    return "\n".join(line for line in lines if line.startswith("keim_mqtt_refused{"))


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_stranger_neither_speaks_for_another_device_nor_hears_it(
    site: EimSite, broker: Broker, version: str
) -> None:
    """The access list of the documentation at work, then the eIM's own checks without it."""
    stranger = Listener(broker, EIDS[2], ["esipa/v1/+/down", "esipa/v1/+/up"], version=version)
    device = carrier_of(broker, EIDS[3], version=version)
    stranger.say(Publication(topic=f"esipa/v1/{EIDS[3]}/up", payload=POLL))
    stranger.say(Publication(topic=f"esipa/v1/{EIDS[3]}/down", payload=NOT_FOUND))
    before = refused(site)
    stranger.say(Publication(topic=f"esipa/v1/{EIDS[2]}/up", payload=POLL))  # its own topic, another's EID
    until(lambda: refused(site) != before)
    assert 'keim_mqtt_refused{reason="foreign_eid"}' in refused(site)
    assert device.call_eim(peer(EIDS[3]), POLL, 10) == NOT_FOUND
    assert stranger.heard == []
    stranger.client.stop()
    device.end()


def test_a_repeated_request_is_answered_once(site: EimSite, broker: Broker) -> None:
    device = Listener(broker, EIDS[3], [f"esipa/v1/{EIDS[3]}/down"])
    for _ in range(3):
        device.say(Publication(topic=f"esipa/v1/{EIDS[3]}/up", payload=POLL, correlation=b"the same"))
    device.say(Publication(topic=f"esipa/v1/{EIDS[3]}/up", payload=POLL, correlation=b"another1"))
    until(lambda: len(device.heard) >= 2)
    device.client.stop()
    assert [one.correlation for one in device.heard] == [b"the same", b"another1"]


def test_what_is_no_message_or_too_long_is_declined_at_once(site: EimSite, broker: Broker) -> None:
    device = carrier_of(broker, EIDS[3])
    for message in (b"\xbf\x4f\x03\x02\x01", b"\x30\x03\x02\x01\x01"):
        with pytest.raises(PeerError) as caught:
            device.call_eim(peer(EIDS[3]), message, 20)
        assert caught.value.code == "mqtt.declined"
    with pytest.raises(Refused) as long:
        device.call_eim(peer(EIDS[3]), POLL + bytes(300_000), 20)
    assert long.value.code == "mqtt.message_too_long"
    device.end()


def test_a_broker_that_nobody_vouches_for_is_sent_nothing(site: EimSite, broker: Broker) -> None:
    roots = broker.folder / "other-roots.pem"
    roots.write_bytes(site.world.roots[0].pem)
    for more, kind, code in (
        ({"ca": str(roots)}, Untrusted, "mqtt.untrusted"),
        ({"server_name": "other.example.com"}, Untrusted, "mqtt.untrusted"),
        ({"broker": f"127.0.0.1:{free_port()}"}, Unreachable, "mqtt.unreachable"),
    ):
        device = carrier_of(broker, EIDS[3], **more)
        with pytest.raises(kind) as caught:
            device.reach_eim(peer(EIDS[3]), 10)
        device.end()
        assert caught.value.code == code


def test_an_eim_without_its_broker_serves_the_others_and_waits_for_it(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    broker.stop()
    site = site_on(broker, tmp_path)
    try:
        assert 'keim_mqtt{state="connected"} 0' in site.status("/metrics")[1]
        device = SiteDevice(site)
        first = site.order(device.eid, LIST)
        device.cycle()  # over HTTPS
        assert first in device.succeeded()
        broker.start()
        until(lambda: 'keim_mqtt{state="connected"} 1' in site.status("/metrics")[1])
        second = site.order(device.eid, LIST)
        device.cycle(carrier=carrier_of(broker, device.eid))
        assert second in device.succeeded()
    finally:
        assert site.stop() == 0
        broker.stop()


def test_a_broker_and_an_eim_that_die_in_the_middle_lose_nothing(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    site = site_on(broker, tmp_path)
    try:
        device = SiteDevice(site, configuration=Configuration(retries=0, delivery_tries=1))
        carrier = Interrupted(carrier_of(broker, device.eid))

        def cycle() -> bool:
            carrier.failures.clear()
            device.cycle(carrier=carrier)
            return not carrier.failures

        assert cycle()  # the eIM knows the card from here on
        known = device.succeeded()
        first, second = site.order(device.eid, LIST), site.order(device.eid, SWITCH)
        carrier.before = {0xBF50: broker.kill}  # the card has executed, and its result is not sent yet
        assert not cycle()
        broker.start()
        assert device.succeeded() == known
        until(cycle, 30)
        assert {*known, first, second} <= device.succeeded()
        third = site.order(device.eid, LIST)
        carrier.timeout_s = 20.0

        def replaced() -> None:
            site.kill()
            threading.Thread(target=site.start).start()

        carrier.before = {0xBF50: replaced}  # this result the broker keeps until the eIM is back
        assert cycle()
        assert third in device.succeeded()
        carrier.end()
        assert device.lab.enabled() == iccid(2)
        assert device.pending() == 0
    finally:
        site.stop()
        broker.stop()


class Interrupted:
    """A carrier before whose next message of one kind something happens, once."""

    def __init__(self, carrier: EimCarrier) -> None:
        self._carrier = carrier
        self.before: dict[int, Any] = {}
        self.failures: list[KeimError] = []
        self.timeout_s = 2.0

    def call_eim(self, peer: EimPeer, message: bytes, timeout_s: float) -> bytes:
        happening = self.before.pop(int.from_bytes(message[:2], "big"), None)
        if happening is not None:
            happening()
        try:
            return self._carrier.call_eim(peer, message, min(timeout_s, self.timeout_s))
        except KeimError as failure:
            self.failures.append(failure)
            raise

    def reach_eim(self, peer: EimPeer, timeout_s: float) -> None:
        self._carrier.reach_eim(peer, timeout_s)

    def close(self) -> None:
        self._carrier.close()

    def end(self) -> None:
        self._carrier.end()


def test_a_daemon_is_called_and_takes_injected_packages(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    more = "[injection]\ncalls_devices = true\ntimeout_s = 10\n"
    site = site_on(broker, tmp_path, more=more)
    try:
        device = Daemon(site, 0, {"mqtt": broker.config(EIDS[0])})
        caller = Listener(broker, EIM_USER, ["nothing"])
        order = site.order(device.eid, LIST)
        word = write_wake(Topics(), device.eid, b"word", expiry_s=60)
        caller.say(word)
        caller.say(word)  # the same word is the same call
        until(lambda: order in device.succeeded())
        site.operate(lambda service: reached(service, device.eid))
        switch = site.order(device.eid, SWITCH)  # nobody calls this time: it is pushed
        until(lambda: switch in device.succeeded(), 30)
        assert device.lab.enabled() == iccid(2)
        until(lambda: device.pending() == 0)
        assert device.cycles == 2
        again = site.order(device.eid, LIST)
        until(lambda: again in device.succeeded(), 30)
        device.stop()
        caller.client.stop()
    finally:
        assert site.stop() == 0
        broker.stop()


def test_what_an_operator_orders_calls_a_device_that_listens(tmp_path: Path) -> None:
    """Over the API of the running eIM, whose process alone can speak to the broker."""
    broker = Broker(tmp_path)
    config = f"[mqtt]\n{toml_of(broker.config(EIM_USER))}[api]\ntls = false\n"
    site = EimSite(tmp_path, config=config, arguments=("--api-listen", "127.0.0.1:0"))
    try:
        device = Daemon(site, 0, {"mqtt": broker.config(EIDS[0])})
        with Client(f"http://{site.at['api']}", token=site.admin_token) as client:
            placed = client.operations.order([{"command": "list_profiles"}], Target(eid=str(device.eid)))
            assert client.operations.wait(placed.id, timeout_s=20).state == "succeeded"
        until(lambda: device.cycles == 2)
        device.stop()
    finally:
        assert site.stop() == 0
        broker.stop()


async def reached(service: EimService, eid: Any) -> None:
    await Reaching(service, {"mqtt"}).set_reach(eid, Reach(f"mqtt://{eid}"))


def test_one_cycle_and_the_doctor_go_through_the_broker(
    site: EimSite, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    device = SiteDevice(site, 4)
    order = site.order(device.eid, LIST)
    ready, port = threading.Event(), [0]

    def note(_host: str, number: int) -> None:
        port[0] = number
        ready.set()

    card = threading.Thread(
        target=serve_tcp, args=(device.lab.card, "127.0.0.1", 0),
        kwargs={"on_ready": note, "connections": 2}, daemon=True,
    )  # fmt: skip
    card.start()
    assert ready.wait(10)
    file = device.folder / "ipa.toml"
    table = toml_of(broker.config(device.eid))
    file.write_text(f'card = "tcp:127.0.0.1:{port[0]}"\n[eims."{EIM}".mqtt]\n{table}', "utf-8")
    assert run_command(["ipa", "run", "--once", "--config", str(file)]) == 0
    assert order in device.succeeded()
    capsys.readouterr()
    run_command(["ipa", "doctor", "--config", str(file)])
    assert f"subscribed at the broker 127.0.0.1:{broker.port}" in capsys.readouterr().out
    card.join(10)


def test_an_order_calls_its_device(broker: Broker) -> None:
    async def test() -> None:
        config = convert(broker.config(EIM_USER, client_id="caller"), MqttConfig)

        async def answer(_message: bytes, _connection: str) -> bytes:
            return NOT_FOUND

        carrier = MqttCarrier(config, EIM, EsipaDoor(answer), Counters(frozenset()))
        await carrier.open()
        device = Listener(broker, EIDS[3], [f"esipa/v1/{EIDS[3]}/wake"])
        carrier.wake(EIDS[3])
        await asyncio.to_thread(until, lambda: device.heard)
        device.client.stop()
        late = Listener(broker, EIDS[3], [f"esipa/v1/{EIDS[3]}/wake"])
        await asyncio.to_thread(until, lambda: late.heard)  # retained for those who were away
        assert late.heard[0].payload == device.heard[0].payload
        assert late.heard[0].is_retained
        late.client.stop()
        await carrier.close()

    asyncio.run(asyncio.wait_for(test(), 30))


def test_two_workers_share_the_messages_of_all_devices(broker: Broker) -> None:
    async def test() -> None:
        asked = [0, 0]
        workers = []
        for number in range(2):
            config = config_of_worker(convert(broker.config(EIM_USER, client_id="w"), MqttConfig), number)
            assert config is not None

            async def answer(_message: bytes, _connection: str, number: int = number) -> bytes:
                asked[number] += 1
                return NOT_FOUND

            workers.append(MqttCarrier(config, EIM, EsipaDoor(answer), Counters(frozenset())))
        for worker in workers:
            await worker.open()
        await asyncio.to_thread(until, lambda: all(worker.server._client.is_ready for worker in workers))
        device = carrier_of(broker, EIDS[3])
        for _ in range(10):
            assert await asyncio.to_thread(device.call_eim, peer(EIDS[3]), POLL, 10) == NOT_FOUND
        assert sum(asked) == 10
        assert min(asked) >= 1
        device.end()
        for worker in workers:
            await worker.close()

    asyncio.run(asyncio.wait_for(test(), 30))


def test_workers_need_version_5(tmp_path: Path) -> None:
    config = config_of_worker(convert({"broker": "127.0.0.1:1", "version": "3.1.1"}, MqttConfig), 0)
    assert config is not None
    with pytest.raises(Refused) as caught:
        MqttCarrier(config, EIM, EsipaDoor(None), Counters(frozenset()))  # type: ignore[arg-type]  # never asked
    assert caught.value.code == "config.invalid"


@pytest.mark.parametrize(
    "wrong",
    [
        {"broker": "nowhere"},
        {"certificate": "only.pem"},
        {"password_file": "alone"},
        {"username": "x", "password_file": "/nonexistent"},
        {"prefix": "a/#"},
        {"prefix": ""},
        {"prefix": "/a/"},
    ],
)
def test_a_configuration_that_cannot_work_is_refused_with_a_reason(wrong: dict[str, str]) -> None:
    config = convert({"broker": "127.0.0.1:1883", "tls": True, **wrong}, BrokerConfig)
    with pytest.raises(Refused) as caught:
        assert (config.topics, config.settings(client_id="x")) is None
    assert caught.value.code in ("config.invalid", "config.file_not_found")


def test_the_benchmark_of_the_wire_has_its_way_through_a_broker(tmp_path: Path) -> None:
    with wire_mqtt.mqtt_way(tmp_path, prefix=("nice",)) as way:
        site = EimSite(tmp_path, config=way.eim_config)
        device = SiteDevice(site)
        order = site.order(device.eid, SWITCH)
        device.cycle(carrier=wire_mqtt.carrier_of(way.device_config(device.eid)))
        assert order in device.succeeded()
        assert site.stop() == 0


@needs_system("postgresql")
def test_workers_of_one_eim_answer_through_one_broker_and_a_dead_one_is_missed_by_nobody(
    tmp_path: Path,
    cluster: Cluster,
) -> None:
    broker = Broker(tmp_path)
    config = f"[mqtt]\n{toml_of(broker.config(EIM_USER))}"
    site = EimSite(tmp_path, config=config, store=cluster.new_database(), arguments=("--workers", "2"))
    try:
        device = SiteDevice(site)
        orders = [site.order(device.eid, LIST) for _ in range(3)]
        device.cycle(carrier=carrier_of(broker, device.eid))
        assert set(orders) <= device.succeeded()
        os.kill(workers_of(site.process.pid)[0], signal.SIGKILL)
        order = site.order(device.eid, SWITCH)

        def is_done() -> bool:
            device.cycle(carrier=carrier_of(broker, device.eid))
            return order in device.succeeded()

        until(is_done)
        assert device.lab.enabled() == iccid(2)
    finally:
        assert site.stop() == 0
        broker.stop()
