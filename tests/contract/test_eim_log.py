"""The log of a true eIM run on every engine: exported, verified, proved leaf by leaf, bent and found out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.card_lab import SMDP, SMDP_OID, iccid, world
from tests.roles.eim_lab import EimLab, OpenStore, eim_of
from tests.shared import needs_system
from tests.unit.audit.audit_world import human, log_signer, trust, verified

from keim.audit.checkpoint import Checkpoint
from keim.audit.export import export
from keim.audit.leaf import Leaf
from keim.audit.proof_file import verify_proof
from keim.audit.proofs import check_consistency, check_inclusion
from keim.audit.tiles import Tile
from keim.audit.tree import Edge, leaf_hash
from keim.audit.verification import Options
from keim.eim import compose
from keim.eim.rows import MAIN, Switches
from keim.errors import Refused
from keim.io.eim_store.checkpoints import CHECKPOINT_LEAVES, Publisher
from keim.io.eim_store.leaves import event_in
from keim.io.eim_store.log import Source, TenantLog
from keim.io.store.engine import Entry, Statement
from keim.io.store.open import open_engine
from keim.ipa.configuration import Configuration
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

KINDS = ["file", pytest.param("postgres", marks=needs_system("postgresql"))]
ROOTS = [root.der for root in world().roots]


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    where = str(tmp_path / "eim.db")
    if request.param == "postgres":
        where = request.getfixturevalue("cluster").new_database()
    return lambda: open_engine(where)


class LoggedLab(EimLab):
    """An eIM with a device and a publisher of checkpoints."""

    def __init__(self, open_store: OpenStore, switches: Switches | None = None) -> None:
        certificate = world().get("eim-sign").certificate.der
        super().__init__(
            eim_of(signing_certificates={"one": certificate}, switches=switches),
            open_store=open_store,
            configuration=Configuration(features=IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION),
        )
        self.signer = log_signer()
        self.publisher = Publisher(self.store.engine, lambda log: self.signer, self.clock.now)
        self.run(self.publisher.prepare())
        self.log = TenantLog(self.store.engine, MAIN, self.signer.key)

    def enable(self, number: int) -> None:
        self.order(Psmo(enable=EnablePsmo(iccid=iccid(number), rollback_flag=False)))
        self.later(minutes=1)
        self.cycle()
        self.later(minutes=1)

    def live(self) -> None:
        """A list, two switches, a download, notifications."""
        self.order(Psmo(list_profile_info=ProfileInfoListRequest()))
        self.enable(2)
        self.run(self.publisher.publish(MAIN))
        self.enable(1)
        _, matching_id = self.smdp.order()
        self.ask_for(compose.download_by_code(f"LPA:1${SMDP}${matching_id}${SMDP_OID}"))
        self.cycle()

    def exported(self) -> bytes:
        self.run(self.publisher.publish(MAIN))
        return b"".join(export(Source(self.log, self.run), roots=ROOTS))

    def leaves(self) -> list[Leaf]:
        size = self.run(self.log.size())
        return [Leaf.decode(octets) for octets in self.run(self.log.leaves(0, size))]


@pytest.fixture
def lab(open_store: OpenStore) -> Iterator[LoggedLab]:
    made = LoggedLab(open_store)
    yield made
    made.close()


def test_an_export_of_a_true_run_tells_which_profile_was_enabled_when(lab: LoggedLab) -> None:
    lab.live()
    report, periods = verified(lab.exported())
    assert report.is_good, report.faults
    assert report.remarks == []
    assert [period.iccid for period in periods] == [human(iccid(1)), human(iccid(2)), human(iccid(1))]
    assert [period.enabled_by for period in periods] == ["seen in a list", "enable", "enable"]
    assert periods[1].proved_to is not None
    assert (report.packages, report.results) == (3, 3)
    assert report.checkpoints == 1  # the last one of each bundle of leaves
    assert report.statements == 2  # the installation result, told twice


def test_each_octet_changed_in_the_database_is_found_and_its_leaf_is_named(lab: LoggedLab) -> None:
    lab.live()
    good = lab.exported()
    for number, leaf in enumerate(lab.leaves()):
        evidence = leaf.package or leaf.result
        if evidence is None:
            continue
        bent = evidence[:-1] + bytes([evidence[-1] ^ 1])
        report, _ = verified(good.replace(evidence, bent))
        assert report.altered == (number,)


def test_leaves_carry_what_was_signed_and_no_more_than_the_event(lab: LoggedLab) -> None:
    lab.live()
    by_kind: dict[str, list[Leaf]] = {}
    for leaf in lab.leaves():
        by_kind.setdefault(leaf.kind, []).append(leaf)
    assert {leaf.actor for leaf in by_kind["package_delivered"]} == {"eim"}
    assert {leaf.actor for leaf in by_kind["result_received"]} == {"device"}
    placed, delivered = by_kind["order_placed"][0], by_kind["package_delivered"][0]
    assert placed.operation == delivered.operation != ""
    assert delivered.association_token == lab.token
    assert len(by_kind["notification_taken"][0].euicc_chain or ()) == 2
    assert all(leaf.package is None for leaf in by_kind["order_placed"])
    events = [event for _, event in lab.run(lab.store.events())]
    assert [event_in(octets) for octets in lab.run(lab.log.leaves(0, 1000))] == events


def test_every_leaf_is_proved_and_every_checkpoint_follows_from_the_one_before(lab: LoggedLab) -> None:
    lab.live()
    first = lab.run(lab.log.latest())
    lab.run(lab.publisher.publish(MAIN))
    last = lab.run(lab.log.latest())
    assert first is not None
    assert last is not None
    old, new = first.point, last.point
    proof = lab.run(lab.log.consistency(old.size, new.size))
    check_consistency(old.size, old.root, new.size, new.root, proof)
    entries = lab.run(lab.log.leaves(0, new.size))
    for number, octets in enumerate(entries):
        hashes = lab.run(lab.log.inclusion(number, new.size))
        check_inclusion(leaf_hash(octets), number, new.size, hashes, new.root)
        found = lab.run(lab.log.proof(number, roots=ROOTS))
        report = verify_proof(found.octets, Options(roots=trust(), log_key=lab.signer.key))
        assert report.is_good, report.faults
        covering = Checkpoint.opened(found.note, lab.signer.key).size
        assert covering == (old.size if number < old.size else new.size)


def test_what_is_not_believed_is_logged_with_its_doubt(open_store: OpenStore) -> None:
    lab = LoggedLab(open_store, Switches(verifies=False))
    lab.live()
    report, periods = verified(lab.exported())
    assert report.is_good, report.faults
    assert periods == []
    assert {remark.code for remark in report.remarks} == {"audit.doubt_declared"}
    lab.close()


def fill(lab: LoggedLab, count: int) -> list[bytes]:
    """Leaves that say nothing; their hashes."""
    hashes = [leaf_hash(b"%d" % number) for number in range(count)]
    entries = [Entry(MAIN, 0, None, "x", b"%d" % number, found) for number, found in enumerate(hashes)]
    lab.run(lab.store.engine.commit((), entries))
    return hashes


def test_proofs_read_few_hashes_whatever_the_size_of_the_log(lab: LoggedLab) -> None:
    before = lab.run(lab.log.size())
    known = [leaf_hash(octets) for octets in lab.run(lab.log.leaves(0, before))]
    hashes = known + fill(lab, 70_000 - before)
    published = lab.run(lab.publisher.publish(MAIN))
    assert published is not None
    assert published.point.root == Edge().extend(hashes).root
    engine = lab.store.engine
    asked: list[int] = []
    fetch = engine.fetch

    async def counted(sql: str, *parameters: object) -> list[tuple[object, ...]]:
        rows = await fetch(sql, *parameters)
        asked.append(len(rows))
        return rows

    engine.fetch = counted  # type: ignore[method-assign]  # an ear between log and database
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        asked.clear()
        proof = lab.run(lab.log.inclusion(index, 70_000))
        check_inclusion(hashes[index], index, 70_000, proof, published.point.root)
        assert sum(asked) <= 4 * 256
    for old in (1, 256, 65_536, 65_537, 69_999):
        proof = lab.run(lab.log.consistency(old, 70_000))
        check_consistency(old, Edge().extend(hashes[:old]).root, 70_000, published.point.root, proof)
    assert len(lab.run(lab.log.tile(Tile(2, 0, 1)))) == 32
    with pytest.raises(Refused, match="no tile/2/001"):
        lab.run(lab.log.tile(Tile(2, 1)))
    engine.fetch = fetch  # type: ignore[method-assign]  # as above


def test_a_checkpoint_is_signed_each_minute_or_each_thousand_leaves_by_one(lab: LoggedLab) -> None:
    due: Callable[[], int] = lambda: lab.run(lab.publisher.run())  # noqa: E731 - read like a word below
    assert due() == 1
    assert due() == 0
    fill(lab, 5)
    assert due() == 0
    lab.clock.moment += timedelta(minutes=1)
    other = Publisher(lab.store.engine, lambda log: lab.signer, lab.clock.now)
    assert (due(), lab.run(other.run())) == (1, 0)
    fill(lab, CHECKPOINT_LEAVES - 1)
    assert due() == 0
    fill(lab, 1)
    assert due() == 1
    lab.clock.moment += timedelta(minutes=5)
    assert due() == 0


def test_what_the_log_does_not_have_is_refused_by_name(lab: LoggedLab) -> None:
    empty = TenantLog(lab.store.engine, "nobody", lab.signer.key)
    assert lab.run(empty.size()) == 0
    assert lab.run(empty.latest()) is None
    assert lab.run(lab.publisher.publish("nobody")) is None
    for question, code in (
        (lab.log.leaf(10**9), "audit.leaf_not_found"),
        (lab.log.leaf(-1), "audit.leaf_not_found"),
        (lab.log.leaf(1 << 70), "audit.leaf_not_found"),
        (lab.log.object(bytes(32)), "audit.object_missing"),
        (lab.log.checkpoint_at(1), "audit.no_checkpoint"),
        (lab.log.proof(0), "audit.no_checkpoint"),
    ):
        with pytest.raises(Refused) as refused:
            lab.run(question)
        assert refused.value.code == code


def test_a_leaf_that_was_changed_in_the_database_does_not_reach_an_export(lab: LoggedLab) -> None:
    lab.live()
    lab.run(lab.publisher.publish(MAIN))
    lab.run(
        lab.store.engine.commit(
            [Statement("UPDATE eim_events SET leaf = hash WHERE log = ? AND id = 3", (MAIN,), 1)]
        )
    )
    with pytest.raises(Refused) as refused:
        lab.exported()
    assert refused.value.code == "audit.log_incomplete"


@pytest.mark.parametrize(
    "open_store", [pytest.param("postgres", marks=needs_system("postgresql"))], indirect=True
)
def test_of_workers_that_sign_at_once_one_wins(open_store: OpenStore) -> None:
    lab = LoggedLab(open_store)
    engines = [lab.run(open_store()) for _ in range(4)]
    try:
        for size in range(5):
            fill(lab, CHECKPOINT_LEAVES)
            publishers = [Publisher(engine, lambda log: lab.signer, lab.clock.now) for engine in engines]

            async def together(publishers: list[Publisher] = publishers) -> list[int]:
                return await asyncio.gather(*(publisher.run() for publisher in publishers))

            assert sum(lab.run(together())) == 1, size
    finally:
        for engine in engines:
            lab.run(engine.close())
        lab.close()
