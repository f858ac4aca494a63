"""Issuing a certificate for a role, by the row of its profile.

Pure but for serial numbers and signatures, whose randomness `cryptography` draws. Imports keim.errors,
keim.ids and its neighbours in keim.pki only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keim.errors import Refused
from keim.ids import Eid, Oid
from keim.pki import extensions as ext
from keim.pki.certificate import Certificate
from keim.pki.profiles import ENDLESS, PROFILES, CertificateProfile
from keim.pki.roles import EIM_ROLES, POLICY_OIDS, ROLE_OF_POLICY, Role

_ATTRIBUTES: Final = {
    "CN": NameOID.COMMON_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "C": NameOID.COUNTRY_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
}
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DNS_NAME: Final = re.compile(rf"(\*\.)?({_LABEL}\.)*{_LABEL}")
"""Letters, digits and hyphens in labels; a wildcard may be the leftmost. Others are written in punycode."""
_END_OF_TIME: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class Particulars(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate says besides what its role prescribes."""

    subject: Mapping[str, str] = {}
    """Values of the profile's attributes, such as CN and O."""
    eid: str | None = None
    eins: tuple[str, ...] = ()
    oid: str | None = None
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    crl_addresses: tuple[str, ...] = ()
    days: int | None = None
    path_length: int | None = None
    serial: int | None = None
    """A random one where absent."""
    is_v3: bool = False
    """Number the role as SGP.22 v3 does, and give EINs as permittedEins."""


class Authority(msgspec.Struct, frozen=True):
    """A CA that can issue: its certificate and key."""

    certificate: Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"<Authority {self.certificate.title}>"


def issue(
    role: Role,
    public_key: ec.EllipticCurvePublicKey,
    particulars: Particulars,
    *,
    now: datetime,
    issuer: Authority,
) -> Certificate:
    """A certificate for `public_key`, signed by `issuer`, valid from `now`."""
    profile = PROFILES[role]
    _check_particulars(profile, particulars)
    _check_issuer(profile, public_key, issuer)
    subject = _subject(profile, particulars)
    return _sign(profile, public_key, particulars, subject, now=now, issuer=issuer)


def issue_root(key: ec.EllipticCurvePrivateKey, particulars: Particulars, *, now: datetime) -> Certificate:
    """A self-signed CI certificate."""
    profile = PROFILES[Role.CI]
    _check_particulars(profile, particulars)
    subject = _subject(profile, particulars)
    return _sign(profile, key.public_key(), particulars, subject, now=now, issuer=key)


def particulars_of(certificate: Certificate, role: Role) -> Particulars:
    """What to ask for to get the same certificate again, for rotation."""
    names, constraints = certificate.alternative_names, certificate.constraints
    labels = {oid.dotted_string: label for label, oid in _ATTRIBUTES.items()}
    subject = {labels.get(Oid.from_content(oid), ""): value for oid, value in certificate.names.attributes}
    subject.pop("", None)
    eid = subject.pop("serialNumber", None) if role is Role.EUICC else None
    is_endless = PROFILES[role].days == ENDLESS
    return Particulars(
        subject=subject,
        eid=eid,
        eins=constraints.listed_eins,
        oid=names.registered_ids[0] if names.registered_ids else None,
        dns_names=names.dns_names,
        ip_addresses=names.ip_addresses,
        crl_addresses=ext.crl_addresses(certificate.extensions),
        days=None if is_endless else max(1, (certificate.valid_until - certificate.valid_from).days),
        path_length=ext.basic_constraints(certificate.extensions)[2],
        is_v3=role in POLICY_OIDS and POLICY_OIDS[role][0].content not in certificate.policies,
    )


def _check_issuer(
    profile: CertificateProfile, public_key: ec.EllipticCurvePublicKey, issuer: Authority
) -> None:
    certificate = issuer.certificate
    if public_key.curve.name != issuer.key.curve.name:
        raise Refused(
            f"one chain, one curve: {public_key.curve.name} under {issuer.key.curve.name} is refused",
            code="pki.mixed_curve",
        )
    roles = {ROLE_OF_POLICY[policy] for policy in certificate.policies if policy in ROLE_OF_POLICY}
    # An eIM may be certified by any authority, also one that is no part of the GSMA tree.
    is_free = profile.role in EIM_ROLES and not roles
    if not certificate.is_ca or not (is_free or roles & set(profile.issued_by)):
        raise Refused(
            f"{certificate.title} may not issue a {profile.role} certificate", code="pki.wrong_issuer"
        )
    if certificate.spki != issuer.key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    ):
        raise Refused(f"the key is not that of {certificate.title}", code="pki.key_mismatch")


def _check_particulars(profile: CertificateProfile, particulars: Particulars) -> None:
    role = profile.role
    if role is Role.EUICC:
        if particulars.eid is None:
            raise Refused("an eUICC certificate needs an EID", code="pki.incomplete_request")
        Eid(particulars.eid)
    if profile.has_registered_id and particulars.oid is None:
        raise Refused(f"a {role} certificate needs an OID", code="pki.incomplete_request")
    if profile.has_dns_names and not particulars.dns_names:
        raise Refused(f"a {role} certificate needs a DNS name", code="pki.incomplete_request")
    if profile.has_eins and not particulars.eins:
        raise Refused("an EUM certificate needs at least one EIN", code="pki.incomplete_request")
    for ein in particulars.eins:
        if not (ein.isascii() and ein.isdigit() and len(ein) <= 30):
            raise Refused(f"{ein!r} is no EIN: at most 30 decimal digits", code="pki.incomplete_request")
    if particulars.days is not None and particulars.days < 1:
        raise Refused("a certificate is valid for at least one day", code="pki.incomplete_request")


def _subject(profile: CertificateProfile, particulars: Particulars) -> x509.Name:
    values = dict(particulars.subject)
    if particulars.eid is not None:
        values["serialNumber"] = particulars.eid
    attributes = []
    for label in profile.subject:
        if label in values:
            attributes.append(_attribute(label, values.pop(label)))
    if values:
        raise Refused(
            f"a {profile.role} certificate has no {', '.join(values)} in its subject",
            code="pki.incomplete_request",
        )
    if not attributes:
        raise Refused(f"a {profile.role} certificate needs a subject", code="pki.incomplete_request")
    return x509.Name(attributes)


def _attribute(label: str, value: str) -> x509.NameAttribute[str]:
    try:
        return x509.NameAttribute(_ATTRIBUTES[label], value)
    except ValueError as error:
        raise Refused(f"{label}={value!r}: {error}", code="pki.incomplete_request") from None


def _sign(
    profile: CertificateProfile,
    public_key: ec.EllipticCurvePublicKey,
    particulars: Particulars,
    subject: x509.Name,
    *,
    now: datetime,
    issuer: Authority | ec.EllipticCurvePrivateKey,
) -> Certificate:
    """A root gives its own key as the issuer."""
    if isinstance(issuer, Authority):
        key, authority, issuer_name = issuer.key, issuer.certificate, issuer.certificate.x509.subject
    else:
        key, authority, issuer_name = issuer, None, subject
    start = now.replace(microsecond=0)
    days = particulars.days if particulars.days is not None else profile.days
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(public_key)
        .serial_number(particulars.serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(_END_OF_TIME if days == ENDLESS else _after(start, days))
    )
    for extension, critical in _extensions(profile, particulars, public_key, authority):
        builder = builder.add_extension(extension, critical)
    return Certificate(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))


def _after(start: datetime, days: int) -> datetime:
    try:
        return start + timedelta(days=days)
    except OverflowError:
        return _END_OF_TIME


def _extensions(
    profile: CertificateProfile,
    particulars: Particulars,
    public_key: ec.EllipticCurvePublicKey,
    authority: Certificate | None,
) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if authority is not None:
        found.append((x509.AuthorityKeyIdentifier(authority.key_identifier, None, None), False))
    if profile.has_ski:
        found.append((x509.SubjectKeyIdentifier.from_public_key(public_key), False))
    found.append((_key_usage(profile.key_usage), True))
    if profile.has_policy:
        oid = POLICY_OIDS[profile.role][-1 if particulars.is_v3 else 0]
        policy = x509.PolicyInformation(x509.ObjectIdentifier(oid), None)
        found.append((x509.CertificatePolicies([policy]), profile.is_policy_critical))
    if profile.is_ca:
        length = profile.path_length if particulars.path_length is None else particulars.path_length
        found.append((x509.BasicConstraints(True, length), True))
    names = _alternative_names(profile, particulars)
    if names:
        found.append((x509.SubjectAlternativeName(names), False))
    if profile.has_dns_names:
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        found.append((x509.ExtendedKeyUsage(usages), True))
    if profile.has_crl_addresses and particulars.crl_addresses:
        points = [
            x509.DistributionPoint([x509.UniformResourceIdentifier(address)], None, None, None)
            for address in particulars.crl_addresses
        ]
        found.append((x509.CRLDistributionPoints(points), False))
    if profile.has_eins:
        found.extend(_ein_constraints(particulars))
    return found


def _key_usage(bits: int) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=bool(bits & ext.DIGITAL_SIGNATURE),
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=bool(bits & ext.KEY_CERT_SIGN),
        crl_sign=bool(bits & ext.CRL_SIGN),
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(profile: CertificateProfile, particulars: Particulars) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    if profile.has_dns_names:
        for name in particulars.dns_names:
            if not _DNS_NAME.fullmatch(name) or len(name) > 253:
                raise Refused(f"{name!r} is no DNS name of a server", code="pki.incomplete_request")
        try:
            names.extend(x509.DNSName(name) for name in particulars.dns_names)
            names.extend(x509.IPAddress(ip_address(address)) for address in particulars.ip_addresses)
        except ValueError as error:
            raise Refused(f"a name of the server: {error}", code="pki.incomplete_request") from None
    if profile.has_registered_id and particulars.oid is not None:
        names.append(x509.RegisteredID(x509.ObjectIdentifier(Oid(particulars.oid))))
    return names


def _ein_constraints(particulars: Particulars) -> list[tuple[x509.ExtensionType, bool]]:
    """v2: organization and EIN as permitted directory names; v3: the EINs in an extension of their own."""
    organization = _attribute("O", particulars.subject["O"])
    if not particulars.is_v3:
        trees = [
            x509.DirectoryName(x509.Name([organization, _attribute("serialNumber", ein)]))
            for ein in particulars.eins
        ]
        return [(x509.NameConstraints(trees, None), True)]
    content = b"".join(b"\x13" + bytes([len(ein)]) + ein.encode("ascii") for ein in particulars.eins)
    if len(content) > 127:
        raise Refused("too many EINs for one EUM certificate", code="pki.incomplete_request")
    eins = x509.UnrecognizedExtension(
        x509.ObjectIdentifier(Oid.from_content(ext.PERMITTED_EINS)), b"\x30" + bytes([len(content)]) + content
    )
    tree = x509.DirectoryName(x509.Name([organization]))
    return [(x509.NameConstraints([tree], None), True), (eins, False)]
