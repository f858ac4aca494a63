"""A leaf's octets made directly are those that the codec makes of the leaf."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from keim.audit.leaf import VERSION, Doubt, Leaf, SignedStatement
from keim.audit.leaf_octets import leaf_octets
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
    "eid": st.binary(min_size=16, max_size=16),
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


@given(st.integers(-(1 << 60), 1 << 60), NAME, NAME, OCTETS, st.fixed_dictionaries({}, optional=BESIDE))
def test_a_leafs_octets_are_those_of_the_codec(
    time: int, kind: str, actor: str, detail: bytes, beside: dict[str, Any]
) -> None:
    whole = Leaf(version=VERSION, time=time, kind=kind, actor=actor, detail=detail, **beside)
    assert leaf_octets(time, kind, actor, detail, **beside) == whole.encode()
