"""Two defects in one chain: the one that the walk down meets first is the verdict (crypto §1.5, step 2).

The judge looks at signatures last, because they cost most; here is that nobody can tell.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.pki.forge import NOW, name_of, reissue, resign, with_extensions

from keim.der import tlv
from keim.errors import Malformed
from keim.pki import Certificate, Validation, validate
from keim.pki.world import World

STRANGER = ec.generate_private_key(ec.SECP256R1())
PAST = (NOW - timedelta(days=20), NOW - timedelta(days=10))
FUTURE = (NOW + timedelta(days=10), NOW + timedelta(days=20))


def judged(world: World, leaf: Certificate, eum: Certificate) -> Validation:
    return validate(leaf, [eum], world.trust, role="euicc", now=NOW, crls=world.revocations)


def leaf_of(world: World, **change: object) -> Certificate:
    key = change.pop("key", world.get("eum").private_key)
    return reissue(world.euiccs()[0].certificate, key, **change)  # type: ignore[arg-type]  # passed on


def eum_of(world: World, **change: object) -> Certificate:
    key = change.pop("key", world.get("ci").private_key)
    return reissue(world.get("eum").certificate, key, **change)  # type: ignore[arg-type]  # passed on


NO_CA = [(x509.BasicConstraints(False, None), True)]
OTHER_AKI = [(x509.AuthorityKeyIdentifier(bytes(20), None, None), False)]

CASES: dict[str, tuple[dict[str, object], dict[str, object], str, int]] = {
    "forged EUM above an expired leaf": ({"key": STRANGER}, {"dates": PAST}, "bad_signature", 1),
    "expired EUM above a forged leaf": ({"dates": PAST}, {"key": STRANGER}, "expired", 1),
    "EUM forged and expired": ({"key": STRANGER, "dates": PAST}, {}, "bad_signature", 1),
    "EUM forged and no CA": ({"key": STRANGER, "put": NO_CA}, {}, "bad_signature", 1),
    "EUM of another issuer and forged": (
        {"key": STRANGER, "issuer": name_of(cn="x")},
        {},
        "issuer_name_mismatch",
        1,
    ),
    "EUM by another algorithm and forged": (
        {"key": STRANGER, "algorithm": hashes.SHA384()},
        {},
        "bad_signature_algorithm",
        1,
    ),
    "leaf forged and not yet valid": ({}, {"key": STRANGER, "dates": FUTURE}, "bad_signature", 0),
    "leaf forged and a CA": (
        {},
        {"key": STRANGER, "put": [(x509.BasicConstraints(True, None), True)]},
        "bad_signature",
        0,
    ),
    "leaf of another issuer and forged": (
        {},
        {"key": STRANGER, "issuer": name_of(cn="x")},
        "issuer_name_mismatch",
        0,
    ),
    "leaf naming another key and expired": ({}, {"put": OTHER_AKI, "dates": PAST}, "aki_mismatch", 0),
    "forged EUM above a leaf of another issuer": (
        {"key": STRANGER},
        {"issuer": name_of(cn="x")},
        "bad_signature",
        1,
    ),
    "both forged": ({"key": STRANGER}, {"key": STRANGER}, "bad_signature", 1),
}


@pytest.mark.parametrize(("eum", "leaf", "verdict", "place"), CASES.values(), ids=list(CASES))
def test_the_fault_that_is_met_first_is_the_verdict(
    world: World, eum: dict[str, object], leaf: dict[str, object], verdict: str, place: int
) -> None:
    validation = judged(world, leaf_of(world, **leaf), eum_of(world, **eum))
    assert (validation.verdict.value, validation.at) == (verdict, place)


def _with_broken_constraints(original: Certificate) -> bytes:
    broken = tlv(0x30, tlv(0x06, bytes.fromhex("551d13")), b"\x01\x01\xff", tlv(0x04, b"\x30\x05\x01"))
    return with_extensions(original, lambda content: content + broken)


@pytest.mark.parametrize(
    ("sign", "is_malformed"),
    [(lambda world: world.get("eum").private_key, True), (lambda _: STRANGER, False)],
)
def test_an_unreadable_extension_counts_only_under_a_good_signature(
    world: World, sign: Callable[[World], ec.EllipticCurvePrivateKey], is_malformed: bool
) -> None:
    leaf = Certificate(resign(_with_broken_constraints(world.euiccs()[0].certificate), sign(world)))
    eum = world.get("eum").certificate
    if is_malformed:
        with pytest.raises(Malformed) as caught:
            judged(world, leaf, eum)
        assert (caught.value.path or "").startswith("path[0]")
    else:
        assert judged(world, leaf, eum).verdict == "bad_signature"


def test_a_forged_certificate_above_hides_an_unreadable_one_below(world: World) -> None:
    leaf = Certificate(
        resign(_with_broken_constraints(world.euiccs()[0].certificate), world.get("eum").private_key)
    )
    validation = judged(world, leaf, eum_of(world, key=STRANGER))
    assert (validation.verdict.value, validation.at) == ("bad_signature", 1)


def test_a_point_off_the_curve_is_met_before_the_signature_of_its_own_certificate(world: World) -> None:
    euicc = world.euiccs()[0].certificate
    bent = euicc.tbs.replace(euicc.point[-32:], bytes(31) + b"\x01")
    for eum, raises in ((world.get("eum").certificate, True), (eum_of(world, key=STRANGER), False)):
        leaf = Certificate(resign(bent, STRANGER))
        if raises:
            with pytest.raises(Malformed) as caught:
                judged(world, leaf, eum)
            assert caught.value.code == "pki.point_not_on_curve"
        else:
            assert judged(world, leaf, eum).verdict == "bad_signature"
