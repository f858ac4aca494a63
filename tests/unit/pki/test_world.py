"""Issuing by profile, whole worlds, rotation and revocation."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.pki.forge import NOW, make_world

from keim.errors import Refused
from keim.pki import Curve, Role, Verdict, validate
from keim.pki import extensions as ext
from keim.pki.describe import describe, role_of
from keim.pki.issue import Particulars, issue, particulars_of
from keim.pki.profiles import PROFILES
from keim.pki.roles import LEAF_ROLES, POLICY_OIDS
from keim.pki.world import Variant, World, add, example_eids, generate_key, revoke, rotate


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize("curve", Curve)
def test_every_chain_of_a_new_world_is_accepted(variant: Variant, curve: Curve) -> None:
    world = make_world((curve,), variant=variant)
    leaves = [c for c in world.credentials if c.role in LEAF_ROLES]
    assert {c.role for c in leaves} == LEAF_ROLES
    for c in leaves:
        validation = validate(c.certificate, c.chain, world.trust, role=c.role, now=NOW, crls=world.crls)
        assert validation.verdict is Verdict.OK, (c.name, validation.reason)
        assert validation.root == world.get("ci").certificate


@pytest.mark.parametrize(
    ("variant", "depth"), [(Variant.O, 3), (Variant.OV3, 3), (Variant.A, 4), (Variant.B, 4), (Variant.C, 5)]
)
def test_variants_have_the_depth_of_their_trees(variant: Variant, depth: int) -> None:
    world = make_world(variant=variant)
    euicc = world.euiccs()[0]
    assert len(euicc.chain) + 2 == depth
    oid = POLICY_OIDS[Role.EUICC][0 if variant is Variant.O else -1]
    assert euicc.certificate.policies == (oid.content,)
    assert (world.get("eum").certificate.constraints.eins is not None) == (variant is not Variant.O)


@pytest.mark.parametrize("role", Role)
def test_issued_certificate_follows_its_profile(world: World, role: Role) -> None:
    found = world.of_role(role) or make_world(variant=Variant.C).of_role(role)
    certificate = found[0].certificate
    profile = PROFILES[role]
    assert certificate.version == 3
    assert certificate.key_usage == profile.key_usage
    assert ext.is_critical(certificate.extensions, ext.KEY_USAGE)
    assert certificate.is_ca == profile.is_ca
    assert (certificate.ski is not None) == profile.has_ski
    assert (certificate.aki is not None) == (role is not Role.CI)
    assert bool(certificate.policies) == profile.has_policy
    assert ext.is_critical(certificate.extensions, ext.CERTIFICATE_POLICIES) == (
        profile.has_policy and profile.is_policy_critical
    )
    assert len(certificate.alternative_names.registered_ids) == profile.has_registered_id
    assert bool(certificate.alternative_names.dns_names) == profile.has_dns_names
    assert (ext.EXTENDED_KEY_USAGE in certificate.extensions) == profile.has_dns_names
    assert bool(ext.crl_addresses(certificate.extensions)) == profile.has_crl_addresses
    labels = [label for label in certificate.names.known if label in profile.subject]
    assert labels == [label for label in profile.subject if label in labels]
    assert role_of(certificate) is role


def test_dp_auth_and_dp_pb_share_their_registered_id(world: World) -> None:
    ids = {
        world.get(name).certificate.alternative_names.registered_ids
        for name in ("dp-auth", "dp-pb", "dp-tls")
    }
    assert ids == {("2.999.10",)}


def test_euicc_certificate_is_endless_and_names_its_eid(world: World) -> None:
    euicc = world.euiccs()[0]
    assert euicc.certificate.not_after == "99991231235959"
    assert euicc.eid == example_eids(1)[0]
    assert euicc.eid.has_valid_check_digits
    document = describe(euicc.certificate, now=NOW)
    assert document["eid"] == euicc.eid
    assert document["state"] == "valid"
    assert describe(world.get("eum").certificate)["eins"] == ["89880000"]


@pytest.mark.parametrize(
    ("role", "issuer", "particulars", "code"),
    [
        (Role.EUICC, "eum", Particulars(subject={"CN": "x", "O": "keim Test EUM"}), "pki.incomplete_request"),
        (Role.EUICC, "eum", Particulars(subject={"CN": "x"}, eid="123"), "request.invalid_eid"),
        (Role.EUICC, "ci", Particulars(subject={"CN": "x"}, eid="8" * 32), "pki.wrong_issuer"),
        (Role.EUICC, "dp-auth", Particulars(subject={"CN": "x"}, eid="8" * 32), "pki.wrong_issuer"),
        (Role.DP_AUTH, "eum", Particulars(subject={"CN": "x"}, oid="2.999.1"), "pki.wrong_issuer"),
        (Role.DP_AUTH, "ci", Particulars(subject={"CN": "x"}), "pki.incomplete_request"),
        (Role.DP_TLS, "ci", Particulars(subject={"CN": "x"}, oid="2.999.1"), "pki.incomplete_request"),
        (Role.DP_AUTH, "ci", Particulars(oid="2.999.1"), "pki.incomplete_request"),
        (Role.DP_AUTH, "ci", Particulars(subject={"L": "x"}, oid="2.999.1"), "pki.incomplete_request"),
        (Role.DP_AUTH, "ci", Particulars(subject={"CN": "x"}, oid="3.1"), "request.invalid_oid"),
        (
            Role.DP_AUTH,
            "ci",
            Particulars(subject={"CN": "x"}, oid="2.999.1", days=0),
            "pki.incomplete_request",
        ),
        (Role.EUM, "ci", Particulars(subject={"CN": "x", "O": "y"}, oid="2.999.1"), "pki.incomplete_request"),
        (
            Role.EUM,
            "ci",
            Particulars(subject={"CN": "x", "O": "y"}, oid="2.999.1", eins=("89A",)),
            "pki.incomplete_request",
        ),
        (
            Role.DP_TLS,
            "ci",
            Particulars(subject={"CN": "x"}, oid="2.999.1", dns_names=("ü.example",)),
            "pki.incomplete_request",
        ),
        (
            Role.DP_TLS,
            "ci",
            Particulars(
                subject={"CN": "x"}, oid="2.999.1", dns_names=("a.example",), ip_addresses=("1.2.3",)
            ),
            "pki.incomplete_request",
        ),
        (Role.EIM_SIGN, "ci", Particulars(subject={"C": "Germany", "CN": "x"}), "pki.incomplete_request"),
    ],
)
def test_what_makes_no_sense_is_not_issued(
    world: World, role: Role, issuer: str, particulars: Particulars, code: str
) -> None:
    above = world.get(issuer)
    with pytest.raises(Refused) as caught:
        add("x", role, above, particulars, now=NOW)
    assert caught.value.code == code


def test_one_chain_has_one_curve(world: World) -> None:
    key = ec.generate_private_key(ec.BrainpoolP256R1())
    particulars = Particulars(subject={"CN": "x"}, oid="2.999.1")
    with pytest.raises(Refused) as caught:
        issue(Role.DP_AUTH, key.public_key(), particulars, now=NOW, issuer=world.get("ci").authority)
    assert caught.value.code == "pki.mixed_curve"


@pytest.mark.parametrize(
    "name", ["dp-tls", "dp-auth", "eim-sign", "eim-tls", "eum", "euicc/" + example_eids(1)[0]]
)
@pytest.mark.parametrize("keep_key", [False, True])
def test_rotation_makes_the_same_certificate_anew_and_keeps_the_old(
    world: World, name: str, keep_key: bool
) -> None:
    later = NOW + timedelta(days=100)
    after = rotate(world, name, now=later, keep_key=keep_key)
    old, new = world.get(name), after.get(name)
    assert after.previous == (old,)
    assert len(after.credentials) == len(world.credentials)
    assert (new.certificate.spki == old.certificate.spki) == keep_key
    assert new.certificate.serial != old.certificate.serial
    assert new.certificate.valid_from == later
    assert particulars_of(new.certificate, new.role) == particulars_of(old.certificate, old.role)
    if new.role in LEAF_ROLES:
        for c in (old, new):
            assert validate(c.certificate, c.chain, after.trust, role=c.role, now=later).ok


def test_children_of_a_rotated_ci_stay_trusted_and_new_ones_hang_under_the_new_one(world: World) -> None:
    after = rotate(world, "ci", now=NOW)
    assert len(after.roots) == len(world.roots) + 1
    old = after.get("dp-auth")
    assert validate(old.certificate, old.chain, after.trust, role=old.role, now=NOW).ok
    new = rotate(after, "dp-auth", now=NOW).get("dp-auth")
    validation = validate(new.certificate, new.chain, after.trust, role=new.role, now=NOW)
    assert validation.root == after.get("ci").certificate


def test_rotated_eum_certifies_new_euiccs_and_the_old_ones_keep_their_chain(world: World) -> None:
    after = rotate(world, "eum", now=NOW)
    again = rotate(after, world.euiccs()[0].name, now=NOW)
    new = again.get(world.euiccs()[0].name)
    assert new.chain == (after.get("eum").certificate,)
    assert validate(new.certificate, new.chain, world.trust, role=new.role, now=NOW).ok
    assert not validate(
        new.certificate, [world.get("eum").certificate], world.trust, role=new.role, now=NOW
    ).ok


def test_lists_grow_and_their_number_rises(world: World) -> None:
    first = revoke(world, [5], curve=Curve.NIST, now=NOW + timedelta(days=1))
    second = revoke(first, [7], curve=Curve.NIST, now=NOW + timedelta(days=2))
    crl = second.crls[-1]
    assert [c.number for c in (first.crls[-1], crl)] == [2, 3]
    assert sorted(crl.revoked) == [5, 7]
    assert crl.revoked_at(5) == NOW + timedelta(days=1), "what was revoked before keeps its date"
    assert len(second.crls) == len(world.crls)


def test_private_keys_show_in_no_repr(world: World) -> None:
    credential = world.get("dp-auth")
    scalar = credential.private_key.private_numbers().private_value
    shown = repr(credential) + repr(world) + repr(credential.authority)
    assert str(scalar) not in shown
    assert f"{scalar:x}" not in shown.lower()


def test_world_of_given_keys_has_those_keys() -> None:
    keys = {}

    def make_key(name: str, curve: Curve) -> ec.EllipticCurvePrivateKey:
        keys[name] = generate_key(name, curve)
        return keys[name]

    from keim.pki.world import WorldPlan, create_world

    world = create_world(WorldPlan(eids=example_eids(1)), now=NOW, make_key=make_key)
    assert {c.name: c.key for c in world.credentials} == keys
