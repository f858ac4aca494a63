"""Whatever happens between our eIM and our card: the fold of the events is the twin of the rows, always."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.card_lab import EID, EIM, SMDP, iccid, world
from tests.roles.eim_lab import EimLab

from keim.deciding import alone
from keim.der import PublicKeyInfo
from keim.eim import compose, get_eim_package
from keim.eim.facts import Context
from keim.eim.orders import DEFAULT, Terms
from keim.eim.rows import Contact, Device, DeviceState, OrderState, Retry, Switches
from keim.eim.twin import Twin
from keim.eim.upcoming import upcoming
from keim.errors import Refused, TimedOut
from keim.io.eim_store.reading import Reading
from keim.ipa.configuration import Configuration
from keim.messages.common import SetDefaultDpAddressRequest
from keim.messages.esipa import GetEimPackageRequest
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import (
    DeleteEimEco,
    DeletePsmo,
    DisablePsmo,
    Eco,
    EimConfigurationData,
    EimPublicKeyData,
    EnablePsmo,
    ListEimEco,
    Psmo,
    SetFallbackAttributePsmo,
    UnsetFallbackAttributePsmo,
)
from keim.messages.profile import ProfileInfoListRequest

INDIRECT: Final = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
PROFILES: Final = (1, 2, 3)
LIST: Final = Psmo(list_profile_info=ProfileInfoListRequest())


class History:
    """Our eIM, our IPA and our card, and what may happen to them."""

    def __init__(self, features: IpaFeatures) -> None:
        self.lab = EimLab(configuration=Configuration(features=features), profiles=2)
        self.reading = Reading(self.lab.store)
        self.references: list[str] = []
        self.calls = self.lab.world.eims[EIM]
        self.lose = 0
        self.lab.world.eims[EIM] = self._calls

    def _calls(self, octets: bytes) -> bytes | None:
        answer = self.calls(octets)
        if octets[:2] == b"\xbf\x50" and self.lose:
            self.lose -= 1
            raise TimedOut("lost")
        return answer

    def order(self, command: Psmo | Eco, terms: Terms = DEFAULT, *, many: bool = False) -> None:
        work = compose.package_of([command])
        reference = f"r{len(self.references)}"
        if many:
            self.lab.run(self.lab.service.order_for_many(work, reference=reference, terms=terms))
        else:
            self.lab.ask_for(work, reference=reference, terms=terms)
        self.references.append(reference)

    def download(self) -> None:
        _, matching_id = self.lab.smdp.order()
        reference = f"r{len(self.references)}"
        self.lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"), reference=reference)
        self.references.append(reference)

    def cancel(self, number: int) -> None:
        if self.references:
            self.lab.run(self.lab.service.cancel(self.references[number % len(self.references)]))

    def supersede(self, number: int) -> None:
        if self.references:
            old = self.references[number % len(self.references)]
            known = self.lab.run(self.lab.store.order(old))
            assert known is not None
            if known[1] is not OrderState.SUPERSEDED:
                self.order(LIST, Terms(supersedes=old), many=known[0].eid is None)

    def approve(self) -> None:
        for reference in self.references:
            try:
                self.lab.run(self.lab.service.approve(reference, actor="second"))
            except Refused:
                continue

    def without_network(self) -> None:
        before = self.lab.enabled()
        self.lab.world.has_network = lambda: self.lab.enabled() == before
        self.lab.cycle()
        self.lab.world.has_network = lambda: True

    def give_up(self) -> None:
        """The same package again and again on one connection, until the eIM has had enough."""
        self.lab.connection, self.lose = "the same", 10**6
        self.lab.cycle()
        self.lab.connection, self.lose = "c1", 0

    def pass_time(self, **delta: float) -> None:
        self.lab.later(**delta)
        self.lab.run(self.lab.service.keep_time())

    def change(self, **words: object) -> None:
        self.lab.run(self.lab.service.change_device(EID, actor="operator", **words))  # type: ignore[arg-type]  # of several kinds

    # what it gets next, told and done

    def promised(self) -> tuple[object, ...] | None:
        facts = self.lab.run(self.lab.store.facts_of_poll(EID))
        told = upcoming(self.lab.eim, facts, self.lab.clock.now())
        if told.kind is None:
            return None
        return told.order, told.chore, told.kind, told.counter

    def given(self) -> tuple[object, ...] | None:
        """By the decision of a poll, which is not kept."""
        facts = self.lab.run(self.lab.store.facts_of_poll(EID))
        context = Context(self.lab.clock.now(), self.lab.service.entropy)
        request = GetEimPackageRequest(eid_value=bytes.fromhex(EID))
        decision = alone(get_eim_package.decide(self.lab.eim, facts, request, context))
        if decision.reply is None or decision.reply[3] == 0x02:
            return None  # BF4F 03 02 01 CODE: nothing, or an error
        rows = [row for row in decision.rows if isinstance(row, Device)]
        offer = rows[0].offer if rows else None
        assert offer is not None
        chore = None if offer.chore is None else offer.chore.value
        return (None if chore else offer.order), chore, offer.kind.value, offer.counter

    # the two ways to the same twin

    def of_rows(self) -> Twin:
        device = self.lab.device()
        return without_contact(self.lab.run(self.reading.twin(device, EIM, self.lab.clock.now())))

    def of_events(self, at: datetime) -> Twin:
        made = self.lab.run(self.reading.twin_at(self.lab.device(), EIM, at))
        assert made is not None
        return without_contact(made)


def without_contact(twin: Twin) -> Twin:
    """An idle poll leaves no event, so its moment is known of today only."""
    fresh = structs.replace(twin.freshness, last_poll=None, next_contact_expected=None, is_overdue=False)
    return structs.replace(twin, freshness=fresh)


def other_eim() -> EimConfigurationData:
    key = world().get("eim-sign").certificate.spki
    return EimConfigurationData(
        eim_id="other.example.com",
        counter_value=7,
        association_token=-1,
        eim_public_key_data=EimPublicKeyData(eim_public_key=PublicKeyInfo(key)),
    )


Step = Callable[[History], None]


def commands() -> st.SearchStrategy[Psmo | Eco]:
    number = st.sampled_from(PROFILES).map(iccid)
    return st.one_of(
        st.builds(lambda i, r: Psmo(enable=EnablePsmo(iccid=i, rollback_flag=r)), number, st.booleans()),
        number.map(lambda i: Psmo(disable=DisablePsmo(iccid=i))),
        number.map(lambda i: Psmo(delete=DeletePsmo(iccid=i))),
        number.map(lambda i: Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=i))),
        st.just(Psmo(unset_fallback_attribute=UnsetFallbackAttributePsmo())),
        st.just(LIST),
        st.sampled_from(["a.example.com", "b.example.com"]).map(
            lambda name: Psmo(set_default_dp_address=SetDefaultDpAddressRequest(default_dp_address=name))
        ),
        st.just(Eco(add_eim=other_eim())),
        st.just(Eco(delete_eim=DeleteEimEco(eim_id="other.example.com"))),
        st.just(Eco(list_eim=ListEimEco())),
    )


def orders() -> st.SearchStrategy[Step]:
    def make(command: Psmo | Eco, kind: str, *, many: bool) -> Step:
        def step(history: History) -> None:
            now = history.lab.clock.now()
            terms = {
                "planned": Terms(not_before=now + timedelta(hours=1)),
                "approved": Terms(needs_approval=True),
                "short": Terms(expires_at=now + timedelta(hours=2)),
                "again": Terms(retry=Retry(times=3, after=("failed", "rolled_back"), pause_s=600)),
            }.get(kind, Terms())
            history.order(command, terms, many=many)

        return step

    kinds = st.sampled_from(["plain", "plain", "planned", "approved", "short", "again"])
    return st.builds(make, commands(), kinds, many=st.booleans())


def lose(history: History) -> None:
    history.lose = 1


STEPS: Final = st.one_of(
    orders(),
    orders(),
    st.sampled_from([History.download, History.without_network, History.give_up, History.approve, lose]),
    st.sampled_from([lambda history: history.lab.cycle()] * 4),
    st.integers(0, 9).map(lambda number: lambda history: history.cancel(number)),
    st.integers(0, 9).map(lambda number: lambda history: history.supersede(number)),
    st.sampled_from([{"minutes": 11}, {"hours": 1}, {"days": 31}]).map(
        lambda delta: lambda history: history.pass_time(**delta)
    ),
    st.sampled_from(
        [
            {"tags": ("site=berlin", "pilot")},
            {"tags": ()},
            {"clears_alarm": True},
            {"switches": Switches(verifies=False)},
            {"switches": Switches()},
            {"state": DeviceState.ARCHIVED},
            {"state": DeviceState.ACTIVE},
        ]
    ).map(lambda words: lambda history: history.change(**words)),
)


@settings(max_examples=60)
@given(
    features=st.sampled_from([INDIRECT, IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION]),
    steps=st.lists(STEPS, min_size=1, max_size=14),
)
def test_the_fold_of_all_events_is_the_twin_of_the_rows_at_each_instant(
    features: IpaFeatures, steps: list[Step]
) -> None:
    history = History(features)
    try:
        seen: list[tuple[datetime, Twin]] = []
        for step in steps:
            step(history)
            now = history.lab.clock.now()
            twin = history.of_rows()
            assert history.of_events(now) == twin
            assert history.promised() == history.given()
            seen.append((now, twin))
            history.lab.later(seconds=1)
        for at, twin in seen:
            assert history.of_events(at) == twin, "the past does not change"
    finally:
        history.lab.close()


def test_the_next_contact_is_expected_by_the_devices_own_habit() -> None:
    history = History(INDIRECT)
    lab = history.lab
    try:
        for _ in range(4):
            lab.cycle()
            lab.run(lab.service.write_contacts())
            lab.later(hours=6)
        lab.cycle()
        lab.run(lab.service.write_contacts())
        contact = lab.run(lab.store.contact(EID))
        assert contact == Contact(lab.clock.now(), timedelta(hours=6))
        freshness = lab.run(history.reading.twin(lab.device(), EIM, lab.clock.now())).freshness
        assert freshness.next_contact_expected == lab.clock.now() + timedelta(hours=6)
        assert not freshness.is_overdue
        late = lab.clock.now() + timedelta(hours=19)
        assert lab.run(history.reading.twin(lab.device(), EIM, late)).freshness.is_overdue
    finally:
        lab.close()
