"""Our eIM calls our IPA: packages are pushed, answers believed by their signatures, loss ends well."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.card_lab import EID, SMDP, iccid
from tests.roles.eim_lab import EIM, EimLab, eim_of

from keim.app.eim_injection import Injection
from keim.app.eim_reaching import Reaching
from keim.eim import compose
from keim.eim.events import DeviceChanged, ResultRefused
from keim.eim.rows import Reach, State, Switches
from keim.errors import Refused, StoreFailed, TimedOut, Unreachable
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.initialise import initialise
from keim.ipa.injection import Accepted, accept, follow_up
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = Psmo(list_profile_info=ProfileInfoListRequest())
AT = "https://gateway.example.com:8463"
ENABLE = Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True))


class Connection:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def send(self, message: bytes) -> bytes:
        return self.gateway.take(message)

    def close(self) -> None:
        self.gateway.closed += 1


class Gateway(EimLab):
    """With an IPA that listens. What follows an answer is done by `follow`, when the eIM has its answer."""

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.injection = Injection(self.service, {"https": self})
        self.run(self.injection.prepare())
        self.reaching = Reaching(self.service, {"https"})
        self.knows_eim = True
        self.is_up = True
        self.sent: list[bytes] = []
        self.opened = self.closed = 0
        self.mischief: Callable[[bytes, bytes], bytes] = lambda request, answer: answer
        self._accepted: list[tuple[Accepted, bool]] = []

    async def reach(self, address: str, spki: bytes) -> Connection:
        del spki
        assert address == AT
        self.opened += 1
        if not self.is_up:
            raise Unreachable("no route to the gateway")
        return Connection(self)

    def take(self, message: bytes) -> bytes:
        self.follow()  # an IPA does one thing after the other
        self.sent.append(message)
        accepted = self._accept(message)
        try:
            answer = self.mischief(message, accepted.response.encode())
        except TimedOut:
            self._accepted.append((accepted, False))
            raise
        self._accepted.append((accepted, True))
        return answer

    def _accept(self, message: bytes) -> Accepted:
        found: list[Accepted] = []

        def procedure(ipa: Ipa) -> Procedure[object]:
            yield from initialise(ipa)
            own = ipa.entry(EIM)
            assert own is not None
            found.append((yield from accept(ipa, own, message, is_authenticated=self.knows_eim)))
            return None

        self.world.run(procedure)
        return found[0]

    def follow(self) -> None:
        """What the IPA does after its answers: switches, downloads, results over a connection of its own."""
        todo, self._accepted = self._accepted, []
        for accepted, was_sent in todo:

            def procedure(
                ipa: Ipa, accepted: Accepted = accepted, was_sent: bool = was_sent
            ) -> Procedure[object]:
                yield from initialise(ipa)
                own = ipa.entry(EIM)
                assert own is not None
                yield from follow_up(ipa, own, accepted, was_sent=was_sent)
                return None

            self.world.run(procedure)

    def call(self) -> int:
        """The eIM looks whom it is time for; how many it called."""

        async def script() -> int:
            started = await self.injection.start_visits()
            await self.injection.finish_visits()
            return started

        started = self.run(script())
        self.follow()
        return started

    def tags(self) -> list[str]:
        return [message[message[1:].index(b"\xbf") + 1 :][:2].hex().upper() for message in self.sent]


@pytest.fixture
def lab() -> Iterator[Gateway]:
    made = Gateway()
    made.run(made.reaching.set_reach(EID, Reach(AT), actor="anna"))
    yield made
    made.close()


def test_an_ordered_package_is_pushed_believed_and_acknowledged(lab: Gateway) -> None:
    order = lab.order(LIST)
    lab.call()
    assert lab.tags() == ["BF51", "BF53"]
    operation = lab.operation(order)
    assert (operation.state, operation.is_verified) == (State.SUCCEEDED, True)
    assert lab.pending() == 0
    assert lab.device().owed == ()
    assert lab.device().is_token_proved


def test_all_that_waits_goes_over_one_connection(lab: Gateway) -> None:
    orders = [lab.order(LIST) for _ in range(3)]
    lab.call()
    assert lab.opened == lab.closed == 1
    assert [lab.operation(order).state for order in orders] == [State.SUCCEEDED] * 3
    assert lab.pending() == 0


def test_a_switch_is_received_and_its_result_comes_by_the_device_s_own_connection(lab: Gateway) -> None:
    order = lab.order(ENABLE)
    lab.call()
    assert lab.enabled() == iccid(2)
    operation = lab.operation(order)
    assert (operation.state, operation.is_verified) == (State.SUCCEEDED, True)
    assert lab.pending() == 0


def test_data_and_a_download_are_pushed(lab: Gateway) -> None:
    data = lab.ask_for(compose.data_request_of(compose.EVERYTHING))
    _, matching_id = lab.smdp.order()
    download = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
    lab.call()
    assert lab.operation(data).state is State.SUCCEEDED
    assert lab.knowledge().info2 is not None
    assert lab.operation(download).state is State.SUCCEEDED
    assert lab.device().owed == ()


def test_for_a_device_that_is_away_nothing_is_signed_and_a_cancel_is_sure(lab: Gateway) -> None:
    lab.is_up = False
    order = lab.order(LIST)
    lab.call()
    assert lab.device().counter == 0
    assert lab.run(lab.store.operations(eid=EID)) == []
    assert "exchange" in lab.run(lab.reaching.trouble_of(lab.device())) or "no route" in lab.run(
        lab.reaching.trouble_of(lab.device())
    )
    assert lab.run(lab.service.cancel(order.reference)) is True


def test_a_device_that_is_away_is_tried_again_ever_later(lab: Gateway) -> None:
    lab.is_up = False
    order = lab.order(LIST)
    tries = []
    for minute in range(300):
        if lab.call():
            tries.append(minute)
        lab.later(minutes=1)
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert gaps == sorted(gaps)
    assert 5 <= len(tries) <= 15
    lab.is_up = True
    lab.later(hours=6)
    lab.call()
    assert lab.operation(order).state is State.SUCCEEDED


def test_an_answer_that_was_lost_is_made_good_by_the_device(lab: Gateway) -> None:
    def lose(request: bytes, answer: bytes) -> bytes:
        raise TimedOut("no answer")

    lab.mischief = lose
    order = lab.order(LIST)
    lab.call()
    assert lab.operation(order).state is State.SUCCEEDED  # by ProvideEimPackageResult
    lab.mischief = lambda request, answer: answer
    lab.later(hours=1)
    lab.call()
    assert lab.tags() == ["BF51"]
    assert lab.pending() == 0


def test_a_request_that_was_lost_is_sent_again_with_the_same_octets(lab: Gateway) -> None:
    accept_of_lab = lab._accept
    order = lab.order(LIST)

    def lose(message: bytes) -> Accepted:
        raise TimedOut("no answer")

    lab._accept = lose  # type: ignore[method-assign]  # the request never arrives
    lab.call()
    lab._accept = accept_of_lab  # type: ignore[method-assign]  # as above
    lab.later(minutes=1)
    lab.call()
    assert len(lab.sent) == 1, "its result may be on its way"
    lab.later(minutes=10)
    lab.call()
    assert lab.sent[0] == lab.sent[1]
    assert lab.operation(order).state is State.SUCCEEDED
    assert lab.device().counter == 1


def test_a_lost_acknowledgement_is_sent_again(lab: Gateway) -> None:
    accept_of_lab = lab._accept

    def lose_acknowledgement(message: bytes) -> Accepted:
        if b"\xbf\x53" in message[:6]:
            raise TimedOut("no answer")
        return accept_of_lab(message)

    lab._accept = lose_acknowledgement  # type: ignore[method-assign]  # the request never arrives
    lab.order(LIST)
    lab.call()
    assert lab.pending() == 1
    assert lab.device().owed
    lab._accept = accept_of_lab  # type: ignore[method-assign]  # as above
    lab.later(minutes=1)
    lab.call()
    assert lab.pending() == 0
    assert lab.device().owed == ()


def test_a_forged_result_changes_nothing_and_the_package_is_not_pushed_again_at_once(lab: Gateway) -> None:
    def forge(request: bytes, answer: bytes) -> bytes:
        return answer[:-8] + bytes(8) if b"\xbf\x51" in answer[:6] else answer

    lab.mischief = forge
    order = lab.order(LIST)
    lab.call()
    lab.call()
    assert lab.tags() == ["BF51"]
    assert lab.operation(order).state is State.DELIVERED
    assert lab.events(ResultRefused)
    assert lab.images() == {}


@pytest.mark.parametrize("octets", [b"", b"\x30\x00", b"\xbf\x4e\x00", b"\xbf\x4e\x03\x02\x01\x63"])
def test_an_answer_that_is_none_changes_nothing(lab: Gateway, octets: bytes) -> None:
    lab.mischief = lambda request, answer: octets
    order = lab.order(LIST)
    lab.call()
    assert lab.operation(order).state is State.DELIVERED


def test_a_package_that_the_ipa_cannot_handle_has_failed(lab: Gateway) -> None:
    lab.mischief = lambda request, answer: bytes.fromhex("BF4E03020102")
    order = lab.order(LIST)
    lab.call()
    assert lab.operation(order).outcome == ("refused by the IPA: unknown_package",)


def test_a_device_that_does_not_know_us_gets_its_packages_all_the_same(lab: Gateway) -> None:
    lab.knows_eim = False
    asked = lab.ask_for(compose.data_request_of(compose.EVERYTHING))
    order = lab.order(LIST)
    for _ in range(12):
        lab.call()
        lab.later(minutes=1)
    assert lab.operation(asked).state is State.FAILED
    assert lab.operation(order).state is State.SUCCEEDED
    assert lab.device().owed == ()  # refused; the device brings the result again


def test_an_order_for_many_reaches_a_device_that_is_called(lab: Gateway) -> None:
    lab.call()
    lab.run(lab.service.order_for_many(compose.package_of([LIST])))
    lab.run(lab.store.many.refresh())
    lab.later(seconds=61)
    lab.call()
    assert [one.state for one in lab.run(lab.store.operations(eid=EID))] == [State.SUCCEEDED]


def test_two_processes_do_not_call_one_device_at_once(lab: Gateway) -> None:
    other = Injection(lab.service, {"https": lab})
    lab.run(other.prepare())
    lab.order(LIST)

    async def both() -> tuple[int, int]:
        return await asyncio.gather(lab.injection.start_visits(), other.start_visits())

    assert sorted(lab.run(both())) == [0, 1]
    lab.run(lab.injection.finish_visits())
    lab.run(other.finish_visits())
    assert lab.tags() == ["BF51", "BF53"]


def test_who_says_where_a_device_is_called_is_told_in_the_events(lab: Gateway) -> None:
    changes = [event for event in lab.events(DeviceChanged) if isinstance(event, DeviceChanged)]
    assert (changes[-1].what, changes[-1].actor) == (f"called at {AT}", "anna")
    lab.run(lab.reaching.set_reach(EID, None))
    lab.order(LIST)
    lab.call()
    lab.later(days=1)
    assert lab.call() == 0
    assert lab.sent == []
    lab.cycle()
    assert lab.pending() == 0


@pytest.mark.parametrize(
    "address",
    ["", "gateway", "https://", "https://a:0", "https://a:99999", "ftp://a", "https://a/path", "https://u@a"],
)
def test_nonsense_is_no_address_of_a_device(lab: Gateway, address: str) -> None:
    before = lab.device()
    with pytest.raises(Refused) as refused:
        lab.run(lab.reaching.set_reach(EID, Reach(address)))
    assert refused.value.code == "eim.bad_device_address"
    assert lab.device() == before


def test_a_device_that_nobody_knows_is_not_called(lab: Gateway) -> None:
    with pytest.raises(Refused) as refused:
        lab.run(lab.reaching.set_reach("89044045930000000000009999999997", Reach(AT)))  # type: ignore[arg-type]  # no matter which
    assert refused.value.code == "eim.device_unknown"


def test_without_acknowledgements_nothing_is_owed() -> None:
    lab = Gateway(eim=eim_of(switches=Switches(acknowledges=False)))
    lab.run(lab.reaching.set_reach(EID, Reach(AT)))
    lab.order(LIST)
    lab.call()
    assert lab.tags() == ["BF51"]
    lab.close()


def test_a_call_that_is_cut_off_by_the_end_of_the_program_is_made_again_at_once(lab: Gateway) -> None:
    order = lab.order(LIST)

    async def cut() -> None:
        silent = asyncio.Event()

        async def never(message: bytes) -> bytes:
            del message
            silent.set()
            await asyncio.Event().wait()
            return b""

        connection = Connection(lab)
        connection.send = never  # type: ignore[method-assign]  # nobody answers

        async def reach(address: str, spki: bytes) -> Connection:
            del address, spki
            return connection

        lab.injection.add_carrier("https", type("Carrier", (), {"reach": staticmethod(reach)})())
        await lab.injection.start_visits()
        await silent.wait()
        await lab.injection.close()

    lab.run(cut())
    lab.injection.add_carrier("https", lab)
    lab.call()
    assert lab.operation(order).state is State.SUCCEEDED
    assert lab.device().counter == 1


def test_a_database_that_is_gone_during_a_call_ends_nothing(
    lab: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = lab.order(LIST)

    async def gone(*arguments: object, **words: object) -> None:
        raise StoreFailed("no disk")

    with monkeypatch.context() as patched:
        patched.setattr(lab.service, "commit", gone)
        patched.setattr(lab.injection._timetable, "settle", gone)
        lab.call()
    lab.later(minutes=6)
    lab.call()
    assert lab.operation(order).state is State.SUCCEEDED
