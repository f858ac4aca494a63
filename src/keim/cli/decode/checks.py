"""What an object proves by itself and what it cannot: check digits, signatures beside their certificate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from keim import messages as m
from keim.crypto import signed
from keim.crypto.ecdsa import VerifyingKey
from keim.der import Message
from keim.der.schema import fields_of
from keim.der.view import Node
from keim.errors import KeimError
from keim.ids import Eid, Iccid, Plmn, Version
from keim.pki import Certificate


class Check(NamedTuple):
    what: str
    outcome: str
    """good, bad or open"""
    why: str


_READERS: dict[str, Callable[[bytes], object]] = {
    "iccid": Iccid.from_octets,
    "mccMnc": Plmn.from_octets,
    "rPLMN": Plmn.from_octets,
    "svn": Version.from_octets,
    "profileVersion": Version.from_octets,
    "euiccFirmwareVer": Version.from_octets,
    "ppVersion": Version.from_octets,
    "lpaSvn": Version.from_octets,
}


def readable(node: Node, octets: bytes) -> str:
    """A value as people write it, where its octets do not show that."""
    name = node.name.rpartition(".")[2]
    reader = _READERS.get(name)
    try:
        if name == "eidValue":
            eid = Eid.from_octets(octets)
            return "" if eid.has_valid_check_digits else "check digits do not fit"
        if reader is not None:
            return str(reader(octets))
        if name in ("tagList",):
            return " ".join(_tags(octets))
    except KeimError as fault:
        return f"({fault})"
    return ""


def _tags(octets: bytes) -> list[str]:
    from keim.der.read import read_tag, tag_text

    found, p = [], 0
    try:
        while p < len(octets):
            tag, p = read_tag(octets, p)
            found.append(tag_text(tag))
    except IndexError:
        found.append("…")
    return found


def checks_of(value: Any) -> list[Check]:
    """All checks of a decoded object and of what it holds."""
    found: list[Check] = []
    if isinstance(value, tuple):
        for item in value:
            found += checks_of(item)
    if not isinstance(value, Message):
        return found
    for kind, check in _CHECKS.items():
        if isinstance(value, kind):
            found.append(check(value))
    kind_of: Any = type(value)
    for field in fields_of(kind_of):
        found += checks_of(getattr(value, field.name))
    return found


def _verified(what: str, certificate: bytes, signature: bytes, covered: bytes) -> Check:
    try:
        owner = Certificate(certificate)
        if owner.curve is None:
            return Check(what, "bad", "the certificate's key is on no curve of the standard")
        VerifyingKey(owner.curve.domain, owner.point).verify(signature, covered)
    except KeimError as fault:
        return Check(what, "bad", str(fault))
    return Check(
        what, "good", "verified with the certificate that travels along; the chain is for `keim pki check`"
    )


def _open(what: str, needs: str) -> Callable[[Any], Check]:
    return lambda _: Check(what, "open", f"not verified: it needs {needs}, which is not in the object")


def _other_notification(value: m.OtherSignedNotification) -> Check:
    covered = signed.other_notification_tbs(value.tbs_other_notification.encode())
    return _verified(
        "euiccNotificationSignature", value.euicc_certificate, value.euicc_notification_signature, covered
    )


def _authenticate_response(value: m.AuthenticateResponseOk) -> Check:
    covered = signed.euicc_signed1_tbs(value.euicc_signed1.encode())
    return _verified("euiccSignature1", value.euicc_certificate, value.euicc_signature1, covered)


def _server(
    value: m.AuthenticateServerRequest | m.InitiateAuthenticationOkEs9 | m.InitiateAuthenticationOkEsipa,
) -> Check:
    covered = signed.server_signed1_tbs(value.server_signed1.encode())
    return _verified("serverSignature1", value.server_certificate, value.server_signature1, covered)


_CHECKS: dict[Any, Callable[[Any], Check]] = {
    m.OtherSignedNotification: _other_notification,
    m.AuthenticateResponseOk: _authenticate_response,
    m.AuthenticateServerRequest: _server,
    m.InitiateAuthenticationOkEs9: _server,
    m.InitiateAuthenticationOkEsipa: _server,
    m.EuiccPackageRequest: _open("eimSignature", "the eIM's key and the association token"),
    m.EuiccPackageResultSigned: _open("euiccSignEPR", "the eUICC's certificate and the association token"),
    m.EuiccPackageErrorSigned: _open("euiccSignEPE", "the eUICC's certificate and the association token"),
    m.ProfileInstallationResult: _open("euiccSignPIR", "the eUICC's certificate"),
    m.PrepareDownloadRequest: _open("smdpSignature2", "euiccSignature1 of the same session"),
    m.PrepareDownloadResponseOk: _open("euiccSignature2", "smdpSignature2 and the eUICC's certificate"),
    m.CancelSessionResponseOk: _open("euiccCancelSessionSignature", "the eUICC's certificate"),
    m.InitialiseSecureChannelRequest: _open("smdpSign", "CERT.DPpb and the eUICC's one-time key"),
}
