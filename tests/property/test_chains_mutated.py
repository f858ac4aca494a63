"""Whatever happens to the octets of a chain: a verdict or Malformed, no other exception, no acceptance."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shared import shared_dir
from tests.unit.pki.forge import NOW, make_world, resign, with_extensions
from tests.vectors.loading import named

from keim.der import tlv
from keim.errors import Malformed
from keim.pki import Certificate, Crl, Curve, Revocations, TrustStore, Validation, validate
from keim.pki.codes import authenticate_error, download_error, es9_code
from keim.pki.describe import describe, describe_crl
from keim.pki.load_crl import LoadCrlError, LoadedCrl, load_crl, request_of, response_of
from keim.pki.roles import LEAF_ROLES
from keim.pki.world import Variant

WORLD = make_world(variant=Variant.A)
DEEP = make_world(variant=Variant.C)
TRUST = WORLD.trust
GENUINE = {c.certificate.tbs for c in WORLD.credentials}
CHAINS = [
    [c.certificate.der, *(above.der for above in c.chain)] for c in WORLD.credentials if c.role in LEAF_ROLES
]
ROLES = sorted(LEAF_ROLES)
VECTORS = [bytes.fromhex(value) for value in named("crypto.json", "certificates").values()]
POOL = [der for chain in CHAINS for der in chain] + VECTORS


def use(validation: Validation) -> None:
    """Everything that somebody does with a verdict must work for any verdict."""
    validation.findings()
    authenticate_error(validation.verdict)
    download_error(validation.verdict)
    if validation.role.value == "euicc":
        assert (es9_code(validation) is None) == validation.ok
    if not validation.ok:
        assert validation.refusal().code == f"pki.{validation.verdict.value}"


def look_at(der: bytes) -> None:
    with suppress(Malformed):
        certificate = Certificate(der)
        describe(certificate, now=NOW)
        assert certificate.der == der
        _ = certificate.public_key, certificate.valid_from, certificate.valid_until
    with suppress(Malformed):
        describe_crl(Crl(der), now=NOW)


@st.composite
def mutated(draw: st.DrawFn, pool: list[bytes]) -> bytes:
    """One octet string of the pool with octets changed, taken out, put in, or cut off."""
    octets = bytearray(draw(st.sampled_from(pool)))
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(octets) - 1))
        kind = draw(st.sampled_from(["flip", "set", "drop", "insert", "cut", "length"]))
        if kind == "flip":
            octets[position] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            octets[position] = draw(st.integers(0, 255))
        elif kind == "drop":
            del octets[position]
        elif kind == "insert":
            octets[position:position] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "cut":
            del octets[max(1, position) :]
        else:
            octets[min(1, len(octets) - 1)] = draw(st.integers(0, 255))
        if not octets:
            octets = bytearray(b"\x30")
    return bytes(octets)


@given(mutated(POOL))
def test_mutated_certificate_is_read_or_malformed(der: bytes) -> None:
    look_at(der)


@given(st.binary(max_size=400))
def test_any_octets_are_read_or_malformed(der: bytes) -> None:
    look_at(der)
    look_at(b"\x30\x82" + len(der).to_bytes(2, "big") + der)


@given(st.data())
def test_mutated_chain_is_never_accepted_and_never_breaks_the_judge(data: st.DataObject) -> None:
    chain = list(data.draw(st.sampled_from(CHAINS)))
    position = data.draw(st.integers(0, len(chain) - 1))
    role = ROLES[data.draw(st.integers(0, len(ROLES) - 1))]
    chain[position] = data.draw(mutated([chain[position]]))
    try:
        validation = validate(chain[0], chain[1:], TRUST, role=role, now=NOW, crls=WORLD.crls)
    except Malformed:
        return
    use(validation)
    if validation.ok:
        # What a signature does not cover is itself, and a certificate that the path did not need.
        assert all(c.tbs in GENUINE for c in validation.path)


@given(st.lists(st.sampled_from(POOL), max_size=7), st.sampled_from(ROLES), st.sampled_from(POOL))
def test_any_heap_of_certificates_gets_a_verdict(others: list[bytes], role: str, leaf: bytes) -> None:
    validation = validate(leaf, others, TRUST, role=role, now=NOW)
    use(validation)
    if validation.ok:
        assert validation.root in TRUST
        assert validation.path[-2].is_signed_by(validation.root)


@given(st.permutations(range(3)))
def test_order_of_the_intermediates_does_not_matter(order: list[int]) -> None:
    euicc = DEEP.euiccs()[0]
    chain = [euicc.chain[index] for index in order]
    assert validate(euicc.certificate, chain, DEEP.trust, role="euicc", now=NOW).ok


@given(mutated([crl.der for crl in WORLD.crls]))
def test_mutated_list_revokes_nobody_and_is_loaded_by_no_card(der: bytes) -> None:
    leaf, ci = WORLD.get("eim-sign").certificate, WORLD.get("ci").certificate
    try:
        crl = Crl(der)
        revoked = Revocations([crl]).is_revoked(leaf, ci, None)
        number: Any = crl.number
    except Malformed:
        return
    assert not revoked
    if crl.tbs != WORLD.crls[0].tbs:
        outcome = load_crl(request_of(crl), TrustStore(WORLD.roots), {})
        assert isinstance(outcome, LoadCrlError), number
        assert response_of(outcome)[:4] == b"\xbf\x35\x03\x81"


@given(st.binary(max_size=200), st.booleans())
def test_any_load_crl_request_gets_an_answer(octets: bytes, has_tag: bool) -> None:
    request = (b"\xbf\x35" if has_tag else b"") + octets
    outcome = load_crl(request, TRUST, {})
    assert not isinstance(outcome, LoadedCrl)


def _calls_to_read(extensions: int) -> int:
    """How many functions reading a certificate with so many more extensions calls: work, not time."""
    added = b"".join(
        tlv(0x30, tlv(0x06, b"\x2a" + number.to_bytes(2, "big")), tlv(0x04, bytes(20)))
        for number in range(extensions)
    )
    tbs = with_extensions(WORLD.get("dp-tls").certificate, lambda content: content + added)
    der = resign(tbs, WORLD.get("ci").private_key)
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        certificate = Certificate(der)
    finally:
        sys.setprofile(None)
    assert len(certificate.extensions) > extensions
    return calls


def test_work_is_linear_in_the_number_of_extensions() -> None:
    few, many, more = _calls_to_read(0), _calls_to_read(100), _calls_to_read(200)
    assert few < many
    assert more - many <= many - few + 10


@pytest.mark.skipif(shared_dir() is None, reason="the pool has the vectors only where the shared folder is")
def test_pool_has_the_certificates_of_the_vectors() -> None:
    assert len(VECTORS) >= 90
    assert Curve.BRAINPOOL in {Certificate(der).curve for der in VECTORS}
