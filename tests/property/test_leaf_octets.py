"""A leaf's octets made directly are those that the codec makes of the leaf."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from keim.audit.leaf import VERSION, Doubt, Leaf, SignedStatement, microseconds_of
from keim.audit.leaf_octets import head_octets, leaf_octets, proof_octets
from keim.der import AnyTlv, tlv

LONG = st.binary(min_size=120, max_size=140).map(lambda some: some * 500)
OCTETS = st.one_of(st.binary(max_size=300), LONG)
DIGEST = st.binary(min_size=32, max_size=32)
STATEMENT = st.builds(
    SignedStatement,
    statement=st.binary(max_size=200).map(lambda content: AnyTlv(tlv(0xBF2F, content))),
    signature=st.binary(min_size=64, max_size=64),
)
NAME = st.text(min_size=1, max_size=64)
BESIDE = {
    "operation": st.text(min_size=1, max_size=128),
    "package": OCTETS,
    "result": OCTETS,
    "statements": st.lists(STATEMENT, min_size=1, max_size=3).map(tuple),
    "association_token": st.integers(-(1 << 40), 1 << 40),
    "package_signer": DIGEST,
    "euicc_chain": st.lists(DIGEST, min_size=1, max_size=5).map(tuple),
    "doubt": st.sampled_from(Doubt),
    "without_token": st.booleans(),
}


MOMENT = st.datetimes(timezones=st.just(UTC))
EID = st.one_of(st.just(b""), st.binary(min_size=16, max_size=16))


@given(st.tuples(MOMENT, NAME, NAME), EID, OCTETS, st.fixed_dictionaries({}, optional=BESIDE))
def test_a_leafs_octets_are_those_of_the_codec(
    head: tuple[datetime, str, str], eid: bytes, detail: bytes, beside: dict[str, Any]
) -> None:
    at, kind, actor = head
    whole = Leaf(
        version=VERSION,
        time=microseconds_of(at),
        kind=kind,
        actor=actor,
        eid=eid or None,
        detail=detail,
        **beside,
    )
    assert leaf_octets(head_octets(*head), eid, proof_octets(**beside), detail) == whole.encode()
