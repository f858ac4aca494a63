"""Judging a chain for a role at a time: every check of crypto §1.5 in the order that its vectors fix.

General path validators refuse the genuine eUICC chain and let wrong roles pass, so this is our own; only the
signatures are a library's. The time is an argument; None means that the judge has no clock (an eUICC).
Pure. Imports keim.errors and its neighbours in keim.pki only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from keim.errors import Malformed, Refused
from keim.pki.authority import check_authority
from keim.pki.certificate import Certificate
from keim.pki.crl import Crl, Revocations
from keim.pki.dates import moment_of
from keim.pki.leaf import Expected, check_leaf
from keim.pki.link import check_link, check_state, is_bare_anchor
from keim.pki.path import MAX_INTERMEDIATES, build_path
from keim.pki.roles import DEMANDS, Demands, Role
from keim.pki.trust import CertificateLike, TrustStore, as_certificate, as_certificates, at
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
    demands = demands_of(role)
    return judge(
        as_certificate(leaf, "leaf"),
        as_certificates(intermediates, "intermediates"),
        TrustStore.of(roots),
        Expected(demands, server_name, server_oid, as_client, eid),
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


def demands_of(role: Role | str) -> Demands:
    demands = DEMANDS.get(role if isinstance(role, Role) else Role.named(role))
    if demands is None:
        raise Refused(f"{role} is a CA, not the role of an end certificate", code="pki.unknown_role")
    return demands


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
    demands = expected.demands
    role = demands.role
    if len(intermediates) > MAX_INTERMEDIATES:
        reason = f"{len(intermediates)} intermediate certificates were sent"
        return Validation(Verdict.PATH_LENGTH, role, (leaf,), reason, 0, (), False)
    path, dropped, gap = build_path(leaf, intermediates, trust, demands, moment)
    if gap is not None:
        top = len(path) - 1
        return Validation(Verdict.UNTRUSTED_ROOT, role, path, gap, top, dropped, path[-1] in trust)
    lowest, at_index, fault = _inspect(path, expected, moment=moment, revocations=revocations)
    # Signatures come last because they cost most; one that fails above the fault is what is reported.
    for index in range(len(path) - 1, lowest - 1, -1):
        if not _has_good_signature(path, index, demands):
            reason = "its signature does not verify under the key above"
            return Validation(Verdict.BAD_SIGNATURE, role, path, reason, index, dropped)
    if fault is None:
        return Validation(Verdict.OK, role, path, "", None, dropped)
    if isinstance(fault, Malformed):
        raise at(fault, f"path[{at_index}]") from None
    return Validation(fault[0], role, path, fault[1], at_index, dropped)


def _has_good_signature(path: Sequence[Certificate], index: int, demands: Demands) -> bool:
    certificate = path[index]
    if index + 1 < len(path):
        return certificate.is_signed_by(path[index + 1])
    return is_bare_anchor(certificate, demands) or certificate.is_signed_by(certificate)


def _inspect(
    path: Sequence[Certificate], expected: Expected, *, moment: str | None, revocations: Revocations
) -> tuple[int, int, Fault | Malformed | None]:
    """Every check but the signatures, top-down, to the first fault.

    Answers with the lowest place whose signature is looked at before that fault, the fault's place, and it.
    """
    demands = expected.demands
    root = issuer = path[-1]
    has_lists = bool(revocations)
    for index in range(len(path) - 1, -1, -1):
        certificate = path[index]
        lowest = index + 1
        try:
            fault = check_link(certificate, issuer, root, demands)
            if fault is None:
                lowest = index
                lists = revocations if has_lists and certificate is not root else None
                fault = check_state(certificate, issuer, moment, lists)
            if fault is None:
                fault = (
                    check_authority(path, index, demands)
                    if index
                    else check_leaf(certificate, path[1:-1], expected)
                )
        except Malformed as error:
            return lowest, index, error
        if fault is not None:
            return lowest, index, fault
        issuer = certificate
    return 0, 0, None
