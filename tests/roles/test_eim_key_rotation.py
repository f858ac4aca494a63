"""The eIM's signing key is rotated over a fleet of our cards, cut off at every step, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.card_lab import NOW, Lab, upp
from tests.roles.eim_lab import SetClock
from tests.roles.ipa_world import IpaWorld

from keim.app.eim import SIGNING, EimConfig, configuration_data, eim_of
from keim.app.eim_key_rotation import KeyRotation, Progress
from keim.app.eim_service import EimService
from keim.app.new_card import identity_from, preloaded
from keim.der import TOLERANT
from keim.eim import compose
from keim.eim.events import KeyRotated
from keim.eim.get_eim_package import KEY_IS_MISSING
from keim.eim.key_rotation import LEFT_BEHIND, RotationState
from keim.eim.rows import Device, DeviceState, State
from keim.errors import Refused
from keim.euicc.identity import Options
from keim.io.eim_store import EimStore
from keim.io.entropy import OsEntropy
from keim.io.pki_files import create_files, load_world
from keim.io.store.engine import Entry, Statement
from keim.io.store.sqlite import SqliteEngine
from keim.ipa.configuration import Configuration
from keim.ipa.cycle import run_cycle
from keim.ipa.virtual import VirtualClock
from keim.messages.es10b import AddInitialEimRequest, AddInitialEimResponse
from keim.messages.esipa import (
    EimPackageResult,
    GetEimPackageRequest,
    GetEimPackageResponse,
    ProvideEimPackageResult,
)
from keim.messages.package import EuiccPackageErrorUnsigned, EuiccPackageResult, Psmo
from keim.messages.profile import ProfileInfoListRequest
from keim.pki import Role
from keim.pki.world import World, WorldPlan, create_world, example_eids

EIM = "eim.example.com"
EIDS = example_eids(3)
POLL = GetEimPackageRequest(eid_value=EIDS[0].octets).encode()
LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])


@cache
def made_world() -> World:
    return create_world(WorldPlan(eids=tuple(EIDS), eim_address=EIM), now=NOW)


class Cut(Exception):
    """The power is gone."""


class FragileEngine(SqliteEngine):
    """Dies before or after its `at`-th commit from now."""

    at: int | None = None
    is_after = False

    async def commit(self, statements: Sequence[Statement], entries: Sequence[Entry] = ()) -> None:
        if self.at is not None:
            self.at -= 1
            if self.at < 0 and not self.is_after:
                raise Cut
        await super().commit(statements, entries)
        if self.at is not None and self.at < 0:
            raise Cut


class Card:
    def __init__(self, fleet: Fleet, number: int) -> None:
        self.eid = EIDS[number]
        given = identity_from(
            fleet.world, self.eid, options=Options(), default_smdp_address="", root_smds_address=""
        )
        self.lab = Lab(state=preloaded([upp(1)], is_first_enabled=True), eim=False, card_identity=given)
        own = configuration_data(fleet.world, fleet.config)
        answer = AddInitialEimResponse.decode(
            self.lab.es10(AddInitialEimRequest(eim_configuration_data_list=(own,)).encode())
        )
        assert answer.add_initial_eim_ok is not None
        token = answer.add_initial_eim_ok[0].association_token
        certificates = (
            fleet.world.euicc(self.eid).certificate.der,
            fleet.world.get("eum").certificate.der,
        )
        tenant = "other" if number == 2 else "main"
        fleet.run(fleet.service.enrol(self.eid, token=token, certificates=certificates, tenant=tenant))
        self.world = IpaWorld(
            self.lab.card,
            {EIM: lambda octets: fleet.run(fleet.service.answer(octets, str(self.eid)))},
            configuration=Configuration(),
            clock=VirtualClock(epoch=NOW),
        )

    def cycle(self) -> None:
        self.world.run(run_cycle)


class Fleet:
    """Three cards of two tenants before one eIM, whose PKI lies in a directory."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.config = EimConfig(pki=str(folder))
        create_files(folder, made_world())
        self.world = load_world(folder)
        self.engine = FragileEngine()
        self.store = EimStore(self.engine)
        self.clock = SetClock()
        self.service = self._service()
        self.run(self.store.prepare())
        self.cards = [Card(self, number) for number in range(3)]
        self.old = self.current()

    def _service(self) -> EimService:
        eim = eim_of(load_world(self.config.pki), self.config)
        return EimService(eim, self.store, clock=self.clock, entropy=OsEntropy())

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def rotation(self) -> KeyRotation:
        """As a command that is started: it knows nothing but what is stored."""
        made = KeyRotation(self._service(), self.config)
        self.run(made.prepare())
        return made

    def start(self) -> Progress:
        found: Progress = self.run(self.rotation().start(actor="anna"))
        return found

    def go_on(self) -> Progress:
        found: Progress = self.run(self.rotation().go_on())
        return found

    def finish(self, **words: Any) -> Progress:
        found: Progress = self.run(self.rotation().finish(**words))
        return found

    def status(self) -> Progress:
        found: Progress = self.run(self.rotation().status())
        return found

    def read_pki(self) -> None:
        """What a running eIM does when its files have changed."""
        self.service.eim = eim_of(load_world(self.config.pki), self.config)
        self.run(self.store.many.refresh())

    def poll(self, *numbers: int) -> None:
        self.run(self.store.many.refresh())
        for number in numbers or range(3):
            self.cards[number].cycle()

    def device(self, number: int) -> Device:
        found: Device = self.run(self.store.device(EIDS[number]))
        return found

    def current(self) -> str:
        return load_world(self.config.pki).get(SIGNING).certificate.point[1:9].hex()

    def keys(self) -> int:
        """Private signing keys in the PKI."""
        world = load_world(self.config.pki)
        everything = (*world.credentials, *world.previous)
        return sum(one.role is Role.EIM_SIGN and one.key is not None for one in everything)

    def told(self) -> list[tuple[str, int]]:
        rows = [event for _, event in self.run(self.store.events())]
        return [(event.state, event.devices) for event in rows if isinstance(event, KeyRotated)]

    def orders(self) -> int:
        rows = self.run(self.engine.fetch("SELECT COUNT(*) FROM eim_orders WHERE eid IS NULL"))
        return int(rows[0][0])

    def close(self) -> None:
        self.run(self.engine.close())
        self.loop.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "pki")
    yield made
    made.close()


def works(fleet: Fleet, number: int) -> bool:
    """Whether the card still obeys."""
    order = fleet.run(fleet.service.order(EIDS[number], LIST))
    fleet.poll(number)
    operations = fleet.run(fleet.store.operations(eid=EIDS[number]))
    return any(one.order == order.id and one.state is State.SUCCEEDED for one in operations)


def test_every_card_follows_by_its_own_proof_and_then_the_old_key_goes(fleet: Fleet) -> None:
    begun = fleet.start()
    assert (begun.rotation.state, begun.devices, begun.followed) == (RotationState.ORDERED, 3, 0)
    fleet.read_pki()
    assert fleet.keys() == 2
    fleet.poll(0)
    assert (fleet.status().followed, fleet.status().states) == (1, {"succeeded": 1})
    assert fleet.device(0).signer == fleet.current() != fleet.old
    assert works(fleet, 0)
    with pytest.raises(Refused) as refused:
        fleet.finish()
    assert refused.value.code == "eim.rotation_unfinished"
    assert fleet.keys() == 2
    fleet.poll()
    assert fleet.status().left == 0
    finished = fleet.finish()
    assert finished.rotation.state is RotationState.FINISHED
    assert fleet.keys() == 1
    fleet.read_pki()
    assert all(works(fleet, number) for number in range(3))
    assert fleet.told() == [("ordered", 3), ("finished", 0)]


def test_start_again_goes_on_with_the_same_rotation(fleet: Fleet) -> None:
    first = fleet.start()
    again = fleet.start()
    assert first.rotation == again.rotation
    assert fleet.orders() == 2  # one of each tenant
    assert fleet.keys() == 2


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("step", range(7))
def test_a_cut_at_any_step_of_the_start_is_made_good(fleet: Fleet, step: int, is_after: bool) -> None:
    rotation = fleet.rotation()
    fleet.engine.at, fleet.engine.is_after = step, is_after
    with contextlib.suppress(Cut):
        fleet.run(rotation.start())
    fleet.engine.at = None
    begun = fleet.start()
    assert begun.rotation.state is RotationState.ORDERED
    assert begun.rotation.number == 1
    assert fleet.orders() == 2
    assert fleet.keys() == 2
    fleet.read_pki()
    fleet.poll()
    assert fleet.status().left == 0
    assert [state for state, _ in fleet.told()] == ["ordered"]
    assert all(works(fleet, number) for number in range(3))


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("step", range(4))
def test_a_cut_at_any_step_of_the_end_is_made_good(fleet: Fleet, step: int, is_after: bool) -> None:
    fleet.start()
    fleet.read_pki()
    fleet.poll(0)
    rotation = fleet.rotation()
    fleet.engine.at, fleet.engine.is_after = step, is_after
    with contextlib.suppress(Cut):
        fleet.run(rotation.finish(force=True))
    fleet.engine.at = None
    if fleet.status().rotation.state is not RotationState.FINISHED:
        finished = fleet.finish(force=True)
        assert finished.rotation.state is RotationState.FINISHED
    assert set(fleet.status().rotation.left) == {EIDS[1], EIDS[2]}
    assert fleet.keys() == 1
    assert fleet.told()[1:] == [("finished", 2)]
    assert [fleet.device(number).alarm for number in range(3)] == ["", LEFT_BEHIND, LEFT_BEHIND]
    fleet.read_pki()
    assert works(fleet, 0)


def test_whoever_failed_or_came_later_is_asked_again_and_nobody_else(fleet: Fleet) -> None:
    card = fleet.cards[1]
    answer = card.world.eims[EIM]
    fleet.start()
    fleet.read_pki()
    # What the card never gets expires, and is given up.
    card.world.eims[EIM] = lambda octets: answer(octets) and None
    fleet.poll(1)
    card.world.eims[EIM] = answer
    fleet.poll(0)
    assert fleet.go_on().rotation.round == 1  # one has it, another has not polled: nothing to repeat
    fleet.clock.moment = fleet.clock.moment.replace(year=fleet.clock.moment.year + 1)
    fleet.run(fleet.service.cancel("rotate-key 1.1 other"))
    again = fleet.go_on()
    assert again.rotation.round == 2
    fleet.poll()
    fleet.poll()
    last = fleet.go_on()
    fleet.poll()
    fleet.poll()
    assert fleet.status().left == 0, last
    assert all(works(fleet, number) for number in range(3))


def test_devices_that_are_not_active_are_not_waited_for(fleet: Fleet) -> None:
    fleet.start()
    fleet.read_pki()
    fleet.run(fleet.service.change_device(EIDS[1], state=DeviceState.ARCHIVED))
    fleet.poll(0, 2)
    assert fleet.status().devices == 2
    assert fleet.finish().rotation.left == ()


def test_new_devices_are_signed_for_with_the_new_key(fleet: Fleet) -> None:
    fleet.start()
    fleet.read_pki()
    stranger = example_eids(9)[8]
    device = fleet.run(fleet.service.enrol(stranger))
    assert device.signer == fleet.current()


def test_a_process_that_has_not_read_the_new_key_signs_nothing_for_whoever_proved_it(fleet: Fleet) -> None:
    fleet.start()
    fleet.poll(0)  # this process has the old PKI still
    assert fleet.device(0).signer == fleet.current()
    assert not works(fleet, 0)
    assert fleet.device(0).alarm == KEY_IS_MISSING
    fleet.read_pki()
    fleet.poll(0)
    assert fleet.device(0).alarm == ""
    assert works(fleet, 0)


def test_a_row_that_names_the_wrong_key_is_put_right_by_trying(fleet: Fleet) -> None:
    """As after a restore of a database that is older than the card's new key."""
    fleet.start()
    fleet.read_pki()
    fleet.poll(0)
    device = fleet.device(0)
    assert device.signer == fleet.current()
    old = msgspec.structs.replace(device, signer="", version=device.version + 1)
    fleet.run(fleet.store.change(old, []))
    assert works(fleet, 0)
    assert fleet.device(0).signer == fleet.current()
    assert fleet.device(0).alarm == ""


def test_each_key_is_tried_once_and_then_the_order_has_failed(fleet: Fleet) -> None:
    fleet.start()
    fleet.read_pki()
    fleet.run(fleet.service.cancel("rotate-key 1.1 main"))
    fleet.run(fleet.store.many.refresh())
    fleet.run(fleet.service.answer(POLL, "c"))  # nothing but the order from here on
    order = fleet.run(fleet.service.order(EIDS[0], LIST))
    refused = 0
    while True:
        answer = fleet.run(fleet.service.answer(POLL, f"c{refused}"))
        package = GetEimPackageResponse.decode(answer, TOLERANT).euicc_package_request
        if package is None:
            break
        error = EuiccPackageErrorUnsigned(
            eim_id=EIM, eim_transaction_id=package.euicc_package_signed.eim_transaction_id
        )
        result = EimPackageResult(euicc_package_result=EuiccPackageResult(euicc_package_error_unsigned=error))
        fleet.run(
            fleet.service.answer(
                ProvideEimPackageResult(eid_value=EIDS[0].octets, eim_package_result=result).encode(), "c"
            )
        )
        refused += 1
    assert refused == 2
    operations = fleet.run(fleet.store.operations(eid=EIDS[0]))
    assert [one.state for one in operations if one.order == order.id] == [State.FAILED]
    assert fleet.device(0).signer == fleet.old
    assert fleet.device(0).alarm


def test_a_second_rotation_follows_the_first(fleet: Fleet) -> None:
    for number in (1, 2):
        assert fleet.start().rotation.number == number
        fleet.read_pki()
        fleet.poll()
        assert fleet.status().left == 0
        fleet.finish()
        fleet.read_pki()
        assert fleet.keys() == 1
    assert all(works(fleet, number) for number in range(3))


def test_without_a_rotation_there_is_nothing_to_go_on_with(fleet: Fleet) -> None:
    assert fleet.run(fleet.rotation().status()) is None
    for step in (fleet.go_on, fleet.finish):
        with pytest.raises(Refused) as refused:
            step()
        assert refused.value.code == "eim.rotation_not_found"
