"""What a check of a chain ends in: one of the names of crypto §1.5, and the evidence for it.

Pure. Imports keim.errors and its neighbours in keim.pki only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from keim.errors import Untrusted
from keim.pki.certificate import Certificate
from keim.pki.roles import Role


class Verdict(StrEnum):
    OK = "ok"
    UNTRUSTED_ROOT = "untrusted_root"
    UNSUPPORTED_CURVE = "unsupported_curve"
    MIXED_CURVE = "mixed_curve"
    ISSUER_NAME_MISMATCH = "issuer_name_mismatch"
    AKI_MISMATCH = "aki_mismatch"
    BAD_SIGNATURE_ALGORITHM = "bad_signature_algorithm"
    BAD_SIGNATURE = "bad_signature"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNKNOWN_CRITICAL_EXTENSION = "unknown_critical_extension"
    NOT_A_CA = "not_a_ca"
    WRONG_KEY_USAGE = "wrong_key_usage"
    PATH_LENGTH = "path_length"
    WRONG_POLICY = "wrong_policy"
    LEAF_IS_CA = "leaf_is_ca"
    POLICY_NOT_CRITICAL = "policy_not_critical"
    MISSING_EXTENSION = "missing_extension"
    WRONG_EKU = "wrong_eku"
    NAME_MISMATCH = "name_mismatch"
    EID_FORMAT = "eid_format"
    EID_OUT_OF_RANGE = "eid_out_of_range"
    ORGANIZATION_MISMATCH = "organization_mismatch"

    @property
    def code(self) -> str:
        """The row of the error table that explains this refusal."""
        return _CODES[self]


_CODES: Final[dict[Verdict, str]] = {
    Verdict.UNTRUSTED_ROOT: "pki.untrusted_root",
    Verdict.UNSUPPORTED_CURVE: "pki.unsupported_curve",
    Verdict.MIXED_CURVE: "pki.mixed_curve",
    Verdict.ISSUER_NAME_MISMATCH: "pki.issuer_name_mismatch",
    Verdict.AKI_MISMATCH: "pki.aki_mismatch",
    Verdict.BAD_SIGNATURE_ALGORITHM: "pki.bad_signature_algorithm",
    Verdict.BAD_SIGNATURE: "pki.bad_signature",
    Verdict.NOT_YET_VALID: "pki.not_yet_valid",
    Verdict.EXPIRED: "pki.expired",
    Verdict.REVOKED: "pki.revoked",
    Verdict.UNKNOWN_CRITICAL_EXTENSION: "pki.unknown_critical_extension",
    Verdict.NOT_A_CA: "pki.not_a_ca",
    Verdict.WRONG_KEY_USAGE: "pki.wrong_key_usage",
    Verdict.PATH_LENGTH: "pki.path_length",
    Verdict.WRONG_POLICY: "pki.wrong_policy",
    Verdict.LEAF_IS_CA: "pki.leaf_is_ca",
    Verdict.POLICY_NOT_CRITICAL: "pki.policy_not_critical",
    Verdict.MISSING_EXTENSION: "pki.missing_extension",
    Verdict.WRONG_EKU: "pki.wrong_eku",
    Verdict.NAME_MISMATCH: "pki.name_mismatch",
    Verdict.EID_FORMAT: "pki.eid_format",
    Verdict.EID_OUT_OF_RANGE: "pki.eid_out_of_range",
    Verdict.ORGANIZATION_MISMATCH: "pki.organization_mismatch",
}


Fault = tuple[Verdict, str]
"""A refusal and one sentence of evidence."""


class Validation(msgspec.Struct, frozen=True):
    """The judged chain. `path` runs from the leaf up to the trusted root, as far as it could be built."""

    verdict: Verdict
    role: Role
    path: tuple[Certificate, ...]
    reason: str = ""
    at: int | None = None
    """Where in `path` the fault shows; None for ok."""
    dropped: tuple[Certificate, ...] = ()
    """Self-signed certificates that the peer sent: never trusted for being sent."""
    reached_root: bool = True
    """Whether `path` ends in a trusted root; a path without an EUM does and is refused all the same."""

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.OK

    @property
    def leaf(self) -> Certificate:
        return self.path[0]

    @property
    def root(self) -> Certificate:
        """The trusted root; meaningful for an accepted chain."""
        return self.path[-1]

    @property
    def culprit(self) -> Certificate | None:
        return None if self.at is None else self.path[self.at]

    def findings(self) -> tuple[tuple[Certificate, str], ...]:
        """Per certificate, root first: `ok`, the verdict, or `not judged` for those below a fault."""
        found: list[tuple[Certificate, str]] = []
        for index in range(len(self.path) - 1, -1, -1):
            if self.at is None or index > self.at:
                word = "ok" if self.verdict is not Verdict.UNTRUSTED_ROOT else "not judged"
            else:
                word = self.verdict.value if index == self.at else "not judged"
            found.append((self.path[index], word))
        return tuple(found)

    def refusal(self, party: str | None = None) -> Untrusted:
        culprit = self.culprit
        evidence = f"certificate {self.at} of {len(self.path)} (0 = leaf)" if self.at is not None else None
        if culprit is not None:
            evidence = f"{evidence}: {culprit.title}, serial {culprit.serial:X}"
        return Untrusted(
            f"the {self.role} chain was refused: {self.reason}",
            code=self.verdict.code,
            party=party,
            evidence=evidence,
        )
