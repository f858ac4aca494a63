"""The cache of chains: same answers, dates and lists looked at every time, bounded."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.pki.forge import NOW, make_world, reissue

from keim.errors import Malformed
from keim.pki import Certificate, Curve, Revocations, Role, Validation, Verdict, validate
from keim.pki.cache import ChainCache
from keim.pki.world import World, revoke


class Counted(ChainCache):
    """Counts the checks of what was not remembered."""

    whole = 0

    def _judge(self, *args: object, **options: object) -> Validation:
        self.whole += 1
        return super()._judge(*args, **options)  # type: ignore[arg-type]  # passed on as it came


def ask(
    cache: ChainCache, world: World, *, now: datetime | None = NOW, index: int = 0, **options: object
) -> Validation:
    euicc = world.euiccs()[index]
    above = [certificate.der for certificate in euicc.chain]
    asked: dict[str, Any] = {"role": Role.EUICC, "now": now, **options}
    return cache.validate(euicc.certificate.der, above, world.trust, **asked)


def test_second_time_needs_no_whole_check(world: World) -> None:
    cache = Counted()
    first, second = ask(cache, world), ask(cache, world)
    assert first is second
    assert first.ok
    assert cache.whole == 1


def test_validity_is_looked_at_every_time() -> None:
    world = make_world()
    cache = Counted()
    assert ask(cache, world).ok
    assert ask(cache, world, now=NOW + timedelta(days=20_000)).verdict is Verdict.EXPIRED
    assert ask(cache, world, now=NOW - timedelta(days=1)).verdict is Verdict.NOT_YET_VALID
    assert ask(cache, world, now=None).ok
    assert ask(cache, world).ok


def test_current_list_is_looked_at_every_time(world: World) -> None:
    cache = Counted()
    assert ask(cache, world, crls=world.revocations).ok
    revoked = revoke(world, [world.get("eum").certificate.serial], curve=Curve.NIST, now=NOW)
    assert ask(cache, world, crls=revoked.revocations).verdict is Verdict.REVOKED
    assert ask(cache, world, crls=Revocations()).ok
    assert ask(cache, world, crls=revoked.crls).verdict is Verdict.REVOKED


@pytest.mark.parametrize(
    "options",
    [{"eid": "8" * 32}, {"server_name": "x.example"}, {"as_client": True}, {"server_oid": "2.999.1"}],
)
def test_what_is_expected_is_part_of_the_question(world: World, options: dict[str, object]) -> None:
    cache = Counted()
    ask(cache, world)
    ask(cache, world, **options)
    assert cache.whole == 2


def test_other_roots_are_another_question(world: World) -> None:
    cache = Counted()
    assert ask(cache, world).ok
    stranger = make_world()
    euicc = world.euiccs()[0]
    above = [c.der for c in euicc.chain]
    refused = cache.validate(euicc.certificate.der, above, stranger.trust, role=Role.EUICC, now=NOW)
    assert refused.verdict is Verdict.UNTRUSTED_ROOT


def test_changed_chain_is_no_hit(world: World) -> None:
    cache = Counted()
    assert ask(cache, world).ok
    euicc, eum = world.euiccs()[0], world.get("eum")
    whole = euicc.certificate.der + eum.certificate.der
    with pytest.raises(Malformed):
        cache.validate(whole, [], world.trust, role=Role.EUICC, now=NOW)
    forged = reissue(euicc.certificate, ec.generate_private_key(ec.SECP256R1()))
    verdict = cache.validate(forged.der, [eum.certificate.der], world.trust, role=Role.EUICC, now=NOW).verdict
    assert verdict is Verdict.BAD_SIGNATURE


def test_refusals_are_not_remembered(world: World) -> None:
    cache = Counted()
    for _ in range(2):
        assert not ask(cache, world, eid="8" * 32).ok
    assert cache.whole == 2
    assert len(cache) == 0


def test_size_is_bounded_and_the_longest_unused_goes_first() -> None:
    world = make_world()
    eum = world.get("eum")
    leaves = [reissue(world.euiccs()[0].certificate, eum.private_key).der for _ in range(4)]
    assert len(set(leaves)) == 4, "ECDSA signatures differ each time"
    cache = Counted(size=3)

    def see(leaf: bytes) -> None:
        assert cache.validate(leaf, [eum.certificate.der], world.trust, role=Role.EUICC, now=NOW).ok

    for leaf in leaves[:3]:
        see(leaf)
    see(leaves[0])
    see(leaves[3])
    assert len(cache) == 3
    whole = cache.whole
    see(leaves[0])
    assert cache.whole == whole, "it was used a moment ago"
    see(leaves[1])
    assert cache.whole == whole + 1


def test_the_path_above_a_leaf_is_judged_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ChainCache()
    assert ask(cache, world).ok
    verified: list[Certificate] = []
    genuine = Certificate.is_signed_by

    def watched(self: Certificate, issuer: Certificate) -> bool:
        verified.append(self)
        return genuine(self, issuer)

    monkeypatch.setattr(Certificate, "is_signed_by", watched)
    other = ask(cache, world, index=1)
    assert other.ok
    assert [c.der for c in other.path] == [
        world.euiccs()[1].certificate.der, world.get("eum").certificate.der, world.roots[0].der,
    ]  # fmt: skip
    assert verified == [world.euiccs()[1].certificate]


def _leaves(world: World) -> dict[str, Certificate]:
    euicc, eum = world.euiccs()[1], world.get("eum")
    strange = ec.generate_private_key(ec.SECP256R1())
    off_curve = bytearray(euicc.certificate.der)
    off_curve[off_curve.index(euicc.certificate.point) + 40] ^= 1
    renamed = euicc.certificate.der.replace(euicc.certificate.names.serial_number.encode(), b"7" * 32)  # type: ignore[union-attr]  # an eUICC's has one
    return {
        "good": euicc.certificate,
        "strange signature": reissue(euicc.certificate, strange),
        "no key usage": reissue(euicc.certificate, eum.private_key, drop=[x509.OID_KEY_USAGE]),
        "no policies": reissue(euicc.certificate, eum.private_key, drop=[x509.OID_CERTIFICATE_POLICIES]),
        "no aki": reissue(euicc.certificate, eum.private_key, drop=[x509.OID_AUTHORITY_KEY_IDENTIFIER]),
        "off its curve": Certificate(bytes(off_curve)),
        "out of the range": Certificate(renamed),
        "an authority": eum.certificate,
    }


def said(*chain: Any, **asked: Any) -> Validation | tuple[str, str, str]:
    *given, judge = chain
    try:
        verdict: Validation = judge(*given, **asked)
    except Malformed as error:
        return error.code, error.path, error.message
    return verdict


@pytest.mark.parametrize("moment", [NOW, None, NOW - timedelta(days=1), NOW + timedelta(days=20_000)])
@pytest.mark.parametrize("is_revoked", [False, True])
def test_another_leaf_under_a_judged_path_has_the_verdict_of_the_whole_check(
    world: World, moment: datetime | None, is_revoked: bool
) -> None:
    eum = world.get("eum").certificate
    crls = world.crls
    if is_revoked:
        crls = revoke(world, [world.euiccs()[1].certificate.serial], curve=Curve.NIST, now=NOW).crls
    for name, leaf in _leaves(world).items():
        cache = ChainCache()
        assert ask(cache, world).ok
        asked: dict[str, Any] = {"role": Role.EUICC, "now": moment, "crls": crls}
        question = partial(said, leaf.der, [eum.der], world.trust, **asked)
        assert question(cache.validate) == question(validate), name
