"""The checks of the last certificate of a chain: its role, its names, its EID (crypto §1.5, step 4).

The order is the standard's reading that the vectors fix; the first fault found is the verdict.
Pure. Imports keim.ids and its neighbours in keim.pki only.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import msgspec

from keim.ids import Oid
from keim.pki import extensions as ext
from keim.pki.certificate import Certificate
from keim.pki.names import SERIAL_NUMBER, Subject
from keim.pki.roles import Demands, Role
from keim.pki.verdict import Fault, Verdict


class Expected(msgspec.Struct, frozen=True):
    """What the caller knows about the party that it wants to talk to."""

    demands: Demands
    server_name: str | None = None
    server_oid: str | None = None
    as_client: bool = False
    eid: str | None = None

    @property
    def role(self) -> Role:
        return self.demands.role


def check_leaf(leaf: Certificate, authorities: Sequence[Certificate], expected: Expected) -> Fault | None:
    """`authorities` are the CAs between the leaf and the root."""
    demands, extensions = expected.demands, leaf.extensions
    if ext.basic_constraints(extensions)[1]:
        return Verdict.LEAF_IS_CA, "the end certificate says that it is a CA"
    if not (leaf.key_usage & ext.DIGITAL_SIGNATURE and extensions[ext.KEY_USAGE][0]):
        return Verdict.WRONG_KEY_USAGE, "keyUsage is not critical with digitalSignature"
    if not demands.is_eim:
        if demands.policies.isdisjoint(leaf.policies):
            return Verdict.WRONG_POLICY, f"certificatePolicies does not name the role {demands.role}"
        if not (demands.is_tls or extensions[ext.CERTIFICATE_POLICIES][0]):
            return Verdict.POLICY_NOT_CRITICAL, "certificatePolicies is not critical"
    if demands.role is Role.EUICC:
        return _check_eid(leaf, authorities, expected.eid)
    if demands.is_identified and (fault := _check_registered_id(leaf, expected)):
        return fault
    return _check_tls(leaf, authorities, expected) if demands.is_tls else None


def _check_registered_id(leaf: Certificate, expected: Expected) -> Fault | None:
    oids = leaf.alternative_names.registered_ids
    if len(oids) != 1:
        return Verdict.MISSING_EXTENSION, f"subjectAltName has {len(oids)} registeredID instead of one"
    if expected.server_oid is not None and oids[0] != Oid(expected.server_oid):
        return Verdict.NAME_MISMATCH, f"registeredID is {oids[0]}, expected was {expected.server_oid}"
    return None


def _check_tls(leaf: Certificate, authorities: Sequence[Certificate], expected: Expected) -> Fault | None:
    usages = ext.extended_key_usage(leaf.extensions)
    if usages is None:
        return Verdict.MISSING_EXTENSION, "extKeyUsage is absent"
    if not ext.is_critical(leaf.extensions, ext.EXTENDED_KEY_USAGE) or ext.SERVER_AUTH not in usages:
        return Verdict.WRONG_EKU, "extKeyUsage is not critical with serverAuth"
    if expected.as_client and ext.CLIENT_AUTH not in usages:
        return Verdict.WRONG_EKU, "extKeyUsage lacks clientAuth"
    names = leaf.alternative_names
    if not names.dns_names:
        return Verdict.MISSING_EXTENSION, "subjectAltName has no dNSName"
    for name in names.dns_names:
        if not _is_dns_permitted(name, authorities):
            return Verdict.NAME_MISMATCH, f"an authority above does not permit the name {name}"
    if expected.server_name is not None and not matches_name(names, expected.server_name):
        listed = ", ".join(names.dns_names + names.ip_addresses)
        return Verdict.NAME_MISMATCH, f"the certificate is for {listed}, not for {expected.server_name}"
    return None


def matches_name(names: ext.AlternativeNames, server_name: str) -> bool:
    """RFC 6125: case does not matter, a wildcard stands for exactly the leftmost label."""
    wanted = server_name.rstrip(".").lower()
    try:
        return str(ip_address(wanted.strip("[]"))) in names.ip_addresses
    except ValueError:
        pass  # a name, not an address
    _, _, parent = wanted.partition(".")
    for name in names.dns_names:
        pattern = name.rstrip(".").lower()
        if pattern == wanted:
            return True
        if pattern.startswith("*.") and pattern[2:] == parent and "." in parent:
            return True
    return False


def _is_dns_permitted(name: str, authorities: Sequence[Certificate]) -> bool:
    name = name.lower()
    for authority in authorities:
        constraints = authority.constraints
        permitted = [tree.dns for tree in constraints.permitted if tree.dns is not None]
        excluded = [tree.dns for tree in constraints.excluded if tree.dns is not None]
        if permitted and not any(_is_below(name, domain) for domain in permitted):
            return False
        if any(_is_below(name, domain) for domain in excluded):
            return False
    return True


def _is_below(name: str, domain: str) -> bool:
    domain = domain.lower().lstrip(".")
    return domain in ("", name) or name.endswith("." + domain)


def _check_eid(leaf: Certificate, authorities: Sequence[Certificate], expected: str | None) -> Fault | None:
    names = leaf.names
    eid, organization = names.serial_number, names.organization
    if eid is None or len(eid) != 32 or not (eid.isascii() and eid.isdigit()):
        return Verdict.EID_FORMAT, f"the subject's serialNumber {eid!r} is not 32 decimal digits"
    for authority in authorities:
        if fault := _check_range(eid, organization, authority):
            return fault
    if expected is not None and eid != expected:
        return Verdict.NAME_MISMATCH, f"the certificate is for EID {eid}, expected was {expected}"
    return None


def _check_range(eid: str, organization: str | None, authority: Certificate) -> Fault | None:
    """An EIN permits every EID that begins with it: a prefix, not the equality of RFC 5280 (crypto §1.4)."""
    constraints = authority.constraints
    if constraints.eins is not None and not any(ein and eid.startswith(ein) for ein in constraints.eins):
        return _outside(eid, authority)
    for tree in constraints.excluded:
        name = tree.directory
        if name is not None and _covers(name, eid) and _is_same_organization(name, organization):
            return _outside(eid, authority)
    has_names = is_in_range = False
    for tree in constraints.permitted:
        name = tree.directory
        if name is None:
            continue
        has_names = True
        if _covers(name, eid):
            if _is_same_organization(name, organization):
                return None
            is_in_range = True
    if not has_names:
        return None
    if not is_in_range:
        return _outside(eid, authority)
    return (
        Verdict.ORGANIZATION_MISMATCH,
        f"the organization {organization!r} is not that which {authority.title} may certify",
    )


def _outside(eid: str, authority: Certificate) -> Fault:
    return Verdict.EID_OUT_OF_RANGE, f"{authority.title} does not cover EID {eid}"


def _covers(name: Subject, eid: str) -> bool:
    return not [ein for kind, ein in name.attributes if kind == SERIAL_NUMBER and not eid.startswith(ein)]


def _is_same_organization(name: Subject, organization: str | None) -> bool:
    wanted = name.organization
    return wanted is None or wanted == organization
