"""Our eIM before our IPA and our card while messages vanish, come twice, late and in another order.

Meanwhile an operator orders, cancels, supersedes, rotates the key and puts a backup back. Then the sky
clears, and what the eIM believes is compared with the card itself.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.card_lab import EID, EIM, SMDP, SeededEntropy, iccid, signer
from tests.roles.eim_lab import EimLab, eim_of
from tests.roles.test_ipa_chaos import PowerCut, Storm, stormy

from keim.app import eim_backup
from keim.app.eim_service import EimService
from keim.crypto.suites import suite_named
from keim.eim import compose
from keim.eim.key_rotation import update_of
from keim.eim.orders import DEFAULT, Terms
from keim.eim.restoring import COUNTER_LEAP
from keim.eim.rows import Operation, OrderState, Retry, State
from keim.eim.work import Work
from keim.errors import KeimError
from keim.euicc.faults import Faults
from keim.ids import Iccid
from keim.io.eim_store import EimStore
from keim.io.store.sqlite import SqliteEngine
from keim.ipa.configuration import Configuration, Timers
from keim.messages import esipa as m
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import (
    DeletePsmo,
    DisablePsmo,
    EnablePsmo,
    EuiccPackageResult,
    EuiccPackageResultDataSigned,
    EuiccResultData,
    Psmo,
    SetFallbackAttributePsmo,
)
from keim.messages.profile import (
    NotificationConfigurationInformation,
    ProfileInfoListRequest,
    StoreMetadataRequest,
)
from keim.saip.store_metadata import ALL_EVENTS

EXAMPLES: Final = int(os.environ.get("KEIM_EIM_CHAOS_EXAMPLES", "40"))
LIST: Final = Psmo(list_profile_info=ProfileInfoListRequest())
DIRECT: Final = IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION
INDIRECT: Final = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION


class World:
    """What happens, and what an onlooker at the device has seen of it."""

    def __init__(self, folder: Path, features: IpaFeatures) -> None:
        self.database = folder / "eim.db"
        self.copy = folder / "copy.db"

        async def opened() -> SqliteEngine:
            return SqliteEngine(self.database)

        keys = {"one": signer("eim-sign"), "two": signer("dp-auth")}
        configuration = Configuration(features=features, timers=Timers(fallback_s=1e9))
        self.lab = EimLab(eim_of(signers=keys), configuration=configuration, open_store=opened, profiles=3)
        self._tells_of_switches()
        self.calls = self.lab.world.eims[EIM]
        self.lab.world.eims[EIM] = self._calls
        self.said: list[bytes] = []
        """All that the device sent to the eIM, in its order."""
        self.packages: dict[int, set[bytes]] = {}
        """counterValue -> the packages that went out with it."""
        self.risen: list[int] = []
        self.acknowledged: set[int] = set()
        self.results: dict[bytes, EuiccPackageResultDataSigned] = {}
        """eimTransactionId -> what the card said last of it."""
        self.references: list[str] = []
        self.restores = 0

    def _tells_of_switches(self) -> None:
        """Whatever happens to a profile makes a notification, and each may become the fallback."""
        card = self.lab.lab.card
        heard = NotificationConfigurationInformation(
            profile_management_operation=ALL_EVENTS, notification_address=SMDP
        )
        state = card.state
        for profile in state.profiles:
            metadata = StoreMetadataRequest.decode(profile.record.metadata).replace(
                notification_configuration_info=(heard,), fallback_allowed=True
            )
            record = structs.replace(profile.record, metadata=metadata.encode())
            state = state.with_profile(structs.replace(profile, record=record))
        card.commit("factory", state)

    # the network

    def _calls(self, octets: bytes) -> bytes | None:
        self.said.append(octets)
        self._look_into(octets)
        answer = self.calls(octets)
        if answer is not None:
            self._note(answer)
        return answer

    def _look_into(self, octets: bytes) -> None:
        if octets[:2] != b"\xbf\x50":
            return
        result = m.ProvideEimPackageResult.decode(octets).eim_package_result
        for one in results_in(result):
            if one.euicc_package_result_signed is None:
                continue
            data = one.euicc_package_result_signed.euicc_package_result_data_signed
            assert data.eim_transaction_id is not None
            before = self.results.get(data.eim_transaction_id)
            if before is None or before.seq_number < data.seq_number:
                self.results[data.eim_transaction_id] = data

    def _note(self, answer: bytes) -> None:
        if answer[:2] == b"\xbf\x4f":
            package = m.GetEimPackageResponse.decode(answer).euicc_package_request
            if package is not None:
                counter = package.euicc_package_signed.counter_value
                if counter not in self.packages:
                    self.risen.append(counter)
                self.packages.setdefault(counter, set()).add(answer)
        elif answer[:2] == b"\xbf\x50":
            numbers = m.ProvideEimPackageResultResponse.decode(answer).eim_acknowledgements
            self.acknowledged.update(numbers or ())

    def straggler(self, seed: int) -> None:
        """The network delivers once more what it has delivered before; nobody waits for an answer."""
        if self.said:
            answer = self.calls(random.Random(seed).choice(self.said))
            if answer is not None:
                self._note(answer)

    def cycle(self) -> None:
        self.lab.cycle()

    def storm(self, seed: int, strength: float) -> None:
        storm = Storm(random.Random(seed), strength)
        calm, card = self.lab.world.perform, self.lab.lab.card
        self.lab.world.perform = stormy(self.lab, storm)  # type: ignore[method-assign,arg-type]  # for a while
        if storm.luck.random() < storm.strength:
            card.faults = Faults(
                cut_at_apdu=storm.luck.randrange(60), cut_at_write=storm.luck.choice((None, 0, 1, 2, 3))
            )
        try:
            self.lab.cycle()
        except PowerCut:
            card.power_off()
        except KeimError:
            pass  # the loop of a daemon goes on with its next cycle
        finally:
            self.lab.world.perform = calm  # type: ignore[method-assign]  # as above
            card.faults = None

    # the operator

    def order(self, command: Psmo, terms: Terms = DEFAULT, many: bool = False) -> None:
        self.place(compose.package_of([command]), terms, many=many)

    def place(self, work: Work, terms: Terms = DEFAULT, *, many: bool = False) -> None:
        reference = f"r{len(self.references)}"
        if many:
            self.lab.run(self.lab.service.order_for_many(work, reference=reference, terms=terms))
        else:
            self.lab.ask_for(work, reference=reference, terms=terms)
        self.references.append(reference)

    def download(self) -> None:
        _, matching_id = self.lab.smdp.order()
        self.place(compose.download_by_code(f"1${SMDP}${matching_id}"))

    def ask(self) -> None:
        self.place(compose.data_request_of(bytes.fromhex("BF20A0A2")))

    def wait(self, hours: float) -> None:
        self.lab.later(hours=hours)

    def cancel(self, number: int) -> None:
        if self.references:
            self.lab.run(self.lab.service.cancel(self.references[number % len(self.references)]))

    def supersede(self, number: int) -> None:
        if not self.references:
            return
        old = self.references[number % len(self.references)]
        known = self.lab.run(self.lab.store.order(old))
        assert known is not None
        if known[1] is not OrderState.SUPERSEDED:
            many = known[0].eid is None
            self.place(compose.package_of([LIST]), Terms(supersedes=old), many=many)

    def rotate(self) -> None:
        key = self.lab.eim.signers["two"]
        spki = suite_named(key.algorithm).curve.spki(key.public_point)
        self.place(update_of(EIM, spki))

    def backup(self) -> None:
        self.copy.unlink(missing_ok=True)
        eim_backup.backup(str(self.database), self.copy)
        self.kept = list(self.references)

    def restore(self) -> None:
        if not self.copy.exists():
            return
        lab = self.lab
        lab.run(lab.store.engine.close())
        for path in self.database.parent.glob("eim.db*"):
            path.unlink()
        self.restores += 1
        leap = self.restores * COUNTER_LEAP
        lab.run(eim_backup.put_back(self.copy, str(self.database), lab.clock, leap=leap))
        lab.store = EimStore(SqliteEngine(self.database))
        entropy = SeededEntropy(random.Random(len(self.said)).randrange(10**9))
        lab.service = EimService(
            lab.eim, lab.store, clock=lab.clock, entropy=entropy, ask_server=lab._ask, forward=lab._forward
        )
        lab.run(lab.store.prepare())
        self.references = list(self.kept)
        self.lab.later(hours=1)

    # afterwards

    def settle(self) -> None:
        for _ in range(8):
            self.lab.later(days=1)
            self.lab.run(self.lab.service.keep_time())
            self.lab.connection = f"calm {self.lab.clock.now()}"
            self.cycle()
            self.lab.errands()

    def check(self) -> None:
        lab, device = self.lab, self.lab.device()
        assert lab.lab.card.last_error is None
        assert device.offer is None, "something is outstanding for ever"
        assert device.chores == (), device.chores
        assert not device.is_stale
        assert lab.pending() == 0, "the card keeps what nobody acknowledges"
        self._check_picture()
        self._check_packages()
        for operation in lab.run(lab.store.operations(eid=EID)):
            assert operation.state is not State.DELIVERED, operation
            if operation.state is State.QUEUED:
                assert self._is_given_up(operation.order), operation
            elif not self.restores:
                self._check_end(operation)
        if not self.restores:
            held = {
                number
                for (number,) in lab.run(lab.store.engine.fetch("SELECT sequence_number FROM eim_receipts"))
            }
            assert self.acknowledged <= held

    def _is_given_up(self, number: int) -> bool:
        """It waited for its next attempt when its order was withdrawn."""
        rows = self.lab.run(self.lab.store.engine.fetch("SELECT state FROM eim_orders WHERE id = ?", number))
        return rows[0][0] in (OrderState.CANCELLED, OrderState.EXPIRED, OrderState.SUPERSEDED)

    def _check_picture(self) -> None:
        state = self.lab.lab.card.state
        real = {
            str(Iccid.from_octets(profile.iccid)): (
                profile.is_enabled,
                profile.aid == state.isdr.fallback_profile,
            )
            for profile in state.profiles
        }
        knowledge = self.lab.knowledge()
        if knowledge.profiles_at is None:
            return  # never asked for
        believed = {one.iccid: (one.is_enabled, one.has_fallback_attribute) for one in knowledge.profiles}
        assert believed == real
        assert knowledge.proved is None

    def _check_packages(self) -> None:
        assert self.risen == sorted(self.risen), "a counter came after a higher one"
        for counter, packages in self.packages.items():
            assert len(packages) == 1, f"counter {counter} was used for two packages"

    def _check_end(self, operation: Operation) -> None:
        """What is told of an operation is what the card did."""
        said = self.results.get(operation.transaction_id)
        if operation.counter is None or said is None:
            return
        is_back = any(entry.rollback_result == 0 for entry in said.euicc_result)
        if is_back:
            assert operation.state is State.ROLLED_BACK, operation
        elif said.euicc_result and not any(_failed(entry) for entry in said.euicc_result):
            assert operation.state is State.SUCCEEDED, operation
        else:
            assert operation.state is State.FAILED, operation


def _failed(entry: EuiccResultData) -> bool:
    for name in ("enable", "disable", "delete", "set_fallback_attribute", "update_eim"):
        if getattr(entry, f"{name}_result") not in (None, 0):
            return True
    return entry.processing_terminated is not None or entry.rollback_result not in (None, 0)


def results_in(result: m.EimPackageResult) -> tuple[EuiccPackageResult, ...]:
    if result.euicc_package_result is not None:
        return (result.euicc_package_result,)
    if result.epr_and_notifications is not None:
        return (result.epr_and_notifications.euicc_package_result,)
    data = result.ipa_euicc_data_response
    if data is not None and data.ipa_euicc_data is not None:
        return data.ipa_euicc_data.euicc_package_result_list or ()
    return ()


Step = tuple[str, *tuple[object, ...]]
"""The name of a method of `World`, and its arguments."""
NUMBERS: Final = st.sampled_from((1, 2, 3)).map(iccid)
COMMANDS: Final = st.one_of(
    st.builds(lambda i, r: Psmo(enable=EnablePsmo(iccid=i, rollback_flag=r)), NUMBERS, st.booleans()),
    NUMBERS.map(lambda i: Psmo(delete=DeletePsmo(iccid=i))),
    NUMBERS.map(lambda i: Psmo(disable=DisablePsmo(iccid=i))),
    NUMBERS.map(lambda i: Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=i))),
    st.just(LIST),
)
TERMS: Final = st.sampled_from(
    (DEFAULT, DEFAULT, Terms(retry=Retry(times=2, after=("failed",), pause_s=600)))
)
SEEDS: Final = st.integers(0, 10**6)
PLACES: Final = st.integers(0, 9)
STRENGTHS: Final = st.sampled_from((0.1, 0.3, 0.5))
HOURS: Final = st.sampled_from((0.02, 0.5, 48.0, 744.0))
STEPS: Final[st.SearchStrategy[Step]] = st.one_of(
    st.tuples(st.just("order"), COMMANDS, TERMS, st.booleans()),
    st.tuples(st.just("order"), COMMANDS, TERMS, st.booleans()),
    st.tuples(st.just("storm"), SEEDS, STRENGTHS),
    st.tuples(st.just("storm"), SEEDS, STRENGTHS),
    st.tuples(st.just("straggler"), SEEDS),
    st.tuples(st.just("straggler"), SEEDS),
    st.sampled_from(
        [("cycle",), ("cycle",), ("download",), ("ask",), ("rotate",), ("backup",), ("restore",)]
    ),
    st.tuples(st.just("cancel"), PLACES),
    st.tuples(st.just("supersede"), PLACES),
    st.tuples(st.just("wait"), HOURS),
)


@contextmanager
def worlds(features: IpaFeatures) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), features)
        try:
            yield world
        finally:
            world.lab.close()


@settings(max_examples=EXAMPLES)
@given(
    features=st.sampled_from((INDIRECT, DIRECT, DIRECT | INDIRECT)),
    steps=st.lists(STEPS, min_size=3, max_size=25),
)
def test_when_all_has_settled_the_eim_believes_what_the_card_is(
    features: IpaFeatures, steps: list[Step]
) -> None:
    with worlds(features) as world:
        for name, *words in steps:
            getattr(world, name)(*words)
        world.settle()
        world.check()
