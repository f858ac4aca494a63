"""Devices go from one eIM to another on every engine; power cuts at any commit change nothing of the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.roles.eim_lab import OpenStore
from tests.roles.handover_lab import NEW, HandoverLab, PowerCut, Side
from tests.shared import needs_system
from tests.unit.audit.audit_world import chunked

from keim.audit.verification import Options, verify_export
from keim.eim.handover.rows import Remover, Step
from keim.eim.rows import DeviceState
from keim.errors import Refused
from keim.io.store.engine import Statement
from keim.io.store.open import open_engine
from keim.pki import TrustStore

KINDS = ["sqlite", pytest.param("postgres", marks=needs_system("postgresql"))]


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[OpenStore, OpenStore]:
    def store(name: str) -> OpenStore:
        where = str(tmp_path / name)
        if request.param == "postgres":
            where = request.getfixturevalue("cluster").new_database()
        return lambda: open_engine(where)

    return store("old.db"), store("new.db")


@contextmanager
def refused_as(code: str) -> Iterator[None]:
    """Nothing, or a refusal with this code."""
    try:
        yield
    except Refused as refused:
        if refused.code != code:
            raise


MOST_CUTS = 5000


class Operators:
    """Both sides' operators, who know nothing but what is on disk; each turn begins with a fresh process."""

    def __init__(self, lab: HandoverLab, reference: str, folder: Path) -> None:
        self.lab, self.reference = lab, reference
        self.bundle, self.receipt = folder / "bundle", folder / "receipt"

    def old_turn(self) -> None:
        side = self.lab.old
        if self.receipt.exists():
            told = side.run(side.outgoing.take_receipt(self.reference, self.receipt.read_bytes()))
            assert told.unproved == {}
        handover = side.run(side.departures.start(self.reference))
        side.run(side.departures.go_on(handover))
        if not self.bundle.exists():
            with refused_as("handover.nothing_to_bundle"):
                self.bundle.write_bytes(side.run(side.outgoing.bundle(self.reference)))
            if not self.bundle.exists() and Step.SENT.value in self.lab.steps_of(self.reference):
                # It was made before the power went, and never arrived: it is there under its number.
                self.bundle.write_bytes(side.run(side.outgoing.bundle(self.reference, number=1)))

    def new_turn(self) -> None:
        side = self.lab.new
        if self.bundle.exists():
            with refused_as("handover.bundle_replayed"):
                told, _ = side.run(side.incoming.receive(self.bundle.read_bytes()))
                assert told.refused == {}
        side.run(side.arrivals.run())
        for guest in side.run(side.arrivals.store.guests("main")):
            for taken in side.run(side.arrivals.store.all_taken(guest.invitation.id)):
                if taken.is_whole:
                    self.receipt.write_bytes(side.run(side.incoming.receipt(taken.invitation, 1)))

    def rounds(self, turn: Callable[[Callable[[], None], Side], None], most: int = 12) -> None:
        for _ in range(most):
            turn(self.old_turn, self.lab.old)
            self.lab.call()
            turn(self.new_turn, self.lab.new)
            if self.lab.steps_of(self.reference) == {Step.LEFT.value: len(self.lab.devices)}:
                return
        raise AssertionError(self.lab.steps_of(self.reference))


def at_once(turn: Callable[[], None], side: Side) -> None:
    side.restart()
    turn()


class Cuts:
    """The power goes before a commit, or after it, as often as `share` says; the same for the same seed."""

    def __init__(self, share: float, seed: int = 0) -> None:
        self.share, self.chance, self.cuts = share, random.Random(seed), 0

    def fuse(self, _statements: Sequence[Statement]) -> str:
        when = self.chance.choice(("before", "after")) if self.chance.random() < self.share else ""
        self.cuts += bool(when)
        assert self.cuts < 2000, "nothing moves any more"
        return when

    def turn(self, turn: Callable[[], None], side: Side) -> None:
        while True:
            side.engine.fuse = self.fuse
            side.restart()
            try:
                turn()
            except PowerCut:
                continue
            finally:
                side.engine.fuse = lambda _statements: ""
            return


class EveryStep(Cuts):
    """The power goes after every single commit, which is before the next one: no process makes two of them.

    Only what comes again in just the same words is let pass: it would be cut off for ever.
    """

    def __init__(self, lab: HandoverLab) -> None:
        super().__init__(1.0)
        self._last = ""
        self._asked: set[tuple[str, bytes]] = set()
        lab.fuse_of_answers = self._answering

    def fuse(self, statements: Sequence[Statement]) -> str:
        words = repr(
            [(made.sql, [one for one in made.parameters if isinstance(one, str)]) for made in statements]
        )
        if words == self._last:
            return ""
        self._last = words
        return self._cut()

    def _answering(self, eim_id: str, message: bytes) -> str:
        if (eim_id, message) in self._asked:
            self._asked.discard((eim_id, message))
            return ""
        self._asked.add((eim_id, message))
        return self._cut()

    def _cut(self) -> str:
        self.cuts += 1
        assert self.cuts < MOST_CUTS, "nothing moves any more"
        return "after"


def assert_handed_over(lab: HandoverLab, reference: str) -> None:
    for device in lab.devices:
        assert device.eims() == [NEW]
        old, new = (
            lab.old.run(lab.old.store.device(device.eid)),
            lab.new.run(lab.new.store.device(device.eid)),
        )
        assert old is not None
        assert new is not None
        assert old.state is DeviceState.ARCHIVED
        assert (new.state, new.is_token_proved) == (DeviceState.ACTIVE, True)
        assert new.token != device.token
    for side in (lab.old, lab.new):
        octets = side.exported(lab.world)
        report = verify_export(chunked(iter([octets])), Options(roots=TrustStore(lab.world.roots)))
        assert report.is_good, report.faults
    moved: dict[str, list[str]] = {}
    for _, event in lab.old.run(lab.old.store.events(limit=100_000)):
        if event.__struct_config__.tag == "handover_moved":
            moved.setdefault(str(event.eid), []).append(getattr(event, "step", ""))
    assert len(moved) == len(lab.devices)
    for steps in moved.values():
        assert steps[:3] == ["adding", "added", "sent"]
        assert steps[-1] == "left"
        assert len(steps) == len(set(steps)), "no step twice"


@pytest.fixture
def small(tmp_path: Path, stores: tuple[OpenStore, OpenStore]) -> Iterator[HandoverLab]:
    made = HandoverLab(3, tmp_path, stores)
    made.prove_tokens()
    yield made
    made.close()


@pytest.mark.parametrize("remover", list(Remover))
def test_devices_are_handed_over_with_proof(
    tmp_path: Path, stores: tuple[OpenStore, OpenStore], remover: Remover
) -> None:
    lab = HandoverLab(3, tmp_path, stores, remover=remover)
    try:
        lab.prove_tokens()
        handover = lab.plan(tag="moving")
        assert lab.steps(handover) == {"planned": 3}
        Operators(lab, handover.reference, tmp_path).rounds(at_once)
        assert_handed_over(lab, handover.reference)
    finally:
        lab.close()


@pytest.mark.parametrize(("remover", "seed"), [(Remover.NEW, 0), (Remover.NEW, 1), (Remover.OLD, 2)])
def test_power_cuts_around_every_commit_change_nothing_of_the_end(
    tmp_path: Path, stores: tuple[OpenStore, OpenStore], remover: Remover, seed: int
) -> None:
    lab = HandoverLab(3, tmp_path, stores, remover=remover)
    try:
        lab.prove_tokens()
        handover = lab.plan()
        cuts = Cuts(0.5, seed)
        Operators(lab, handover.reference, tmp_path).rounds(cuts.turn)
        assert cuts.cuts > 12
        assert_handed_over(lab, handover.reference)
    finally:
        lab.close()


def test_many_devices_are_handed_over_with_the_power_gone_at_every_step(
    request: pytest.FixtureRequest, tmp_path: Path, stores: tuple[OpenStore, OpenStore]
) -> None:
    """A hundred; fewer on PostgreSQL, where each of the thousands of commits is a journey."""
    count = 25 if "postgres" in request.node.name else 100
    lab = HandoverLab(count, tmp_path, stores)
    try:
        lab.prove_tokens()
        handover = lab.plan()
        cuts = EveryStep(lab)
        Operators(lab, handover.reference, tmp_path).rounds(cuts.turn, most=100)
        assert cuts.cuts > 10 * count
        assert_handed_over(lab, handover.reference)
    finally:
        lab.close()
