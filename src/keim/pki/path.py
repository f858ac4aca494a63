"""Building the path from a leaf up to a trusted root (crypto §1.5, step 1).

Each certificate is used once and the walk goes upwards only, so that loops end and the cost is linear.
Pure. Imports its neighbours in keim.pki only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keim.pki.certificate import Certificate
from keim.pki.roles import POLICY_CONTENTS, Demands, Role
from keim.pki.trust import TrustStore

MAX_INTERMEDIATES: Final = 8
"""The deepest tree of the standard (variant C) has three."""

_CI_SUB_CA: Final = POLICY_CONTENTS[Role.CI_SUB_CA]

Path = tuple[tuple[Certificate, ...], tuple[Certificate, ...], str | None]
"""(leaf first, as far as built; dropped certificates; why no trusted root was reached, or None)."""


def is_self_signed(certificate: Certificate) -> bool:
    return certificate.issuer == certificate.subject and certificate.aki in (None, certificate.ski)


def build_path(
    leaf: Certificate,
    intermediates: Sequence[Certificate],
    trust: TrustStore,
    demands: Demands,
    moment: str | None,
) -> Path:
    if demands.is_eim and leaf in trust:
        # A pinned eIM certificate is its own anchor (trustedCertificateTls, bindings §3.2).
        return (leaf,), (), None
    dropped: tuple[Certificate, ...] = ()
    unused: list[Certificate] = []
    for certificate in intermediates:
        if is_self_signed(certificate):
            dropped += (certificate,)
        else:
            unused.append(certificate)
    path = [leaf]
    while True:
        top = path[-1]
        root = trust.issuer_of(top, moment)
        if root is not None:
            path.append(root)
            break
        if not unused:
            return tuple(path), dropped, "no trusted root stands above it"
        # A certificate that does not fit is taken too, so that the walk down names the fault.
        position = 0
        if top.aki is not None:
            for index, certificate in enumerate(unused):
                if certificate.ski == top.aki:
                    position = index
                    break
        path.append(unused.pop(position))
    if demands.role is Role.EUICC and _lacks_eum(path[1:-1]):
        return tuple(path), dropped, "no EUM certificate stands between the eUICC and the root"
    return tuple(path), dropped, None


def _lacks_eum(authorities: Sequence[Certificate]) -> bool:
    return not [authority for authority in authorities if _CI_SUB_CA.isdisjoint(authority.policies)]
