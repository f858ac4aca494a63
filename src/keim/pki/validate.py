"""Judging a chain for a role at a time: every check of crypto §1.5 in the order that its vectors fix.

General path validators refuse the genuine eUICC chain and let wrong roles pass, so this is our own; only the
signatures are a library's. The time is an argument; None means that the judge has no clock (an eUICC).
Pure. Imports keim.errors and its neighbours in keim.pki only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from keim.errors import Malformed, Refused
from keim.pki import extensions as ext
from keim.pki.certificate import ECDSA_WITH_SHA256, Certificate
from keim.pki.crl import Crl, Revocations
from keim.pki.leaf import Expected, check_leaf
from keim.pki.path import MAX_INTERMEDIATES, build_path
from keim.pki.roles import CA_RANKS, EIM_ROLES, LEAF_ROLES, POLICY_CONTENTS, Role
from keim.pki.trust import CertificateLike, TrustStore, as_certificate, at
from keim.pki.verdict import Fault, Validation, Verdict


def validate(
    leaf: CertificateLike,
    intermediates: Iterable[CertificateLike] = (),
    roots: TrustStore | Iterable[CertificateLike] = (),
    *,
    role: Role | str,
    now: datetime | None,
    crls: Revocations | Iterable[Crl | bytes] = (),
    server_name: str | None = None,
    server_oid: str | None = None,
    as_client: bool = False,
    eid: str | None = None,
) -> Validation:
    """The verdict on a chain as somebody sent it. Octets that are no certificate raise Malformed."""
    role = leaf_role(role)
    return judge(
        as_certificate(leaf, "leaf"),
        [as_certificate(item, f"intermediates[{i}]") for i, item in enumerate(intermediates)],
        TrustStore.of(roots),
        Expected(role, server_name, server_oid, as_client, eid),
        moment=moment_of(now),
        revocations=Revocations.of(crls),
    )


def require(
    leaf: CertificateLike,
    intermediates: Iterable[CertificateLike] = (),
    roots: TrustStore | Iterable[CertificateLike] = (),
    *,
    role: Role | str,
    now: datetime | None,
    crls: Revocations | Iterable[Crl | bytes] = (),
    server_name: str | None = None,
    server_oid: str | None = None,
    as_client: bool = False,
    eid: str | None = None,
    party: str | None = None,
) -> Validation:
    """As `validate`, but a refusal is raised as Untrusted with the code `pki.<verdict>`."""
    validation = validate(
        leaf,
        intermediates,
        roots,
        role=role,
        now=now,
        crls=crls,
        server_name=server_name,
        server_oid=server_oid,
        as_client=as_client,
        eid=eid,
    )
    if not validation.ok:
        raise validation.refusal(party)
    return validation


def leaf_role(role: Role | str) -> Role:
    role = role if isinstance(role, Role) else Role.named(role)
    if role not in LEAF_ROLES:
        raise Refused(f"{role} is a CA, not the role of an end certificate", code="pki.unknown_role")
    return role


def moment_of(now: datetime | None) -> str | None:
    """The text that dates of certificates are compared with."""
    if now is None:
        return None
    if now.tzinfo is None:
        raise Refused("a time without zone cannot be compared with certificates", code="pki.naive_time")
    if now.tzinfo is not UTC:
        now = now.astimezone(UTC)
    return f"{now.year:04d}{now.month:02d}{now.day:02d}{now.hour:02d}{now.minute:02d}{now.second:02d}"


def judge(
    leaf: Certificate,
    intermediates: Sequence[Certificate],
    trust: TrustStore,
    expected: Expected,
    *,
    moment: str | None,
    revocations: Revocations,
) -> Validation:
    """`validate` on values that are read already."""
    role = expected.role
    if len(intermediates) > MAX_INTERMEDIATES:
        reason = f"{len(intermediates)} intermediate certificates were sent"
        return Validation(Verdict.PATH_LENGTH, role, (leaf,), reason, 0, (), False)
    path, dropped, gap = build_path(leaf, intermediates, trust, role, moment)
    if gap is not None:
        top = len(path) - 1
        return Validation(Verdict.UNTRUSTED_ROOT, role, path, gap, top, dropped, path[-1] in trust)
    root = path[-1]
    for index in range(len(path) - 1, -1, -1):
        certificate = path[index]
        issuer = path[index + 1] if index + 1 < len(path) else root
        try:
            fault = _check_link(certificate, issuer, root, expected, moment=moment, revocations=revocations)
            if fault is None:
                fault = (
                    _check_authority(path, index, role)
                    if index
                    else check_leaf(certificate, path[1:-1], expected)
                )
        except Malformed as error:
            raise at(error, f"path[{index}]") from None
        if fault is not None:
            return Validation(fault[0], role, path, fault[1], index, dropped)
    return Validation(Verdict.OK, role, path, "", None, dropped)


def _check_link(
    certificate: Certificate,
    issuer: Certificate,
    root: Certificate,
    expected: Expected,
    *,
    moment: str | None,
    revocations: Revocations,
) -> Fault | None:
    """Step 2: what holds for every certificate, the root included."""
    if certificate.curve is None:
        return Verdict.UNSUPPORTED_CURVE, "its key is neither on P-256 nor on brainpoolP256r1"
    if certificate.curve is not root.curve:
        return Verdict.MIXED_CURVE, f"its key is on {certificate.curve.value}, the root's is not"
    certificate.read_public_key()
    is_bare_anchor = certificate is root and expected.role in EIM_ROLES and not certificate.is_self_issued
    if not is_bare_anchor:
        if certificate.issuer != issuer.subject:
            return Verdict.ISSUER_NAME_MISMATCH, "its issuer is not the subject of the certificate above"
        if certificate.aki != issuer.key_identifier and not (certificate is root and certificate.aki is None):
            return Verdict.AKI_MISMATCH, "its authorityKeyIdentifier does not name the key above"
        if not certificate.inner_algorithm == certificate.outer_algorithm == ECDSA_WITH_SHA256:
            return Verdict.BAD_SIGNATURE_ALGORITHM, "it is not signed by ecdsa-with-SHA256"
        if not certificate.is_signed_by(issuer):
            return Verdict.BAD_SIGNATURE, "its signature does not verify under the key above"
    if moment is not None:
        if moment < certificate.not_before:
            return Verdict.NOT_YET_VALID, f"it is valid from {certificate.not_before} UTC"
        if moment > certificate.not_after:
            return Verdict.EXPIRED, f"it ended at {certificate.not_after} UTC"
    if revocations and certificate is not root and revocations.is_revoked(certificate, issuer, moment):
        return Verdict.REVOKED, "a revocation list of its issuer names it"
    for oid, (critical, _) in certificate.extensions.items():
        if critical and oid not in ext.KNOWN:
            return Verdict.UNKNOWN_CRITICAL_EXTENSION, f"extension {oid.hex()} is critical and unknown"
    return None


def _check_authority(path: Sequence[Certificate], index: int, role: Role) -> Fault | None:
    """Step 3: what holds for a CA; `index` CAs and the leaf stand below it."""
    authority = path[index]
    critical, is_ca, path_length = ext.basic_constraints(authority.extensions)
    if not (critical and is_ca):
        return Verdict.NOT_A_CA, "basicConstraints is not critical with cA"
    if not (authority.key_usage & ext.KEY_CERT_SIGN and ext.is_critical(authority.extensions, ext.KEY_USAGE)):
        return Verdict.WRONG_KEY_USAGE, "keyUsage is not critical with keyCertSign"
    if path_length is not None and path_length < index - 1:
        return Verdict.PATH_LENGTH, f"it allows {path_length} CAs below it, {index - 1} are there"
    root = path[-1]
    if authority is root:
        if role in EIM_ROLES or _is_ci(root):
            return None
        return Verdict.WRONG_POLICY, "the root's certificatePolicies does not name the role ci"
    if role in EIM_ROLES and not _is_ci(root):
        return _check_foreign_constraints(authority)
    rank = _rank(authority, role)
    above = _rank(path[index + 1], role) if path[index + 1] is not root else 0
    if rank is None or above is None or rank < above:
        return Verdict.WRONG_POLICY, f"its certificatePolicies does not fit its place above a {role}"
    return None if role is Role.EUICC else _check_foreign_constraints(authority)


def _is_ci(root: Certificate) -> bool:
    return not POLICY_CONTENTS[Role.CI].isdisjoint(root.policies)


def _rank(authority: Certificate, role: Role) -> int | None:
    ranks = CA_RANKS[role]
    found = None
    for policy in authority.policies:
        rank = ranks.get(policy)
        if rank is not None and (found is None or rank > found):
            found = rank
    return found


def _check_foreign_constraints(authority: Certificate) -> Fault | None:
    """A critical constraint on a form of name that we do not judge is never passed over (RFC 5280)."""
    if ext.is_critical(authority.extensions, ext.NAME_CONSTRAINTS):
        constraints = authority.constraints
        if any(tree.dns is None for tree in constraints.permitted + constraints.excluded):
            return Verdict.UNKNOWN_CRITICAL_EXTENSION, "it constrains names of a form that is not supported"
    return None
