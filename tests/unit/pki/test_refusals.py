"""Every refusal of crypto §1.5 on chains of our own: one defect each, made on the spot, one verdict each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from tests.unit.pki.forge import NOW, name_of, reissue, resign, with_extensions

from keim.errors import Malformed, Untrusted
from keim.pki import Certificate, Curve, Role, make_crl, require, validate
from keim.pki.roles import LEAF_ROLES
from keim.pki.world import World

_NO_BASIC_KEY_USAGE = {
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}


def usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        key_agreement=not (digital_signature or key_cert_sign),
        **_NO_BASIC_KEY_USAGE,
    )


def policy(oid: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(oid), None)])


@dataclass
class Chain:
    """A chain of the world, in parts that a case may change."""

    world: World
    role: Role
    curve: Curve = Curve.NIST
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        credential = self.world.of_role(self.role, self.curve)[0]
        self.leaf = credential.certificate
        self.above = list(credential.chain)
        self.roots = list(self.world.roots)
        self.ci = self.world.get("ci", self.curve)
        self.eum = self.world.get("eum", self.curve)

    @property
    def issuer_key(self) -> ec.EllipticCurvePrivateKey:
        return (self.eum if self.role is Role.EUICC else self.ci).private_key

    def change_leaf(self, **changes: Any) -> None:
        self.leaf = reissue(self.leaf, self.issuer_key, **changes)

    def change_eum(self, **changes: Any) -> None:
        self.above = [reissue(self.eum.certificate, self.ci.private_key, **changes)]

    def change_root(self, **changes: Any) -> None:
        self.roots = [reissue(self.ci.certificate, self.ci.private_key, **changes)]

    def verdict(self) -> str:
        options = {"now": NOW} | self.extra
        return validate(self.leaf, self.above, self.roots, role=self.role, **options).verdict.value


def other_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def crl_of(chain: Chain, serial: int, **changes: Any) -> Any:
    options: dict[str, Any] = {
        "number": 1,
        "now": NOW - timedelta(days=1),
        "next_update": NOW + timedelta(days=9),
    }
    key = changes.pop("key", chain.ci.private_key)
    return make_crl(chain.ci.certificate, key, {serial: NOW - timedelta(days=2)}, **(options | changes))


def set_crls(chain: Chain, *crls: Any) -> None:
    chain.extra["crls"] = crls


def swap_signature(chain: Chain) -> None:
    chain.leaf = Certificate(resign(chain.leaf.tbs, other_key()))


def other_inner_algorithm(chain: Chain) -> None:
    sha384 = bytes.fromhex("300a06082a8648ce3d040303")
    chain.leaf = Certificate(resign(chain.leaf.tbs, chain.issuer_key, sha384))


def sign_with_sha384(chain: Chain) -> None:
    chain.change_leaf(algorithm=hashes.SHA384())


def on_p384(chain: Chain) -> None:
    chain.change_leaf(public_key=other_key(ec.SECP384R1()).public_key())


def as_rsa(chain: Chain) -> None:
    chain.change_leaf(public_key=rsa.generate_private_key(65537, 2048).public_key())


def on_other_curve(chain: Chain) -> None:
    other = Curve.NIST if chain.curve is Curve.BRAINPOOL else Curve.BRAINPOOL
    chain.change_leaf(public_key=other_key(other.parameters).public_key())


def under_length(chain: Chain) -> None:
    """An authority below the EUM, whose path length is 0."""
    key = other_key(chain.curve.parameters)
    middle = reissue(
        chain.eum.certificate,
        chain.eum.private_key,
        subject=name_of(c="DE", o="keim Test EUM", cn="below"),
        issuer=chain.eum.certificate.x509.subject,
        public_key=key.public_key(),
        put=[
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier(chain.eum.certificate.ski, None, None), False),
            (policy("2.23.146.1.2.1.0.0.0.0"), True),
        ],
    )
    chain.leaf = reissue(
        chain.leaf,
        key,
        issuer=middle.x509.subject,
        put=[(x509.AuthorityKeyIdentifier(middle.ski, None, None), False)],
    )
    chain.above = [middle, chain.eum.certificate]


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
SERVER_AND_CLIENT = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
OIDS = ExtensionOID
DAY = timedelta(days=1)

Case = tuple[str, Role, Callable[[Chain], object], str]
EUICC, TLS, AUTH = Role.EUICC, Role.DP_TLS, Role.DP_AUTH
CASES: list[Case] = [
    ("nothing_changed", EUICC, lambda c: None, "ok"),
    ("no_roots", EUICC, lambda c: c.roots.clear(), "untrusted_root"),
    ("no_eum", EUICC, lambda c: c.above.clear(), "untrusted_root"),
    ("no_aki", AUTH, lambda c: c.change_leaf(drop=[OIDS.AUTHORITY_KEY_IDENTIFIER]), "untrusted_root"),
    ("root_of_the_other_curve_only", AUTH, lambda c: c.roots.remove(c.ci.certificate), "untrusted_root"),
    ("p384_key", AUTH, on_p384, "unsupported_curve"),
    ("rsa_key", AUTH, as_rsa, "unsupported_curve"),
    ("key_on_the_other_curve", AUTH, on_other_curve, "mixed_curve"),
    (
        "issuer_named_otherwise",
        AUTH,
        lambda c: c.change_leaf(issuer=name_of(cn="other")),
        "issuer_name_mismatch",
    ),
    (
        "aki_of_somebody_else",
        EUICC,
        lambda c: c.change_leaf(put=[(x509.AuthorityKeyIdentifier(b"\x01" * 20, None, None), False)]),
        "aki_mismatch",
    ),
    ("sha384", AUTH, sign_with_sha384, "bad_signature_algorithm"),
    ("outer_algorithm_differs", AUTH, other_inner_algorithm, "bad_signature_algorithm"),
    ("signed_by_another_key", AUTH, swap_signature, "bad_signature"),
    ("from_tomorrow", AUTH, lambda c: c.change_leaf(dates=(NOW + DAY, NOW + 9 * DAY)), "not_yet_valid"),
    ("until_yesterday", AUTH, lambda c: c.change_leaf(dates=(NOW - 9 * DAY, NOW - DAY)), "expired"),
    ("eum_until_yesterday", EUICC, lambda c: c.change_eum(dates=(NOW - 9 * DAY, NOW - DAY)), "expired"),
    ("root_until_yesterday", AUTH, lambda c: c.change_root(dates=(NOW - 9 * DAY, NOW - DAY)), "expired"),
    (
        "expired_but_the_judge_has_no_clock",
        AUTH,
        lambda c: (c.change_leaf(dates=(NOW - 9 * DAY, NOW - DAY)), c.extra.update(now=None)),
        "ok",
    ),
    ("revoked", AUTH, lambda c: set_crls(c, crl_of(c, c.leaf.serial)), "revoked"),
    ("eum_revoked", EUICC, lambda c: set_crls(c, crl_of(c, c.eum.certificate.serial)), "revoked"),
    ("another_one_revoked", AUTH, lambda c: set_crls(c, crl_of(c, c.leaf.serial + 1)), "ok"),
    (
        "revoked_by_a_stale_list",
        AUTH,
        lambda c: set_crls(c, crl_of(c, c.leaf.serial, now=NOW - 9 * DAY, next_update=NOW - DAY)),
        "revoked",
    ),
    (
        "revoked_by_a_list_of_tomorrow",
        AUTH,
        lambda c: set_crls(c, crl_of(c, c.leaf.serial, now=NOW + DAY)),
        "ok",
    ),
    (
        "revoked_by_a_forged_list",
        AUTH,
        lambda c: set_crls(c, crl_of(c, c.leaf.serial, key=other_key())),
        "ok",
    ),
    ("unknown_critical", AUTH, lambda c: c.change_leaf(put=[(UNKNOWN, True)]), "unknown_critical_extension"),
    ("unknown_but_not_critical", AUTH, lambda c: c.change_leaf(put=[(UNKNOWN, False)]), "ok"),
    (
        "unknown_critical_in_eum",
        EUICC,
        lambda c: c.change_eum(put=[(UNKNOWN, True)]),
        "unknown_critical_extension",
    ),
    ("eum_without_constraints", EUICC, lambda c: c.change_eum(drop=[OIDS.BASIC_CONSTRAINTS]), "not_a_ca"),
    (
        "eum_is_ca_but_not_critical",
        EUICC,
        lambda c: c.change_eum(put=[(x509.BasicConstraints(True, 0), False)]),
        "not_a_ca",
    ),
    ("eum_may_not_sign", EUICC, lambda c: c.change_eum(put=[(usage(), True)]), "wrong_key_usage"),
    (
        "eum_usage_not_critical",
        EUICC,
        lambda c: c.change_eum(put=[(usage(key_cert_sign=True), False)]),
        "wrong_key_usage",
    ),
    ("too_deep", EUICC, under_length, "path_length"),
    ("far_too_many", EUICC, lambda c: c.above.extend([c.eum.certificate] * 8), "path_length"),
    (
        "eum_as_server",
        EUICC,
        lambda c: c.change_eum(put=[(policy("2.23.146.1.2.1.4"), True)]),
        "wrong_policy",
    ),
    (
        "root_is_no_ci",
        AUTH,
        lambda c: c.change_root(put=[(policy("2.23.146.1.2.1.2"), True)]),
        "wrong_policy",
    ),
    (
        "server_of_another_role",
        AUTH,
        lambda c: c.change_leaf(put=[(policy("2.23.146.1.2.1.5"), True)]),
        "wrong_policy",
    ),
    (
        "v3_number_of_the_role",
        AUTH,
        lambda c: c.change_leaf(put=[(policy("2.23.146.1.2.1.0.0.1.1"), True)]),
        "ok",
    ),
    ("no_policy", EUICC, lambda c: c.change_leaf(drop=[OIDS.CERTIFICATE_POLICIES]), "wrong_policy"),
    (
        "policy_not_critical",
        EUICC,
        lambda c: c.change_leaf(put=[(policy("2.23.146.1.2.1.1"), False)]),
        "policy_not_critical",
    ),
    (
        "tls_policy_critical_or_not",
        TLS,
        lambda c: c.change_leaf(put=[(policy("2.23.146.1.2.1.3"), True)]),
        "ok",
    ),
    (
        "leaf_is_ca",
        EUICC,
        lambda c: c.change_leaf(put=[(x509.BasicConstraints(True, None), True)]),
        "leaf_is_ca",
    ),
    (
        "leaf_says_that_it_is_none",
        EUICC,
        lambda c: c.change_leaf(put=[(x509.BasicConstraints(False, None), True)]),
        "ok",
    ),
    ("leaf_may_not_sign", EUICC, lambda c: c.change_leaf(put=[(usage(), True)]), "wrong_key_usage"),
    ("no_key_usage", EUICC, lambda c: c.change_leaf(drop=[OIDS.KEY_USAGE]), "wrong_key_usage"),
    (
        "no_alternative_names",
        AUTH,
        lambda c: c.change_leaf(drop=[OIDS.SUBJECT_ALTERNATIVE_NAME]),
        "missing_extension",
    ),
    (
        "two_oids",
        AUTH,
        lambda c: c.change_leaf(
            put=[
                (
                    x509.SubjectAlternativeName(
                        [x509.RegisteredID(x509.ObjectIdentifier(o)) for o in ("2.999.10", "2.999.11")]
                    ),
                    False,
                )
            ]
        ),
        "missing_extension",
    ),
    ("another_oid_expected", AUTH, lambda c: c.extra.update(server_oid="2.999.11"), "name_mismatch"),
    ("the_oid_expected", AUTH, lambda c: c.extra.update(server_oid="2.999.10"), "ok"),
    ("no_extended_usage", TLS, lambda c: c.change_leaf(drop=[OIDS.EXTENDED_KEY_USAGE]), "missing_extension"),
    (
        "extended_usage_not_critical",
        TLS,
        lambda c: c.change_leaf(put=[(x509.ExtendedKeyUsage(SERVER_AND_CLIENT), False)]),
        "wrong_eku",
    ),
    (
        "client_only",
        TLS,
        lambda c: c.change_leaf(put=[(x509.ExtendedKeyUsage(SERVER_AND_CLIENT[1:]), True)]),
        "wrong_eku",
    ),
    (
        "server_only_used_as_client",
        TLS,
        lambda c: (
            c.change_leaf(put=[(x509.ExtendedKeyUsage(SERVER_AND_CLIENT[:1]), True)]),
            c.extra.update(as_client=True),
        ),
        "wrong_eku",
    ),
    (
        "no_dns_name",
        TLS,
        lambda c: c.change_leaf(
            put=[(x509.SubjectAlternativeName([x509.RegisteredID(x509.ObjectIdentifier("2.999.10"))]), False)]
        ),
        "missing_extension",
    ),
    ("another_host_expected", TLS, lambda c: c.extra.update(server_name="smds.example.com"), "name_mismatch"),
    ("host_in_capitals", TLS, lambda c: c.extra.update(server_name="SMDPplus.Example.COM"), "ok"),
    ("host_by_address", TLS, lambda c: c.extra.update(server_name="127.0.0.1"), "ok"),
    ("host_by_another_address", TLS, lambda c: c.extra.update(server_name="127.0.0.2"), "name_mismatch"),
    (
        "eid_of_31_digits",
        EUICC,
        lambda c: c.change_leaf(subject=name_of(o="keim Test EUM", serial="8" * 31)),
        "eid_format",
    ),
    (
        "eid_in_other_digits",
        EUICC,
        lambda c: c.change_leaf(
            subject=x509.Name(
                [
                    x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "keim Test EUM"),
                    x509.NameAttribute(
                        x509.NameOID.SERIAL_NUMBER,
                        "8988000000000000000000000000016٣",
                        x509.name._ASN1Type.UTF8String,
                    ),
                ]
            )
        ),
        "eid_format",
    ),
    ("no_eid", EUICC, lambda c: c.change_leaf(subject=name_of(o="keim Test EUM")), "eid_format"),
    (
        "eid_of_another_manufacturer",
        EUICC,
        lambda c: c.change_leaf(subject=name_of(o="keim Test EUM", serial="89880001" + "0" * 24)),
        "eid_out_of_range",
    ),
    (
        "eid_excluded",
        EUICC,
        lambda c: c.change_eum(
            put=[(x509.NameConstraints(None, [x509.DirectoryName(name_of(serial="8988000000"))]), True)]
        ),
        "eid_out_of_range",
    ),
    (
        "another_organization",
        EUICC,
        lambda c: c.change_leaf(subject=name_of(o="Other", serial="89880000" + "0" * 24)),
        "organization_mismatch",
    ),
    ("another_eid_expected", EUICC, lambda c: c.extra.update(eid="8" * 32), "name_mismatch"),
]


@pytest.mark.parametrize("curve", Curve, ids=lambda curve: curve.value)
@pytest.mark.parametrize(("role", "defect", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_chain_with_one_defect_gets_its_verdict(
    world: World, role: Role, defect: Callable[[Chain], object], expected: str, curve: Curve
) -> None:
    chain = Chain(world, role, curve)
    defect(chain)
    assert chain.verdict() == expected


@pytest.mark.parametrize("role", sorted(LEAF_ROLES))
@pytest.mark.parametrize("wrong", sorted(LEAF_ROLES))
def test_certificate_of_one_role_is_accepted_for_no_other(world: World, role: Role, wrong: Role) -> None:
    credential = world.of_role(role)[0]
    validation = validate(credential.certificate, credential.chain, world.trust, role=wrong, now=NOW)
    # An eIM's signing role has no mark of its own: any end certificate that a CI issued itself will do.
    expected = role is wrong or (wrong is Role.EIM_SIGN and role is not Role.EUICC)
    expected = expected or (wrong is Role.EIM_TLS and role in (Role.DP_TLS, Role.DS_TLS))
    assert validation.ok == expected


def test_require_raises_with_the_code_and_the_culprit(world: World) -> None:
    credential = world.get("dp-auth")
    with pytest.raises(Untrusted) as caught:
        require(
            credential.certificate,
            (),
            world.trust,
            role="dp-auth",
            now=NOW + timedelta(days=4000),
            party="SM-DP+",
        )
    assert caught.value.code == "pki.expired"
    assert caught.value.party == "SM-DP+"
    assert "keim Test SM-DP+" in (caught.value.evidence or "")


def test_point_off_the_curve_is_a_refusal_of_its_own(world: World) -> None:
    chain = Chain(world, Role.EUICC)
    bad = bytearray(chain.eum.certificate.tbs)
    bad[bad.index(chain.eum.certificate.point) + 64] ^= 1
    eum = resign(bytes(bad), chain.ci.private_key)
    with pytest.raises(Malformed) as caught:
        validate(chain.leaf, [eum], chain.roots, role="euicc", now=NOW)
    assert caught.value.code == "pki.point_not_on_curve"


def test_leaf_point_off_the_curve_is_refused_too(world: World) -> None:
    chain = Chain(world, Role.DP_AUTH)
    bad = bytearray(chain.leaf.tbs)
    bad[bad.index(chain.leaf.point) + 64] ^= 1
    with pytest.raises(Malformed) as caught:
        validate(resign(bytes(bad), chain.ci.private_key), (), chain.roots, role="dp-auth", now=NOW)
    assert caught.value.code == "pki.point_not_on_curve"


def test_doubled_extension_is_a_refusal_of_its_own(world: World) -> None:
    chain = Chain(world, Role.DP_AUTH)
    tbs = with_extensions(chain.leaf, lambda content: content + content)
    with pytest.raises(Malformed) as caught:
        validate(resign(tbs, chain.ci.private_key), (), chain.roots, role="dp-auth", now=NOW)
    assert caught.value.code == "pki.duplicate_extension"
    assert caught.value.path == "leaf"


def test_authorities_that_issued_each_other_end_without_a_root(world: World) -> None:
    one, two = other_key(), other_key()
    template = world.get("eum").certificate

    def authority(name: str, key: Any, by_name: str, by_key: Any) -> Certificate:
        return reissue(
            template,
            by_key,
            subject=name_of(cn=name),
            issuer=name_of(cn=by_name),
            public_key=key.public_key(),
            put=[
                (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
                (x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), False),
            ],
        )

    first, second = authority("A", one, "B", two), authority("B", two, "A", one)
    leaf = reissue(
        world.euiccs()[0].certificate,
        one,
        issuer=name_of(cn="A"),
        put=[(x509.AuthorityKeyIdentifier(first.ski, None, None), False)],
    )
    validation = validate(leaf, [first, second], world.trust, role="euicc", now=NOW)
    assert validation.verdict == "untrusted_root"
    assert validation.path == (leaf, first, second)
