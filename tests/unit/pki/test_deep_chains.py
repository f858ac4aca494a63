"""Rules that only deeper trees, pinned certificates and editions of a root show."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from tests.unit.pki.forge import NOW, make_world, name_of, reissue
from tests.unit.pki.test_refusals import policy, usage

from keim.pki import Certificate, Role, TrustStore, Verdict, validate
from keim.pki.codes import es9_code
from keim.pki.world import Variant, World


@pytest.fixture(scope="module")
def deep() -> World:
    return make_world(variant=Variant.B)


def verdict(world: World, role: Role, *above: Certificate, leaf: Certificate | None = None) -> str:
    credential = world.of_role(role)[0]
    return validate(leaf or credential.certificate, above, world.trust, role=role, now=NOW).verdict.value


def sub_ca(world: World, *put: tuple[x509.ExtensionType, bool]) -> Certificate:
    return reissue(world.get("ci-sub-ca").certificate, world.get("ci").private_key, put=put)


def constraint(*names: x509.GeneralName, excluded: bool = False) -> tuple[x509.ExtensionType, bool]:
    trees = list(names)
    return (x509.NameConstraints(None, trees) if excluded else x509.NameConstraints(trees, None)), True


@pytest.mark.parametrize(
    ("names", "excluded", "expected"),
    [
        (["example.com", "localhost"], False, "ok"),
        ([""], False, "ok"),
        (["example.com"], False, "name_mismatch"),
        (["ample.com", "localhost"], False, "name_mismatch"),
        (["smdpplus.example.com"], True, "name_mismatch"),
        (["other.example.com"], True, "ok"),
    ],
)
def test_dns_constraints_of_an_authority_bind_its_servers(
    deep: World, names: list[str], excluded: bool, expected: str
) -> None:
    put = constraint(*map(x509.DNSName, names), excluded=excluded)
    assert verdict(deep, Role.DP_TLS, sub_ca(deep, put)) == expected


@pytest.mark.parametrize("role", [Role.DP_TLS, Role.EIM_SIGN])
def test_constraint_of_a_form_that_is_not_judged_is_not_passed_over(deep: World, role: Role) -> None:
    put = constraint(x509.DirectoryName(name_of(o="keim")))
    assert verdict(deep, role, sub_ca(deep, put)) == "unknown_critical_extension"
    assert verdict(deep, role, sub_ca(deep, (put[0], False))) == "ok"


def test_authorities_stand_in_the_order_of_the_tree(deep: World) -> None:
    eum, ci_sub = deep.get("eum"), deep.get("ci-sub-ca")
    assert verdict(deep, Role.EUICC, eum.certificate, ci_sub.certificate) == "ok"
    high_eum = sub_ca(deep, (policy("2.23.146.1.2.1.2"), True))
    low_sub = reissue(eum.certificate, ci_sub.private_key, put=[(policy("2.23.146.1.2.1.0.0"), True)])
    assert verdict(deep, Role.EUICC, low_sub, high_eum) == "wrong_policy"


def test_euicc_under_sub_authorities_without_an_eum_has_no_trusted_root(deep: World) -> None:
    leaf = reissue(
        deep.euiccs()[0].certificate,
        deep.get("ci-sub-ca").private_key,
        issuer=deep.get("ci-sub-ca").certificate.x509.subject,
        put=[(x509.AuthorityKeyIdentifier(deep.get("ci-sub-ca").certificate.ski, None, None), False)],
    )
    validation = validate(leaf, deep.get("dp-tls").chain, deep.trust, role="euicc", now=NOW)
    assert validation.verdict is Verdict.UNTRUSTED_ROOT
    assert es9_code(validation) == ("8.1.3", "6.1")


def test_eins_of_the_v3_extension_bind_as_those_of_the_name_constraint_do(deep: World) -> None:
    eum, euicc = deep.get("eum"), deep.euiccs()[0].certificate
    assert eum.certificate.constraints.eins == ("89880000",)
    leaf = reissue(euicc, eum.private_key, subject=name_of(o="keim Test EUM", serial="89880001" + "0" * 24))
    assert verdict(deep, Role.EUICC, *deep.euiccs()[0].chain, leaf=leaf) == "eid_out_of_range"
    leaf = reissue(euicc, eum.private_key, subject=name_of(o="Other", serial="89880000" + "0" * 24))
    assert verdict(deep, Role.EUICC, *deep.euiccs()[0].chain, leaf=leaf) == "organization_mismatch"


def test_key_usage_of_the_end_certificate_is_critical(world: World) -> None:
    leaf = reissue(
        world.get("dp-auth").certificate,
        world.get("ci").private_key,
        put=[(usage(digital_signature=True), False)],
    )
    assert verdict(world, Role.DP_AUTH, leaf=leaf) == "wrong_key_usage"


def test_eum_that_names_no_issuer_is_an_eum_fault(world: World) -> None:
    eum = reissue(
        world.get("eum").certificate,
        world.get("ci").private_key,
        drop=[ExtensionOID.AUTHORITY_KEY_IDENTIFIER],
    )
    validation = validate(world.euiccs()[0].certificate, [eum], world.trust, role="euicc", now=NOW)
    assert validation.verdict is Verdict.UNTRUSTED_ROOT
    assert es9_code(validation) == ("8.1.2", "6.1")


@pytest.mark.parametrize("role", [Role.EIM_SIGN, Role.EIM_TLS])
def test_pinned_eim_certificate_is_its_own_anchor(world: World, role: Role) -> None:
    pinned = world.of_role(role)[0].certificate
    assert validate(pinned, (), [pinned], role=role, now=NOW).ok
    late = validate(pinned, (), [pinned], role=role, now=NOW + timedelta(days=9000))
    assert late.verdict is Verdict.EXPIRED


def test_certificate_of_a_gsma_role_is_no_anchor_for_itself(world: World) -> None:
    pinned = world.get("dp-tls").certificate
    assert validate(pinned, (), [pinned], role="dp-tls", now=NOW).verdict is Verdict.UNTRUSTED_ROOT


def test_edition_of_the_root_that_is_valid_is_chosen(world: World) -> None:
    ci = world.get("ci")
    ended = reissue(ci.certificate, ci.private_key, dates=(NOW - timedelta(days=9), NOW - timedelta(days=1)))
    leaf = world.get("dp-auth").certificate
    for roots in ([ended, ci.certificate], [ci.certificate, ended]):
        assert validate(leaf, (), TrustStore(roots), role="dp-auth", now=NOW).root == ci.certificate


@pytest.mark.parametrize("role", [Role.EIM_SIGN, Role.EIM_TLS])
def test_eim_may_hang_under_any_authority_whose_constraints_are_understood(deep: World, role: Role) -> None:
    ci, sub = deep.get("ci"), deep.get("ci-sub-ca").certificate
    no_policy = [ExtensionOID.CERTIFICATE_POLICIES]
    root = reissue(ci.certificate, ci.private_key, drop=no_policy)
    leaf = deep.of_role(role)[0].certificate
    named = constraint(x509.DirectoryName(name_of(c="DE")))
    for put, expected in (((), "ok"), ((named,), "unknown_critical_extension")):
        above = reissue(sub, ci.private_key, drop=no_policy, put=put)
        assert validate(leaf, [above], [root], role=role, now=NOW).verdict.value == expected
    other = deep.get("dp-tls").certificate
    assert validate(other, [sub], [root], role="dp-tls", now=NOW).verdict is Verdict.WRONG_POLICY
