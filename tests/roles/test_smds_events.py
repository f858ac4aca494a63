"""The SM-DS between SM-DP+s and eUICCs: registration, retrieval, expiry, and the cascade to a root."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from tests.scripted_euicc import EIDS, SMDS_ADDRESS, FixedClock, RealEntropy, ScriptedEuicc, world

from keim.app.smds_service import SmdsService
from keim.authentication import Server, server_identity
from keim.errors import Unreachable
from keim.io.smds_store import SmdsStore
from keim.io.store.sqlite import SqliteEngine
from keim.messages import execution_status as codes
from keim.messages.es11 import AuthenticateClientOkEs11
from keim.messages.es12 import DeleteEvent, Es12Request, EventOk, RegisterEvent
from keim.messages.execution_status import Failure
from keim.smds.registration import Es12Call
from keim.smds.settings import SMDS_CODES, Smds

T = TypeVar("T")
SMDP_OID = "2.999.10"


class Desk:
    """One SM-DS in memory; `root` is another desk."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: str = SMDS_ADDRESS, root: Desk | None = None
    ) -> None:
        given = world()
        ci = given.get("ci").certificate
        server = Server(
            addresses=(address,),
            identities=(server_identity(given.get("ds-auth"), ci),),
            trust=given.trust,
            codes=SMDS_CODES,
        )
        self.loop = loop
        self.address = address
        self.clock = FixedClock()
        self.is_root_down = False
        self.root = root

        async def send_to_root(request: Es12Request) -> EventOk | Failure:
            if self.is_root_down or root is None:
                raise Unreachable("the root is down")
            answer: EventOk | Failure = await root.service.answer(Es12Call("2.999.15", request))
            return answer

        self.service = SmdsService(
            Smds(server=server, root=None if root is None else root.address),
            SmdsStore(SqliteEngine()),
            clock=self.clock,
            entropy=RealEntropy(),
            send_to_root=None if root is None else send_to_root,
        )
        self.run(self.service.store.prepare())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def register(self, eid: str, event_id: str, *, forward: bool = False, caller: str = SMDP_OID) -> Any:
        request = RegisterEvent(
            eid=eid,
            rsp_server_address="smdp.example.com",
            event_id=event_id,
            forwarding_indicator=forward,
        )
        return self.run(self.service.answer(Es12Call(caller, request)))

    def delete(self, eid: str, event_id: str, *, caller: str = SMDP_OID) -> Any:
        return self.run(self.service.answer(Es12Call(caller, DeleteEvent(eid=eid, event_id=event_id))))

    def card(self, eid: str, matching_id: str | None = None) -> ScriptedEuicc:
        card = ScriptedEuicc(eid, address=self.address, matching_id=matching_id)
        card.accept_server(self.run(self.service.answer(card.initiate())))
        return card

    def retrieve(self, eid: str, matching_id: str | None = None) -> list[tuple[str, str]]:
        reply = self.run(self.service.answer(self.card(eid, matching_id).authenticate()))
        assert isinstance(reply, AuthenticateClientOkEs11), reply
        return [(entry.event_id, entry.rsp_server_address) for entry in reply.event_entries]


@pytest.fixture
def desk() -> Iterator[Desk]:
    loop = asyncio.new_event_loop()
    made = Desk(loop)
    yield made
    loop.run_until_complete(made.service.store.engine.close())
    loop.close()


def code_of(reply: Any) -> Any:
    assert isinstance(reply, Failure), reply
    return reply.code


def test_events_are_given_to_their_own_eUICC_only_and_stay(desk: Desk) -> None:
    assert desk.retrieve(EIDS[0]) == []
    desk.register(EIDS[0], "A-1")
    desk.clock.moment = desk.clock.moment.replace(minute=1)
    desk.register(EIDS[0], "A-2")
    desk.register(EIDS[1], "B-1")
    for _ in range(2):
        assert desk.retrieve(EIDS[0]) == [("A-1", "smdp.example.com"), ("A-2", "smdp.example.com")]
    assert desk.retrieve(EIDS[0], "") == desk.retrieve(EIDS[0])
    assert desk.retrieve(EIDS[0], "A-2") == [("A-2", "smdp.example.com")]


def test_an_unknown_event_is_refused(desk: Desk) -> None:
    desk.register(EIDS[1], "B-1")
    reply = desk.run(desk.service.answer(desk.card(EIDS[0], "B-1").authenticate()))
    assert code_of(reply) == codes.EVENT_UNKNOWN


def test_registration_is_refused_with_its_codes(desk: Desk) -> None:
    assert desk.register(EIDS[0], "A-1") == EventOk()
    assert code_of(desk.register(EIDS[0], "A-1")) == codes.EVENT_IN_USE
    assert code_of(desk.register("12", "A-1")) == codes.FORMAT_INVALID
    assert code_of(desk.delete(EIDS[0], "A-2")) == codes.EVENT_UNKNOWN
    assert code_of(desk.delete(EIDS[0], "A-1", caller="2.999.11")) == codes.EVENT_NOT_ALLOWED
    assert desk.delete(EIDS[0], "A-1") == EventOk()
    assert desk.retrieve(EIDS[0]) == []


def test_an_event_ends_and_may_be_registered_anew(desk: Desk) -> None:
    desk.register(EIDS[0], "A-1")
    desk.clock.moment = desk.clock.moment.replace(year=2027, month=12)
    assert desk.register(EIDS[0], "A-1") == EventOk()
    desk.run(desk.service.purge())
    assert len(desk.run(desk.service.store.events_of(EIDS[0]))) == 1


def test_the_codes_of_initiate_authentication_name_the_smds(desk: Desk) -> None:
    card = ScriptedEuicc(address=SMDS_ADDRESS)
    for request, code in (
        (card.initiate(smdp_address="other.example.com"), codes.SMDS_ADDRESS_REFUSED),
        (card.initiate(euicc_info1=card.info1(svn=b"\3\0\0")), codes.SMDS_VERSION_UNSUPPORTED),
        (
            card.initiate(euicc_info1=card.info1(euicc_ci_pk_id_list_for_verification=(bytes(20),))),
            codes.SMDS_NO_COMMON_CI,
        ),
    ):
        assert code_of(desk.run(desk.service.answer(request))) == code


def test_a_trusted_ci_without_a_certificate_of_ours_has_its_own_code(desk: Desk) -> None:
    server = msgspec.structs.replace(desk.service.smds.server, identities=())
    desk.service.smds = msgspec.structs.replace(desk.service.smds, server=server)
    request = ScriptedEuicc(address=SMDS_ADDRESS).initiate()
    assert code_of(desk.run(desk.service.answer(request))) == codes.SMDS_CERTIFICATE_UNAVAILABLE


def test_a_session_belongs_to_one_eUICC_and_ends(desk: Desk) -> None:
    desk.register(EIDS[1], "B-1")
    card = desk.card(EIDS[0])
    request = card.authenticate()
    first = desk.run(desk.service.answer(request))
    assert desk.run(desk.service.answer(request)) == first
    stranger = ScriptedEuicc(EIDS[1], address=SMDS_ADDRESS)
    stranger.opened, stranger.transaction_id = card.opened, card.transaction_id
    assert code_of(desk.run(desk.service.answer(stranger.authenticate()))) == codes.TRANSACTION_UNKNOWN
    desk.clock.moment = desk.clock.moment.replace(hour=13)
    assert code_of(desk.run(desk.service.answer(request))) == codes.TRANSACTION_UNKNOWN


def test_an_unknown_transaction_and_a_bad_signature_are_refused(desk: Desk) -> None:
    card = desk.card(EIDS[0])
    answer = desk.service.answer
    for request, code in (
        (card.authenticate().replace(transaction_id=bytes(16)), codes.TRANSACTION_UNKNOWN),
        (card.authenticate(card.signed1(server_challenge=bytes(16))), codes.EUICC_SIGNATURE_INVALID),
        (card.authenticate_error(), codes.EUICC_SIGNATURE_INVALID),
    ):
        assert code_of(desk.run(answer(request))) == code


def test_an_alternative_leads_from_the_root_to_the_event() -> None:
    loop = asyncio.new_event_loop()
    root = Desk(loop, "root.example.com")
    alternative = Desk(loop, "smds.example.com", root)
    alternative.is_root_down = True
    assert alternative.register(EIDS[0], "A-1", forward=True) == EventOk()
    assert alternative.register(EIDS[0], "A-2", forward=False) == EventOk()
    alternative.run(alternative.service.run_errands())
    assert root.retrieve(EIDS[0]) == [], "the root is down: the errand waits"
    alternative.is_root_down = False
    alternative.clock.moment = alternative.clock.moment.replace(minute=5)
    assert alternative.run(alternative.service.run_errands()) == 1
    [(forwarded, address)] = root.retrieve(EIDS[0])
    assert address == "smds.example.com"
    assert forwarded != "A-1"
    assert alternative.retrieve(EIDS[0], forwarded) == [("A-1", "smdp.example.com")]
    assert alternative.delete(EIDS[0], "A-1") == EventOk()
    alternative.run(alternative.service.run_errands())
    assert root.retrieve(EIDS[0]) == []
    assert alternative.retrieve(EIDS[0]) == [("A-2", "smdp.example.com")]
    for desk in (root, alternative):
        loop.run_until_complete(desk.service.store.engine.close())
    loop.close()
