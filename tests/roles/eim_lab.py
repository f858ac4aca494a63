"""Our eIM in memory with a device before it: our IPA on our card, and our SM-DP+ behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from tests import card_lab, scripted_euicc
from tests.card_lab import EID, EIM, Lab, SeededEntropy, configuration, signer, upp, world
from tests.roles.ipa_world import IpaWorld
from tests.smdp_laboratory import Laboratory

from keim.app.eim_service import EimService
from keim.app.new_card import preloaded
from keim.app.smds_service import SmdsService
from keim.eim import compose
from keim.eim.addresses import AddressPolicy
from keim.eim.events import Event
from keim.eim.relay.call import Call
from keim.eim.rows import Device, Errand, Knowledge, Operation, Order, Switches
from keim.eim.settings import Eim, Rules
from keim.eim.work import Work
from keim.errors import Unreachable
from keim.io.eim_store import EimStore
from keim.io.store.engine import Engine
from keim.io.store.sqlite import SqliteEngine
from keim.ipa.configuration import Configuration
from keim.ipa.cycle import run_cycle
from keim.ipa.virtual import VirtualClock
from keim.messages import es9p
from keim.messages.es10b import AddInitialEimRequest, AddInitialEimResponse
from keim.messages.notification import PendingNotification
from keim.messages.package import Eco, EimConfigurationData, EimIdType, Psmo

T = TypeVar("T")
OpenStore = Callable[[], Coroutine[Any, Any, Engine]]
"""Opened inside of the laboratory's own loop."""
OPEN_POLICY = AddressPolicy(allowed=frozenset({"*.example.com"}))


class SetClock:
    def __init__(self) -> None:
        self.moment = card_lab.NOW

    def now(self) -> Any:
        return self.moment


def eim_of(*, rules: Rules | None = None, switches: Switches | None = None, **members: Any) -> Eim:
    return Eim(
        **{
            "eim_id": EIM,
            "signers": {"one": signer("eim-sign")},
            "trust": world().trust,
            "rules": rules or Rules(),
            "switches": switches or Switches(),
            "addresses": OPEN_POLICY,
            **members,
        }
    )


def entry(eim_id: str = EIM, **fields: Any) -> EimConfigurationData:
    return configuration(
        eim_id,
        **({"eim_id_type": EimIdType.EIM_ID_TYPE_FQDN, "indirect_profile_download": True} | fields),
    )


class EimOnly:
    """The eIM with its store; every call runs to its end."""

    def __init__(self, eim: Eim | None = None, *, open_store: OpenStore | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = SetClock()
        self.store = EimStore(SqliteEngine() if open_store is None else self.run(open_store()))
        self.eim = eim or eim_of()
        self.servers: dict[str, Laboratory | SmdsService] = {}
        self.asked: list[Call] = []
        self.forwarded: list[Errand] = []
        self.is_smdp_dead = False
        self.service = EimService(
            self.eim,
            self.store,
            clock=self.clock,
            entropy=SeededEntropy(7),
            ask_server=self._ask,
            forward=self._forward,
        )
        self.run(self.store.prepare())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def close(self) -> None:
        self.run(self.store.engine.close())
        self.loop.close()

    async def _ask(self, call: Call) -> object:
        self.asked.append(call)
        if self.is_smdp_dead or call.address not in self.servers:
            raise Unreachable(f"no route to {call.address}")
        # The laboratory has a loop of its own, which cannot run inside of ours.
        return await self.servers[call.address].answer(call.request)

    async def _forward(self, errand: Errand) -> None:
        if self.is_smdp_dead or errand.address not in self.servers:
            raise Unreachable(f"no route to {errand.address}")
        self.forwarded.append(errand)
        notification = PendingNotification.decode(errand.body)
        await self.servers[errand.address].answer(es9p.HandleNotification(pending_notification=notification))

    def answer(self, octets: bytes, connection: str = "") -> bytes | None:
        return self.run(self.service.answer(octets, connection))

    def order(self, *commands: Psmo | Eco, **words: Any) -> Order:
        return self.ask_for(compose.package_of(commands), **words)

    def ask_for(self, work: Work, **words: Any) -> Order:
        return self.run(self.service.order(EID, work, **words))

    def operation(self, order: Order | int) -> Operation:
        number = order if isinstance(order, int) else order.id
        found = [one for one in self.run(self.store.operations(eid=EID)) if one.order == number]
        assert found, f"order {number} has not been delivered"
        return found[0]

    def device(self) -> Device:
        found = self.run(self.store.device(EID))
        assert found is not None
        return found

    def knowledge(self) -> Knowledge:
        found = self.run(self.store.knowledge(EID))
        return found or Knowledge(eid=EID)

    def events(self, kind: type[Any] | None = None) -> list[Event]:
        found = [event for _, event in self.run(self.store.events())]
        return [event for event in found if kind is None or isinstance(event, kind)]

    def later(self, **delta: float) -> None:
        self.clock.moment += timedelta(**delta)

    def errands(self) -> int:
        return self.run(self.service.run_errands())


class EimLab(EimOnly):
    """With a device. Profiles 1 (enabled) and 2 are installed; the eIM knows EID and token."""

    def __init__(
        self,
        eim: Eim | None = None,
        *,
        profiles: int = 2,
        configuration: Configuration | None = None,
        has_certificate: bool = True,
        entries: tuple[EimConfigurationData, ...] | None = None,
        open_store: OpenStore | None = None,
        is_enrolled: bool = True,
        enrol: dict[str, Any] | None = None,
        seed: int = 0,
        **card: Any,
    ) -> None:
        super().__init__(eim, open_store=open_store)
        state = preloaded([upp(n + 1) for n in range(profiles)], is_first_enabled=True)
        self.lab = Lab(state=state, eim=False, seed=seed, **card)
        given = (entry(),) if entries is None else entries
        answer = AddInitialEimResponse.decode(
            self.lab.es10(AddInitialEimRequest(eim_configuration_data_list=given).encode())
        )
        assert answer.add_initial_eim_ok is not None
        self.token = answer.add_initial_eim_ok[0].association_token
        if is_enrolled:
            certificates = (world().euicc(EID).certificate.der, world().get("eum").certificate.der)
            details = {"token": self.token, "certificates": certificates if has_certificate else None}
            self.run(self.service.enrol(EID, **{**details, **(enrol or {})}))
        self.smdp = Laboratory(scripted_euicc.smdp(world()))
        self.servers[card_lab.SMDP] = self.smdp
        self.connection = "c1"
        self.world = IpaWorld(
            self.lab.card,
            {EIM: self._device_calls},
            {card_lab.SMDP: self.smdp.ask},
            configuration=configuration or Configuration(),
            clock=VirtualClock(epoch=card_lab.NOW),
        )

    def _device_calls(self, octets: bytes) -> bytes | None:
        return self.answer(octets, self.connection)

    def close(self) -> None:
        self.smdp.close()
        super().close()

    def cycle(self) -> None:
        self.world.run(run_cycle)

    def later(self, **delta: float) -> None:
        super().later(**delta)
        self.world.clock.now_s += timedelta(**delta).total_seconds()

    def enabled(self) -> bytes | None:
        return self.lab.enabled()

    def images(self) -> dict[str, bool]:
        """ICCID -> whether enabled, as the eIM believes."""
        return {profile.iccid: profile.is_enabled for profile in self.knowledge().profiles}

    def pending(self) -> int:
        """What the card still keeps."""
        isdr = self.lab.card.state.isdr
        return len(isdr.notifications) + len(isdr.results)
