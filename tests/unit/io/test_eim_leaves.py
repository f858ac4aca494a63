"""From decisions to leaves: what is left out when a device says more than a leaf holds, and who is named."""

from __future__ import annotations

from typing import Any

import pytest
from tests.card_lab import EID, NOW

from keim.audit.leaf import LONGEST_LEAF, Doubt, Leaf
from keim.eim.events import DeviceChanged, OrderPlaced, PackageDelivered, ResultReceived, ResultUnmatched
from keim.eim.evidence import Evidence
from keim.eim.facts import Decision
from keim.eim.picture import ProfilesListed
from keim.eim.results.verification import BY_SIGNATURE, NOT_CHECKED, REFUSED, SWITCHED_OFF
from keim.eim.rows import ProfileImage
from keim.errors import Refused
from keim.io.eim_store.leaves import KeptObjects, event_in, leaves_of

CHAIN = (b"euicc", b"eum")


def received(**members: Any) -> ResultReceived:
    return ResultReceived(
        at=NOW, eid=EID, state="succeeded", outcome=("list: ok",), transaction_id=b"t", **members
    )


def leaf_of(event: Any, **evidence: Any) -> Leaf:
    proofs = (Evidence(event=0, **evidence),) if evidence else ()
    (entry,) = leaves_of(Decision(reply=None, events=(event,), evidence=proofs)).entries
    assert event_in(entry.leaf).at == NOW
    return Leaf.decode(entry.leaf)


def test_a_result_that_is_too_large_is_logged_by_its_digest_alone() -> None:
    leaf = leaf_of(received(digest=b"d" * 32), result=bytes(LONGEST_LEAF), chain=CHAIN)
    assert (leaf.result, leaf.euicc_chain) == (None, None)
    assert b'"digest"' in (leaf.detail or b"")


def test_effects_give_way_when_even_the_event_is_too_large() -> None:
    images = tuple(ProfileImage(iccid="8" * 20, info=bytes(1000)) for _ in range(60))
    leaf = leaf_of(received(effects=(ProfilesListed(profiles=images),)), result=b"r", chain=CHAIN)
    assert len(leaf.encode()) < 1000
    with pytest.raises(Refused):
        leaf_of(received(reason="x" * LONGEST_LEAF), result=b"r")


@pytest.mark.parametrize(
    ("verification", "doubt"),
    [
        (BY_SIGNATURE, None),
        (SWITCHED_OFF, Doubt.NOT_CHECKED),
        (NOT_CHECKED, Doubt.NOT_CHECKED),
        (REFUSED, Doubt.NOT_VERIFIABLE),
    ],
)
def test_the_eims_own_doubt_stands_beside_the_evidence(verification: str, doubt: Doubt | None) -> None:
    assert leaf_of(received(), result=b"r", chain=CHAIN, verification=verification).doubt is doubt


def test_a_result_of_an_unknown_package_says_so_and_is_no_less_signed() -> None:
    event = ResultUnmatched(at=NOW, eid=EID, why="", sequence_number=1, digest=b"")
    leaf = leaf_of(event, result=b"r", chain=CHAIN, verification=BY_SIGNATURE)
    assert leaf.doubt is Doubt.UNKNOWN_PACKAGE
    assert len(leaf.euicc_chain or ()) == 2


def test_a_leaf_names_who_made_it_happen_and_the_order() -> None:
    placed = OrderPlaced(at=NOW, reference="r" * 200, kind="package", devices=1, actor="alice")
    assert (leaf_of(placed).actor, leaf_of(placed).operation) == ("alice", "r" * 128)
    delivered = PackageDelivered(at=NOW, eid=EID, kind="package", transaction_id=b"", digest=b"")
    assert leaf_of(delivered).actor == "eim"
    assert leaf_of(received()).actor == "device"
    assert leaf_of(DeviceChanged(at=NOW, eid=EID, what="", actor="a" * 300)).actor == "a" * 128


def test_certificates_are_handed_over_once_and_the_memory_of_them_is_bounded() -> None:
    kept = KeptObjects(most=2)
    decision = Decision(
        reply=None,
        events=(received(),),
        evidence=(Evidence(event=0, result=b"r", chain=CHAIN, verification=BY_SIGNATURE),),
    )
    named = leaves_of(decision).objects
    assert sorted(kept.fresh(named).values()) == [b"euicc", b"eum"]
    kept.keep(named)
    assert kept.fresh(named) == {}
    kept.keep({b"x": b"", b"y": b""})
    assert len(kept.fresh(named)) == 2
