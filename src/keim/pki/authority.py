"""The checks of a CA in a chain: that it is one, how deep it may reach, and its place (crypto §1.5, step 3).

Pure. Imports its neighbours in keim.pki only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keim.pki import extensions as ext
from keim.pki.certificate import Certificate
from keim.pki.roles import POLICY_CONTENTS, Demands, Role
from keim.pki.verdict import Fault, Verdict

_CI: Final = POLICY_CONTENTS[Role.CI]


def check_authority(path: Sequence[Certificate], index: int, demands: Demands) -> Fault | None:
    """What holds for the CA at `index` of the path; as many certificates stand below it."""
    authority = path[index]
    extensions = authority.extensions
    critical, is_ca, path_length = ext.basic_constraints(extensions)
    if not (critical and is_ca):
        return Verdict.NOT_A_CA, "basicConstraints is not critical with cA"
    if not (authority.key_usage & ext.KEY_CERT_SIGN and extensions[ext.KEY_USAGE][0]):
        return Verdict.WRONG_KEY_USAGE, "keyUsage is not critical with keyCertSign"
    if path_length is not None and path_length < index - 1:
        return Verdict.PATH_LENGTH, f"it allows {path_length} CAs below it, {index - 1} are there"
    root = path[-1]
    if authority is root:
        if demands.is_eim or _is_ci(root):
            return None
        return Verdict.WRONG_POLICY, "the root's certificatePolicies does not name the role ci"
    if demands.is_eim and not _is_ci(root):
        return _check_foreign_constraints(authority)
    rank = _rank(authority, demands)
    above = _rank(path[index + 1], demands) if path[index + 1] is not root else 0
    if rank is None or above is None or rank < above:
        return Verdict.WRONG_POLICY, f"its certificatePolicies does not fit its place above a {demands.role}"
    return None if demands.role is Role.EUICC else _check_foreign_constraints(authority)


def _is_ci(root: Certificate) -> bool:
    return not _CI.isdisjoint(root.policies)


def _rank(authority: Certificate, demands: Demands) -> int | None:
    ranks = demands.ca_ranks
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
