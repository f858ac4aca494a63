"""Old leaves, receipts and operations leave the database, on every engine, and the audit log stays whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.card_lab import EID, iccid
from tests.contract.test_eim_log import KINDS, LoggedLab, open_store  # noqa: F401 - pytest finds the fixtures here
from tests.roles.eim_lab import EIM, OpenStore
from tests.unit.audit.audit_world import verified

from keim.app.eim_retention import Kept, Retention, RetentionConfig
from keim.audit.export import export
from keim.audit.tiles import TILE_WIDTH
from keim.eim import compose
from keim.eim.events import DeviceChanged
from keim.eim.facts import Decision
from keim.eim.rows import MAIN, State
from keim.errors import Refused, StoreFailed
from keim.io.eim_store.feed import EventFilter, Feed
from keim.io.eim_store.leaves import leaves_of
from keim.io.eim_store.log import Source
from keim.io.eim_store.reading import Reading
from keim.io.event_log import EventLog
from keim.io.store.engine import Statement
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = Psmo(list_profile_info=ProfileInfoListRequest())
ALL = {"events_days": 100, "receipts_days": 100, "operations_days": 100}


class Logs:
    """As EimLogs, with the log of the laboratory."""

    def __init__(self, lab: LoggedLab) -> None:
        self._lab = lab

    def of(self, log: str) -> Any:
        assert log == MAIN
        return self._lab.log


class KeepingLab(LoggedLab):
    def __init__(self, open_store: OpenStore, folder: Path) -> None:  # noqa: F811 - a type, not the fixture
        super().__init__(open_store)
        self.folder = folder
        self.watched: list[bytes] = []
        self.run(self.retention().prepare())

    def retention(self, **days: int) -> Retention:
        config = RetentionConfig(archive=str(self.folder), **(days or ALL)).checked()
        self.store.engine.shelf = config.shelf
        return Retention(self.store.engine, Logs(self), config, self.clock.now)  # type: ignore[arg-type]  # its one method

    def keep(self, **days: int) -> Kept:
        found: Kept = self.run(self.retention(**days).run())
        return found

    def talk(self, count: int) -> None:
        """Events of no consequence."""
        events = tuple(
            DeviceChanged(at=self.clock.now(), eid=str(EID), what=f"word {number}") for number in range(count)
        )
        self.run(self.store.engine.commit([], leaves_of(Decision(reply=None, events=events)).entries))

    def year(self, *, lives: bool = False) -> None:
        """Two bundles and a bit, a checkpoint, and more than a year."""
        if lives:
            self.live()
        self.talk(2 * TILE_WIDTH)
        self.run(self.publisher.publish(MAIN))
        self.later(days=400)

    def bodies(self) -> list[bool]:
        rows = self.run(
            self.store.engine.fetch("SELECT leaf FROM eim_events WHERE log = ? ORDER BY id", MAIN)
        )
        return [bool(row[0]) for row in rows]

    def export(self) -> bytes:
        return b"".join(export(Source(self.log, self.run)))

    def all_events(self) -> list[Any]:
        return self.run(self.store.events(limit=10_000))


@pytest.fixture
def lab(open_store: OpenStore, tmp_path: Path) -> Iterator[KeepingLab]:  # noqa: F811 - the fixture imported above
    made = KeepingLab(open_store, tmp_path / "archive")
    yield made
    made.close()


def test_what_is_archived_is_exported_octet_by_octet_as_before(lab: KeepingLab) -> None:
    lab.year(lives=True)
    before, proof_before = lab.export(), lab.run(lab.log.proof(7))
    kept = lab.keep(events_days=100)
    assert kept == Kept(leaves=2 * TILE_WIDTH)
    assert lab.bodies()[: 2 * TILE_WIDTH] == [False] * (2 * TILE_WIDTH)
    assert all(lab.bodies()[2 * TILE_WIDTH :])
    assert lab.export() == before
    report, periods = verified(before)
    assert report.is_good, report.faults
    assert len(periods) == 3
    assert lab.keep(events_days=100) == Kept()
    lab.talk(3)
    report, _ = verified(lab.exported())
    assert report.is_good, report.faults
    assert lab.run(lab.log.proof(7)) == proof_before


def test_whoever_reads_events_reads_the_archive_with_them(lab: KeepingLab) -> None:
    lab.year(lives=True)
    reading = Reading(lab.store)
    at = lab.events(DeviceChanged)[0].at
    device = lab.device()

    def seen() -> tuple[Any, ...]:
        return (
            lab.all_events(),
            lab.run(lab.store.events_of(str(EID), limit=10_000)),
            lab.run(reading.twin_at(device, EIM, at)),
            lab.run(EventLog(lab.store.engine).read(MAIN, -1, 10_000)),
            lab.run(Feed(lab.store.engine).after(MAIN, -1, EventFilter(), limit=10_000)),
        )

    before = seen()
    lab.keep(events_days=100)
    assert seen() == before
    assert before[2] is not None


def test_young_leaves_and_those_that_no_checkpoint_covers_stay(lab: KeepingLab) -> None:
    lab.talk(10)
    lab.run(lab.publisher.publish(MAIN))
    lab.talk(2 * TILE_WIDTH)
    assert lab.keep(events_days=100) == Kept()
    lab.later(days=400)
    latest = lab.run(lab.log.latest())
    assert latest.point.size < TILE_WIDTH
    assert lab.keep(events_days=100) == Kept()
    lab.run(lab.publisher.publish(MAIN))
    lab.talk(1)
    assert lab.keep(events_days=500) == Kept()
    assert all(lab.bodies())


class Cut(Exception):
    """The power is gone."""


@pytest.mark.parametrize(("step", "is_after"), [(0, False), (0, True), (1, False)])
def test_a_cut_while_leaves_move_loses_nothing(
    lab: KeepingLab, step: int, is_after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.year()
    before, left = lab.export(), [step]
    commit = lab.store.engine.commit

    async def fragile(*arguments: Any) -> None:
        left[0] -= 1
        if left[0] < 0 and not is_after:
            raise Cut
        await commit(*arguments)
        if left[0] < 0:
            raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(lab.store.engine, "commit", fragile)
        with contextlib.suppress(Cut):
            lab.keep(events_days=100)
    assert lab.export() == before
    lab.keep(events_days=100)
    assert lab.export() == before
    assert lab.bodies().count(False) == 2 * TILE_WIDTH


def test_a_leaf_that_was_changed_in_the_database_is_not_archived(lab: KeepingLab) -> None:
    lab.year()
    forged = Statement("UPDATE eim_events SET leaf = ? WHERE log = ? AND id = 3", (b"\x30\x00", MAIN), 1)
    lab.run(lab.store.engine.commit([forged]))
    with pytest.raises(StoreFailed) as failed:
        lab.keep(events_days=100)
    assert failed.value.code == "store.leaf_damaged"
    assert all(lab.bodies())
    assert not list(lab.folder.rglob("*/tile/entries/*"))


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_archive_is_found_out(lab: KeepingLab, damage: str) -> None:
    lab.year()
    lab.keep(events_days=100)
    file = next(lab.folder.rglob("001"))
    octets = file.read_bytes()
    match damage:
        case "changed":
            file.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
        case "cut":
            file.write_bytes(octets[:-10])
        case _:
            file.unlink()
    lab.retention()  # a shelf that remembers nothing
    with pytest.raises((StoreFailed, Refused)) as failed:
        lab.export()
    assert failed.value.code in ("store.shelf_damaged", "audit.log_incomplete")


def test_without_its_archive_a_program_says_what_it_lacks(lab: KeepingLab) -> None:
    lab.year()
    lab.keep(events_days=100)
    lab.store.engine.shelf = None
    with pytest.raises(StoreFailed) as failed:
        lab.all_events()
    assert failed.value.code == "store.shelf_absent"


def test_a_stripped_receipt_still_tells_a_repetition(lab: KeepingLab) -> None:
    sent: list[bytes] = []
    calls = lab.world.eims[EIM]

    def watched(octets: bytes) -> bytes | None:
        sent.append(octets)
        return calls(octets)

    lab.world.eims[EIM] = watched
    lab.live()
    while lab.errands():
        pass
    told = [octets for octets in sent if octets[:2] in (b"\xbf\x50", b"\xbf\x3d")]
    assert told
    lab.later(days=400)
    kept = lab.keep(receipts_days=100)
    assert kept.receipts >= 3
    sizes = lab.run(lab.store.engine.fetch("SELECT SUM(LENGTH(octets)) FROM eim_receipts"))
    assert int(sizes[0][0]) == 0
    forwarded = len(lab.forwarded)
    for octets in told:
        lab.answer(octets)
    lab.errands()
    assert len(lab.forwarded) == forwarded, "nothing is forwarded twice"
    assert lab.keep(receipts_days=100).receipts == 0


def test_ended_operations_go_and_what_may_still_come_stays(lab: KeepingLab) -> None:
    single = lab.order(LIST)
    many = lab.run(lab.service.order_for_many(compose.package_of([LIST])))
    lab.run(lab.store.many.refresh())
    lab.cycle()
    waiting = lab.order(Psmo(enable=EnablePsmo(iccid=iccid(2))))
    lab.later(days=400)
    kept = lab.keep(operations_days=100)
    assert kept.operations >= 1
    orders = [one.order for one in lab.run(lab.store.operations(eid=EID))]
    assert orders == [many.id], "its progress is counted by its operations"
    assert lab.run(lab.store.order(single.reference)) is None
    assert lab.run(lab.store.order(waiting.reference)) is not None
    lab.run(lab.service.cancel(many.reference))
    lab.keep(operations_days=100)
    assert lab.run(lab.store.operations(eid=EID)) == []
    lab.cycle()
    assert lab.operation(waiting).state is State.SUCCEEDED
    assert lab.enabled() == iccid(2)


@pytest.mark.parametrize(
    "days",
    [{"events_days": 1}, {"receipts_days": 29}, {"operations_days": -1}, {"events_days": 40, "archive": ""}],
)
def test_a_configuration_that_would_drop_too_much_is_refused(days: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        RetentionConfig(**{"archive": "archive", **days}).checked()
    assert refused.value.code == "config.invalid"
