"""The leaf: one spelling, nothing lost, and the certificates left out that travel with notifications."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from tests.card_lab import EID, NOW
from tests.unit.audit.audit_world import AuditedLab, euicc_chain

from keim.audit.leaf import LONGEST_LEAF, Doubt, Leaf, leaf, octets_of, statement_of, time_of
from keim.der import tlv
from keim.errors import Malformed, Refused


def full() -> Leaf:
    return leaf(
        "result_received",
        NOW + timedelta(microseconds=7),
        "device",
        eid=EID,
        operation="op-1",
        package=b"\xbf\x51\x00",
        result=b"\xbf\x51\x00",
        association_token=-1,
        package_signer=b"key",
        euicc_chain=(b"leaf", b"above"),
        doubt=Doubt.NOT_CHECKED,
        without_token=True,
        detail=b"{}",
    )


def test_a_leaf_comes_back_as_it_was() -> None:
    for value in (full(), leaf("x", NOW, "alice")):
        octets = octets_of(value)
        assert Leaf.decode(octets) == value
        assert Leaf.decode(octets).encode() == octets


def test_a_leaf_names_certificates_by_their_hash() -> None:
    assert full().references == tuple(sha256(found).digest() for found in (b"key", b"leaf", b"above"))
    assert leaf("x", NOW, "alice").references == ()


def test_a_leaf_knows_its_time_to_the_microsecond_whatever_the_zone() -> None:
    eastern = timezone(timedelta(hours=3))
    assert full().at == NOW + timedelta(microseconds=7)
    assert octets_of(leaf("x", NOW.astimezone(eastern), "a")) == octets_of(leaf("x", NOW, "a"))


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(Refused, match="zone"):
        leaf("x", datetime(2026, 1, 1), "a")


def test_an_absurd_time_does_not_break_a_reader() -> None:
    assert time_of(1 << 80) == datetime.max.replace(tzinfo=UTC)


def test_a_leaf_without_events_beside_it_stays_small() -> None:
    assert len(octets_of(leaf("network_seen", NOW, "device", eid=EID))) < 60


def test_a_leaf_that_no_bundle_can_hold_is_refused() -> None:
    octets_of(leaf("x", NOW, "a", detail=bytes(LONGEST_LEAF - 100)))
    with pytest.raises(Refused) as refused:
        octets_of(leaf("x", NOW, "a", detail=bytes(LONGEST_LEAF)))
    assert refused.value.code == "audit.leaf_too_large"


@pytest.mark.parametrize("count", range(len(octets_of(full()))))
def test_no_octet_of_a_leaf_is_without_meaning(count: int) -> None:
    """A flipped bit is another leaf or none: there are no two spellings of one value."""
    octets = bytearray(octets_of(full()))
    octets[count] ^= 1
    with suppress(Malformed):
        assert Leaf.decode(bytes(octets)) != full()


def test_a_statement_leaves_out_the_certificates_of_its_notification() -> None:
    lab = AuditedLab()
    lab.download(1)
    installation, notification = lab.pending()
    found = statement_of(notification)
    assert found is not None
    statement, chain = found
    assert chain == euicc_chain()
    assert notification == tlv(0x30, statement.statement, tlv(0x5F37, statement.signature), *chain)
    found = statement_of(installation)
    assert found is not None
    assert found[1] == ()
    assert installation == tlv(0xBF37, found[0].statement, tlv(0x5F37, found[0].signature))
