"""The trust of the eSIM world: certificates by role, chains, revocation, and a PKI of one's own.

Floor 0: no I/O, no clock. Imports keim.errors and keim.ids only.
"""

from keim.pki.certificate import Certificate
from keim.pki.crl import Crl, Revocations, make_crl
from keim.pki.curve import Curve
from keim.pki.roles import Role
from keim.pki.trust import TrustStore
from keim.pki.validate import require, validate
from keim.pki.verdict import Validation, Verdict

__all__ = [
    "Certificate",
    "Crl",
    "Curve",
    "Revocations",
    "Role",
    "TrustStore",
    "Validation",
    "Verdict",
    "make_crl",
    "require",
    "validate",
]
