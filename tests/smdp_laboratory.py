"""An SM-DP+ in memory, with its stock, for tests of the role behind a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from keim.app.smdp_service import SmdpService
from keim.io.smdp_store import SmdpStore
from keim.io.store.open import MEMORY, open_engine
from keim.messages import es2p, es9p
from keim.messages.execution_status import Failure
from keim.smdp.events import Event
from keim.smdp.facts import Registration
from keim.smdp.orders import Es2Call
from keim.smdp.rows import Profile, Protection
from keim.smdp.settings import Smdp
from keim.smdp.stock import Label, admit
from keim.wire import es9p_json
from keim.wire.es9p import function_of
from tests.answering import answered
from tests.scripted_euicc import ADDRESS, FixedClock, RealEntropy, ScriptedEuicc, iccid, smdp, upp

T = TypeVar("T")
OPERATOR = "operator-1"


class Laboratory:
    """Everything synchronous: each call runs the service's coroutine to its end."""

    def __init__(self, settings: Smdp | None = None, *, where: str = MEMORY) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = FixedClock()
        self.smdp = settings or smdp()
        self.store = SmdpStore(self.run(open_engine(where)))
        self.registered: list[Registration] = []
        self.registration_answer: Failure | Exception | None = None
        self.service = SmdpService(
            self.smdp,
            self.store,
            clock=self.clock,
            entropy=RealEntropy(),
            register_event=self._register,
        )
        self.run(self.store.prepare())
        self.stocked = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def close(self) -> None:
        self.run(self.store.engine.close())
        self.loop.close()

    async def _register(self, registration: Registration) -> Failure | None:
        self.registered.append(registration)
        if isinstance(self.registration_answer, Exception):
            raise self.registration_answer
        return self.registration_answer

    def ask(self, request: Any) -> Any:
        return self.run(self.answer(request))

    def reply(self, request: Any) -> Any:
        """As the server writes it."""
        return self.run(self.service.answer(request))

    async def answer(self, request: Any) -> Any:
        """The reply as a client reads it."""
        reply = await self.service.answer(request)
        if isinstance(reply, es9p.ProfileOffer | es9p.PackageDelivery):
            return es9p_json.read_reply(function_of(request), answered(es9p_json.write_reply(reply)))
        return reply

    def stock(
        self, *, profile_type: str = "iot", protection: Protection = Protection.PPK, **label: Any
    ) -> str:
        self.stocked += 1
        decision = admit(
            upp(self.stocked),
            Label(profile_type=profile_type, notification_addresses=(ADDRESS,), **label),
            protection=protection,
            key_wrap=self.smdp.key_wrap,
            now=self.clock.now(),
            entropy=RealEntropy(),
        )
        stocked = self.run(self.service.stock(decision))
        assert stocked == iccid(self.stocked)
        return stocked

    def call(self, request: es2p.Es2Request, *, caller: str = OPERATOR, identifier: str = "") -> Any:
        return self.ask(Es2Call(caller, request, identifier))

    def order(
        self,
        *,
        eid: str | None = None,
        matching_id: str | None = None,
        code: str | None = None,
        release: bool = True,
        smds: str | None = None,
        **stock: Any,
    ) -> tuple[str, str]:
        """A released order: (ICCID, matching id)."""
        number = self.stock(**stock)
        assert not isinstance(self.call(es2p.DownloadOrder(iccid=number, eid=eid)), Failure)
        confirmed = self.call(
            es2p.ConfirmOrder(
                iccid=number,
                eid=eid,
                matching_id=matching_id,
                confirmation_code=code,
                smds_address=smds,
                release_flag=release,
            )
        )
        assert isinstance(confirmed, es2p.ConfirmOrderOk), confirmed
        return number, confirmed.matching_id

    def profile(self, number: str) -> Profile:
        found = self.run(self.store.profile(number))
        assert found is not None
        return found

    def events(self, number: str | None = None) -> list[Event]:
        async def collect() -> list[Event]:
            return [event async for _, event in self.store.events(number)]

        return self.run(collect())

    def later(self, **delta: float) -> None:
        self.clock.moment += timedelta(**delta)

    # -- the steps of a download

    def open(self, card: ScriptedEuicc) -> None:
        card.accept_server(self.ask(card.initiate()))

    def offer(self, card: ScriptedEuicc) -> None:
        self.open(card)
        card.accept_offer(self.ask(card.authenticate()))

    def deliver(self, card: ScriptedEuicc) -> Any:
        self.offer(card)
        return card.open(self.ask(card.prepare()))
