"""What a person wants to know of a certificate or a CRL, as one plain document.

Pure. Imports keim.errors, keim.ids and its neighbours in keim.pki only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from keim.errors import KeimError, Malformed
from keim.ids import Eid, Oid
from keim.pki import extensions as ext
from keim.pki.certificate import Certificate
from keim.pki.crl import Crl
from keim.pki.dates import time_text
from keim.pki.names import title_of
from keim.pki.reading import ECDSA_WITH_SHA256
from keim.pki.roles import ROLE_OF_POLICY, Role

_USAGES: Final = (
    (0x80, "digitalSignature"),
    (0x40, "nonRepudiation"),
    (0x20, "keyEncipherment"),
    (0x10, "dataEncipherment"),
    (0x08, "keyAgreement"),
    (0x04, "keyCertSign"),
    (0x02, "cRLSign"),
)
_EXTENDED: Final = {ext.SERVER_AUTH: "serverAuth", ext.CLIENT_AUTH: "clientAuth"}


def role_of(certificate: Certificate) -> Role | None:
    """By policy; an eIM's has none and is known by registeredID and TLS usage, or by having little."""
    for policy in certificate.policies:
        if policy in ROLE_OF_POLICY:
            return ROLE_OF_POLICY[policy]
    if certificate.policies or certificate.is_ca:
        return None
    if ext.EXTENDED_KEY_USAGE in certificate.extensions:
        return Role.EIM_TLS if certificate.alternative_names.registered_ids else None
    known = {ext.KEY_USAGE, ext.AUTHORITY_KEY_IDENTIFIER, ext.SUBJECT_KEY_IDENTIFIER}
    has_key_usage = ext.KEY_USAGE in certificate.extensions
    return Role.EIM_SIGN if has_key_usage and known.issuperset(certificate.extensions) else None


def describe(certificate: Certificate, *, now: datetime | None = None) -> dict[str, object]:
    """Members without content are left out."""
    role = role_of(certificate)
    names = certificate.alternative_names
    constraints = certificate.constraints
    critical, is_ca, path_length = ext.basic_constraints(certificate.extensions)
    usages = ext.extended_key_usage(certificate.extensions)
    eid = _eid(certificate) if role is Role.EUICC else None
    document: dict[str, object | None] = {
        "kind": "certificate",
        "role": role.value if role else None,
        "subject": certificate.title,
        "issuer": title_of(certificate.issuer),
        "eid": eid,
        "eid_check_digits": _check_digits(eid),
        "eins": list(constraints.listed_eins),
        "organizations": [
            tree.directory.organization
            for tree in constraints.permitted
            if tree.directory is not None and tree.directory.organization is not None
        ],
        "registered_ids": list(names.registered_ids),
        "dns_names": list(names.dns_names),
        "ip_addresses": list(names.ip_addresses),
        "serial": f"{certificate.serial:X}",
        "valid_from": time_text(certificate.not_before),
        "valid_until": time_text(certificate.not_after),
        "state": _state(certificate, now),
        "curve": certificate.curve.value if certificate.curve else "unsupported",
        "public_point": certificate.point.hex(),
        "subject_key_identifier": certificate.ski.hex() if certificate.ski else None,
        "authority_key_identifier": certificate.aki.hex() if certificate.aki else None,
        "policies": [str(Oid.from_content(policy)) for policy in certificate.policies],
        "key_usage": [name for bit, name in _USAGES if certificate.key_usage & bit],
        "extended_key_usage": sorted(_EXTENDED.get(u) or str(Oid.from_content(u)) for u in usages or ()),
        "is_ca": is_ca or None,
        "path_length": path_length if critical else None,
        "crl_addresses": list(ext.crl_addresses(certificate.extensions)),
        "critical_extensions": [_extension_name(o) for o, (c, _) in certificate.extensions.items() if c],
        "signature_algorithm": "ecdsa-with-SHA256"
        if certificate.inner_algorithm == ECDSA_WITH_SHA256
        else certificate.inner_algorithm.hex(),
        "sha256": certificate.fingerprint.hex(),
    }
    return {name: value for name, value in document.items() if value not in (None, [], "")}


def _eid(certificate: Certificate) -> str | None:
    try:
        return certificate.names.serial_number
    except Malformed:
        return None


def describe_crl(crl: Crl, *, now: datetime | None = None) -> dict[str, object]:
    document: dict[str, object | None] = {
        "kind": "crl",
        "number": crl.number,
        "authority_key_identifier": crl.aki.hex() if crl.aki else None,
        "issued": time_text(crl.this_update),
        "next": time_text(crl.next_update) if crl.next_update else None,
        "revoked": [{"serial": f"{s:X}", "since": time_text(t)} for s, t in sorted(crl.revoked.items())],
        "sha256": crl.fingerprint.hex(),
    }
    return {name: value for name, value in document.items() if value is not None}


def _state(certificate: Certificate, now: datetime | None) -> str | None:
    if now is None:
        return None
    moment = now.astimezone(UTC).strftime("%Y%m%d%H%M%S")
    if moment < certificate.not_before:
        return "not yet valid"
    return "expired" if moment > certificate.not_after else "valid"


def _check_digits(eid: str | None) -> str | None:
    if eid is None:
        return None
    try:
        return "right" if Eid(eid).has_valid_check_digits else "wrong"
    except KeimError:
        return "not an EID"


_NAMES: Final = {
    ext.SUBJECT_KEY_IDENTIFIER: "subjectKeyIdentifier",
    ext.KEY_USAGE: "keyUsage",
    ext.SUBJECT_ALT_NAME: "subjectAltName",
    ext.BASIC_CONSTRAINTS: "basicConstraints",
    ext.NAME_CONSTRAINTS: "nameConstraints",
    ext.CRL_DISTRIBUTION_POINTS: "cRLDistributionPoints",
    ext.CERTIFICATE_POLICIES: "certificatePolicies",
    ext.AUTHORITY_KEY_IDENTIFIER: "authorityKeyIdentifier",
    ext.EXTENDED_KEY_USAGE: "extKeyUsage",
    ext.PERMITTED_EINS: "permittedEins",
}


def _extension_name(oid: bytes) -> str:
    return _NAMES.get(oid) or f"OID.{oid.hex()}"
