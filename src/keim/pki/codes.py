"""From a verdict to the codes of the protocols, as tables (crypto §1.8) that can be corrected.

Pure. Imports its neighbours in keim.pki only.
"""

from __future__ import annotations

from typing import Final

from keim.pki.certificate import Certificate
from keim.pki.verdict import Validation, Verdict

StatusCode = tuple[str, str]
"""(subject code, reason code) of ES9+ and ES9+'."""

_EUM: Final = "8.1.2"
_EUICC: Final = "8.1.3"
_INVALID: Final = "6.1"
_EXPIRED: Final = "6.3"
_UNKNOWN_CI: Final[StatusCode] = ("8.11.1", "3.9")
_OTHER_EID: Final[StatusCode] = ("8.1.1", "3.8")


def es9_code(validation: Validation) -> StatusCode | None:
    """What an SM-DP+ or SM-DS answers to a refused eUICC chain; None for an accepted one."""
    verdict = validation.verdict
    if verdict is Verdict.OK:
        return None
    if verdict is Verdict.UNTRUSTED_ROOT:
        return _code_without_root(validation)
    if verdict is Verdict.NAME_MISMATCH:
        return _OTHER_EID
    subject = _EUM if validation.at else _EUICC
    return subject, _EXPIRED if verdict is Verdict.EXPIRED else _INVALID


def _code_without_root(validation: Validation) -> StatusCode:
    """What stands in the EUM's place decides: nothing, a certificate of no issuer, or one of another CI."""
    top = validation.path[-1]
    if len(validation.path) == 1:
        return (_EUM if validation.dropped else _EUICC), _INVALID
    if validation.reached_root:
        return _EUICC, _INVALID
    if top.is_self_issued or top.aki is None:
        return _EUM, _INVALID
    return _UNKNOWN_CI


AUTHENTICATE_ERRORS: Final[dict[Verdict, int]] = {
    Verdict.UNTRUSTED_ROOT: 7,
    Verdict.UNSUPPORTED_CURVE: 3,
    Verdict.MIXED_CURVE: 3,
    Verdict.MISSING_EXTENSION: 5,
}
"""AuthenticateErrorCode of an eUICC that refuses CERT.DPauth or CERT.DSauth: 7 ciPKUnknown,
3 unsupportedCurve, 5 invalidOid (of these roles only the registeredID can be missing)."""

DOWNLOAD_ERRORS: Final[dict[Verdict, int]] = {Verdict.UNSUPPORTED_CURVE: 3, Verdict.MIXED_CURVE: 3}
"""DownloadErrorCode of an eUICC that refuses CERT.DPpb."""

INVALID_CERTIFICATE: Final = 1


def authenticate_error(verdict: Verdict) -> int:
    return AUTHENTICATE_ERRORS.get(verdict, INVALID_CERTIFICATE)


def download_error(verdict: Verdict) -> int:
    return DOWNLOAD_ERRORS.get(verdict, INVALID_CERTIFICATE)


def is_same_party(auth: Validation, binding: Validation) -> bool:
    """DPauth and DPpb of one session: the same registeredID and the same root (crypto §1.5.6)."""
    return auth.root.key_identifier == binding.root.key_identifier and has_same_oid(auth.leaf, binding.leaf)


def has_same_oid(one: Certificate, other: Certificate) -> bool:
    oids = one.alternative_names.registered_ids
    return len(oids) == 1 and oids == other.alternative_names.registered_ids
