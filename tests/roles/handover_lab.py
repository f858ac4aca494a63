"""Two eIMs with stores of their own, a fleet of our cards with our IPA between them, and a power switch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from tests import card_lab
from tests.card_lab import EIM, Lab, SeededEntropy, signer, upp
from tests.roles.eim_lab import OPEN_POLICY, OpenStore, SetClock, entry
from tests.roles.ipa_world import IpaWorld

from keim.app.eim_logs import EimLogs, LogSigners
from keim.app.eim_service import EimService
from keim.app.handover.arrivals import Arrivals
from keim.app.handover.departures import Departures
from keim.app.handover.incoming import Incoming
from keim.app.handover.outgoing import Outgoing
from keim.app.handover.papers import read_invitation
from keim.app.handover.plans import Plans
from keim.app.new_card import identity_from, preloaded
from keim.audit.export import export
from keim.audit.note import NoteKey
from keim.crypto.ecdsa import MemorySigner
from keim.crypto.suites import ECDSA_P256
from keim.der import PublicKeyInfo
from keim.eim import compose
from keim.eim.handover.rows import Handover, Invitation, Remover
from keim.eim.rows import MAIN
from keim.eim.settings import Eim
from keim.euicc.identity import Options
from keim.ids import Eid
from keim.io.eim_store import EimStore
from keim.io.eim_store.log import Source
from keim.io.store.engine import Engine, Entry, Statement
from keim.ipa.cycle import run_cycle
from keim.ipa.virtual import VirtualClock
from keim.messages.es10b import AddInitialEimRequest, AddInitialEimResponse
from keim.messages.package import EimConfigurationData, EimPublicKeyData, Psmo
from keim.messages.profile import ProfileInfoListRequest
from keim.pki.world import World, WorldPlan, create_world, example_eids

T = TypeVar("T")
NEW = "new.example.org"
LISTING = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])


@cache
def fleet_world(count: int) -> World:
    plan = WorldPlan(eids=tuple(example_eids(count)), eim_address=EIM)
    return create_world(plan, now=card_lab.NOW)


@cache
def new_signer() -> MemorySigner:
    return ECDSA_P256.new_signer()


def new_entry(**fields: Any) -> EimConfigurationData:
    spki = ECDSA_P256.curve.spki(new_signer().public_point)
    key = EimPublicKeyData(eim_public_key=PublicKeyInfo(spki))
    return entry(NEW, eim_public_key_data=key, **fields)


class PowerCut(Exception):
    """The process is gone in the middle of something; its database stays."""


Fuse = Callable[[Sequence[Statement]], str]
"""Whether the process dies `before` or `after` this commit, or not at all."""


class Switched:
    """An engine whose process dies before or after a commit, when `fuse` says so."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.fuse: Fuse = lambda _statements: ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    async def commit(self, statements: Sequence[Statement], entries: Sequence[Entry] = ()) -> None:
        when = self.fuse(statements)
        if when == "before":
            raise PowerCut
        await self.engine.commit(statements, entries)
        if when == "after":
            raise PowerCut


class Side:
    """One eIM. `restart` is a new process on the same database."""

    def __init__(
        self, eim_id: str, key: MemorySigner, world: World, folder: Path, open_store: OpenStore
    ) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = SetClock()
        self.eim = Eim(eim_id=eim_id, signers={"one": key}, trust=world.trust, addresses=OPEN_POLICY)
        self.signers = LogSigners(folder / f"{eim_id}.key", eim_id, may_create=True)
        self.engine = Switched(self.run(open_store()))
        self.entropy = SeededEntropy(len(eim_id))
        self.restart()
        self.run(self.store.prepare())
        self.run(self.logs.prepare())
        self.run(self.departures.store.prepare())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def restart(self) -> None:
        self.store = EimStore(self.engine)
        self.service = EimService(self.eim, self.store, clock=self.clock, entropy=self.entropy)
        self.logs = EimLogs(self.engine, self.signers, self.clock.now)
        self.plans = Plans(self.service, self.logs)
        self.departures = Departures(self.service, self.logs)
        self.outgoing = Outgoing(self.service, self.logs)
        self.arrivals = Arrivals(self.service, self.logs)
        self.incoming = Incoming(self.service, self.logs)

    @property
    def key(self) -> NoteKey:
        return self.signers(MAIN).key

    def close(self) -> None:
        self.run(self.engine.close())
        self.loop.close()

    def exported(self, world: World) -> bytes:
        self.run(self.logs.publisher.publish(MAIN))
        source = Source(self.logs.of(), self.run)
        return b"".join(export(source, roots=[root.der for root in world.roots]))


class FleetDevice:
    """A card with one profile, known to the old eIM; and its IPA, which reaches both eIMs."""

    def __init__(self, lab: HandoverLab, eid: Eid, *, is_enrolled: bool = True) -> None:
        self.eid = eid
        given = identity_from(
            lab.world, eid, options=Options(), default_smdp_address="", root_smds_address=""
        )
        self.lab = Lab(state=lab.state, eim=False, card_identity=given, seed=int(eid[-6:]))
        told = AddInitialEimResponse.decode(
            self.lab.es10(AddInitialEimRequest(eim_configuration_data_list=(entry(),)).encode())
        )
        assert told.add_initial_eim_ok is not None
        self.token = told.add_initial_eim_ok[0].association_token
        if is_enrolled:
            credential = lab.world.euicc(eid)
            certificates = (credential.certificate.der, lab.world.get("eum").certificate.der)
            lab.old.run(
                lab.old.service.enrol(
                    eid, token=self.token, certificates=certificates, tags=("moving", f"n={eid[-4:]}")
                )
            )
        self.ipa = IpaWorld(
            self.lab.card,
            {
                EIM: lambda octets: lab.answer(lab.old, octets),
                NEW: lambda octets: lab.answer(lab.new, octets),
            },
            clock=VirtualClock(epoch=card_lab.NOW),
        )

    def eims(self) -> list[str]:
        return [eim.eim_id for eim in self.lab.card.state.isdr.eims]

    def cycle(self) -> None:
        self.ipa.run(run_cycle)
        assert self.eims(), "a card without an eIM"


class HandoverLab:
    def __init__(
        self,
        count: int,
        folder: Path,
        stores: tuple[OpenStore, OpenStore],
        *,
        remover: Remover = Remover.NEW,
        new_key: MemorySigner | None = None,
    ) -> None:
        self.world = fleet_world(count)
        self.remover = remover
        self.state = preloaded([upp(1)], is_first_enabled=True)
        common: dict[str, Any] = {"world": self.world, "folder": folder}
        self.old = Side(EIM, signer("eim-sign"), open_store=stores[0], **common)
        self.new = Side(NEW, new_key or new_signer(), open_store=stores[1], **common)
        self.fuse_of_answers: Callable[[str, bytes], str] = lambda _eim, _message: ""
        self.dead: set[str] = set()
        """eIMs that do not answer."""
        self.devices = [FleetDevice(self, eid) for eid in example_eids(count)]

    def close(self) -> None:
        self.old.close()
        self.new.close()

    def answer(self, side: Side, octets: bytes) -> bytes | None:
        if side.eim.eim_id in self.dead:
            return None
        side.engine.fuse = lambda _statements: self.fuse_of_answers(side.eim.eim_id, octets)
        try:
            return side.run(side.service.answer(octets))
        except PowerCut:
            side.restart()
            return None
        finally:
            side.engine.fuse = lambda _statements: ""

    def later(self, **delta: float) -> None:
        for clock in (self.old.clock, self.new.clock):
            clock.moment += timedelta(**delta)
        for device in self.devices:
            device.ipa.clock.now_s += timedelta(**delta).total_seconds()

    def call(self) -> None:
        """Every device, once; and both eIMs note when they were called, as servers do every second."""
        self.later(minutes=10)
        for device in self.devices:
            device.cycle()
            for side in (self.old, self.new):
                side.run(side.service.write_contacts())

    def prove_tokens(self) -> None:
        """A first life with the old eIM: each device has executed a package."""
        for device in self.devices:
            self.old.run(self.old.service.order(device.eid, LISTING))
        self.call()

    # the procedure

    def invitation(self) -> tuple[Invitation, bytes]:
        guest, paper = self.new.run(
            self.new.incoming.invite(new_entry(), tenant=MAIN, sender_key=self.old.key.text)
        )
        return guest.invitation, paper

    def plan(self, **words: Any) -> Handover:
        _, paper = self.invitation()
        invitation = read_invitation(paper, self.new.key)
        return self.old.run(self.old.plans.plan(invitation, tenant=MAIN, remover=self.remover, **words))

    def steps_of(self, reference: str) -> dict[str, int]:
        return self.old.run(self.old.departures.store.counts(reference))

    def steps(self, handover: Handover) -> dict[str, int]:
        return self.steps_of(handover.reference)
