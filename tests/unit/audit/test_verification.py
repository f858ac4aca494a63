"""Reading an export: what was changed is found and named, and what an auditor holds is compared."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.card_lab import EID, iccid, world
from tests.unit.audit.audit_world import (
    AuditedLab,
    all_members,
    enable,
    log_signer,
    member_named,
    plain_leaf,
    repacked,
    trust,
    verified,
)

from keim.audit.archive import END, Member, member
from keim.audit.checkpoint import Checkpoint
from keim.audit.export import export
from keim.audit.leaf import octets_of
from keim.audit.memory_log import MemoryLog
from keim.audit.tiles import Tile, bundle_of, entries_of, tiles_between
from keim.audit.tree import leaf_hash, root_of
from keim.audit.verification import Options, chunked, verify_export
from keim.errors import Refused
from keim.io.audit_memory import SpillingMemory

Change = Callable[[Member], bytes | None]


def plain_log(count: int, *, publish_at: tuple[int, ...] = ()) -> MemoryLog:
    log = MemoryLog(log_signer())
    for number in range(count):
        log.append(plain_leaf(number))
        if number + 1 in publish_at:
            log.publish()
    return log


def exported(log: MemoryLog) -> bytes:
    log.publish()
    return b"".join(export(log))


def found(octets: bytes, **options: object) -> list[tuple[str, int | None]]:
    report, _ = verified(octets, **options)
    assert not report.is_good
    return [(fault.code, fault.leaf) for fault in report.sorted_faults()]


def rewrite_leaves(octets: bytes, change: Callable[[int, bytes], bytes], *, hashes_too: bool) -> bytes:
    """The export with other leaves, and if wanted the level of hashes above them forged as well."""
    log: dict[int, list[bytes]] = {}
    for each in all_members(octets):
        tile = Tile.named(each.name)
        if tile is not None and tile.level is None:
            first = tile.index * 256
            entries = entries_of(each.octets, tile.width)
            log[tile.index] = [change(first + i, entry or b"") for i, entry in enumerate(entries)]

    def changed(each: Member) -> bytes:
        tile = Tile.named(each.name)
        if tile is not None and tile.level is None:
            return bundle_of(log[tile.index])
        if tile is not None and tile.level == 0 and hashes_too:
            return b"".join(map(leaf_hash, log[tile.index]))
        return each.octets

    return repacked(octets, changed)


def other_leaf(wanted: int) -> Callable[[int, bytes], bytes]:
    return lambda index, octets: octets_of(plain_leaf(9_999)) if index == wanted else octets


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 600])
def test_a_log_of_any_size_verifies(count: int) -> None:
    log = plain_log(count, publish_at=(1, 100, 256, 300))
    octets = exported(log)
    report, _ = verified(octets)
    assert report.is_good, report.faults
    assert (report.leaves, report.size, report.root) == (count, count, root_of(log.hashes).hex())
    assert report.checkpoints == len(log.notes)
    names = {each.name for each in all_members(octets)}
    assert {tile.name for tile in tiles_between(0, count)} <= names


def test_a_log_of_three_levels_of_tiles_verifies() -> None:
    log = MemoryLog(log_signer())
    log.append(*(plain_leaf(number) for number in range(65_537)))
    report, _ = verified(exported(log))
    assert report.is_good, report.faults
    assert report.leaves == 65_537


def test_a_changed_leaf_is_named() -> None:
    octets = exported(plain_log(300, publish_at=(100, 256)))
    for wanted in (0, 99, 100, 255, 256, 299):
        bent = rewrite_leaves(octets, other_leaf(wanted), hashes_too=False)
        assert found(bent) == [("audit.leaf_altered", wanted)]


def test_a_leaf_changed_with_its_hash_is_confined_to_the_leaves_between_two_checkpoints() -> None:
    octets = exported(plain_log(300, publish_at=(100, 200)))
    bent = rewrite_leaves(octets, other_leaf(150), hashes_too=True)
    report, _ = verified(bent)
    (fault,) = [each for each in report.faults if each.code == "audit.leaves_altered"]
    assert (fault.leaf, fault.last_leaf) == (100, 199)


def test_a_changed_hash_is_not_blamed_on_its_leaf() -> None:
    octets = exported(plain_log(10))

    def changed(each: Member) -> bytes:
        return each.octets[:-1] + b"\0" if each.name == "tile/0/000.p/10" else each.octets

    assert found(repacked(octets, changed)) == [("audit.hash_altered", 9)]


def test_leaves_that_changed_places_are_both_named() -> None:
    log = plain_log(10)
    octets = exported(log)
    swapped = {3: log.entries[4], 4: log.entries[3]}
    bent = rewrite_leaves(octets, swapped.get, hashes_too=False)
    assert found(bent) == [("audit.leaf_altered", 3), ("audit.leaf_altered", 4)]


def test_a_log_cut_short_is_found_by_its_last_checkpoint() -> None:
    octets = exported(plain_log(300))
    names = ("tile/0/001.p/44", "tile/entries/001.p/44")
    assert found(repacked(octets, lambda each: None if each.name in names else each.octets))


def test_a_log_cut_short_by_its_owner_is_found_by_a_checkpoint_that_was_kept() -> None:
    log = plain_log(20)
    kept = log.publish()
    shorter = exported(plain_log(15))
    report, _ = verified(shorter)
    assert report.is_good
    assert found(shorter, kept=(kept,)) == [("audit.not_consistent", None)]


def test_a_log_rewritten_by_its_owner_is_found_by_a_checkpoint_that_was_kept() -> None:
    kept = plain_log(20).publish()
    log = MemoryLog(log_signer())
    log.append(plain_leaf(77), *(plain_leaf(number) for number in range(1, 30)))
    octets = exported(log)
    assert verified(octets)[0].is_good
    assert found(octets, kept=(kept,)) == [("audit.not_consistent", None)]
    assert verified(exported(plain_log(30)), kept=(kept,))[0].is_good


def test_two_checkpoints_of_different_logs_are_found() -> None:
    log = plain_log(10)
    log.notes.append(Checkpoint(log.key.name, 10, bytes(32)).signed(log.signer))
    log.append(plain_leaf(10))
    octets = exported(log)
    assert ("audit.leaves_altered", 0) in found(octets)


def test_a_checkpoint_of_another_key_is_found() -> None:
    octets = exported(plain_log(3))
    assert found(octets, log_key=log_signer(seed=2).key)[0] == ("audit.checkpoint_signature", None)
    report, _ = verified(octets, log_key=log_signer().key)
    assert report.is_good
    assert report.is_log_key_given


def test_without_roots_of_ones_own_the_report_says_so() -> None:
    lab = AuditedLab()
    lab.download(1)
    lab.perform(enable(iccid(1)))
    octets = lab.exported()
    report, _ = verified(octets, roots=None)
    assert (report.is_good, report.are_roots_given) == (True, False)
    assert report.roots == [world().get("ci").certificate.fingerprint.hex()]
    bare = lab.exported(roots=[])
    assert found(bare, roots=None) == [("audit.chain_refused", 1)]


def test_a_certificate_that_is_missing_is_missed() -> None:
    lab = AuditedLab()
    lab.download(1)
    lab.perform(enable(iccid(1)))
    octets = lab.exported()
    bent = repacked(octets, lambda each: None if each.name == "objects/0" else each.octets)
    assert found(bent)[0] == ("audit.object_altered", None)
    assert ("audit.object_missing", 1) in found(bent)


def test_a_certificate_is_stored_once() -> None:
    lab = AuditedLab()
    lab.download(1)
    for _ in range(200):
        lab.report(b"\xbf\x51\x00", result=None)
    octets = lab.exported()
    certificate = world().euicc(EID).certificate.der
    assert octets.count(certificate) == 1


def test_a_leaf_of_a_later_version_is_kept_and_not_interpreted() -> None:
    log = MemoryLog(log_signer())
    log.append(plain_leaf(0).replace(version=2))
    report, _ = verified(exported(log))
    assert report.is_good
    assert [each.code for each in report.remarks] == ["audit.leaf_version"]


def test_an_entry_that_is_no_leaf_is_a_fault() -> None:
    log = plain_log(2)
    log.entries.append(b"not a leaf")
    log.hashes.append(leaf_hash(b"not a leaf"))
    log.edge = log.edge.append(log.hashes[-1])
    assert found(exported(log)) == [("audit.leaf_unreadable", 2)]


@pytest.mark.parametrize("octets", [b"", b"x", bytes(1024), bytes(512), b"\x89PNG" * 300])
def test_what_is_no_export_is_damaged(octets: bytes) -> None:
    assert found(octets) == [("audit.file_damaged", 0)]


def test_members_in_another_order_are_refused() -> None:
    octets = exported(plain_log(3))
    names = [each.name for each in all_members(octets)]
    by_name = {each.name: each for each in all_members(octets)}
    for place in range(len(names) - 1):
        moved = [*names[:place], names[place + 1], names[place], *names[place + 2 :]]
        bent = b"".join(member(name, by_name[name].octets) for name in moved) + END
        assert found(bent)


def test_a_log_that_does_not_fit_its_checkpoint_is_not_exported() -> None:
    log = plain_log(5)
    log.publish()
    log.entries[2] = log.entries[1]
    with pytest.raises(Refused, match="root"):
        list(export(log))
    log.entries.pop()
    with pytest.raises(Refused, match="4 leaves"):
        list(export(log))
    with pytest.raises(Refused, match="no checkpoint"):
        list(export(MemoryLog(log_signer())))


def test_signatures_of_others_are_a_remark() -> None:
    log = plain_log(3)
    point = Checkpoint.of(log.key.name, log.edge)
    log.notes.append(point.signed(log.signer, log_signer("witness.example.com", 5)))
    report, _ = verified(b"".join(export(log)))
    assert report.is_good
    assert [each.code for each in report.remarks] == ["audit.other_signatures"]


def test_the_unpacked_file_is_a_log_as_c2sp_lays_it_out() -> None:
    log = plain_log(300)
    octets = exported(log)
    assert member_named(octets, "checkpoint").octets == log.notes[-1]
    for tile in tiles_between(0, 300):
        assert member_named(octets, tile.name).octets == log.read_tile(tile)


def test_memory_that_spills_to_a_file_behaves_like_a_dictionary() -> None:
    with SpillingMemory(hot=4) as memory:
        expected = {}
        for number in range(100):
            key = b"%d" % (number * 7 % 31)
            memory[key] = expected[key] = b"value %d" % number
        assert dict(memory.items()) == expected
        assert len(memory) == len(expected)
        del memory[b"7"]
        assert b"7" not in memory
        with pytest.raises(KeyError):
            del memory[b"7"]
        assert memory.get(b"nothing") is None


def test_a_verification_with_its_memory_in_a_file_says_the_same() -> None:
    lab = AuditedLab()
    lab.download(1)
    lab.download(2)
    for number in (1, 2, 1, 2):
        lab.perform(enable(iccid(number)))
        lab.report_notifications()
    octets = lab.exported()
    expected, periods = verified(octets)
    told: list[object] = []
    with SpillingMemory(hot=2) as memory:
        options = Options(roots=trust(), tell_period=told.append)
        report = verify_export(chunked(iter([octets])), options, memory)
    assert (report, told) == (expected, periods)
    assert report.is_good
    assert len(told) == 4


def test_leaves_are_told_with_their_numbers() -> None:
    octets = exported(plain_log(300))
    numbers: list[int] = []
    options = Options(tell_leaf=lambda index, entry, leaf: numbers.append(index))
    verify_export(chunked(iter([octets])), options)
    assert numbers == list(range(300))
