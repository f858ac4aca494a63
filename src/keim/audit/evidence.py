"""Whether what a leaf carries is signed by whom it should be: the eIM's packages, the eUICC's answers.

Pure. Imports its neighbours, keim.crypto, keim.pki and keim.messages only.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from keim.audit.leaf import Doubt, Leaf, SignedStatement, microseconds_of
from keim.audit.report import Report
from keim.crypto.ecdsa import VerifyingKey
from keim.crypto.signed import (
    euicc_package_error_tbs,
    euicc_package_result_tbs,
    euicc_package_tbs,
    euicc_package_v1_0_tbs,
    other_notification_tbs,
    profile_installation_result_tbs,
)
from keim.crypto.suites import verifying_key_of_spki
from keim.der import TOLERANT, walk
from keim.errors import BadSignature, KeimError, PeerError, Refused
from keim.ids import Eid
from keim.messages.notification import NotificationMetadata, ProfileInstallationResultData
from keim.messages.package import EuiccPackageRequest, EuiccPackageResult
from keim.pki import Certificate, Revocations, Role, TrustStore, Validation
from keim.pki.cache import ChainCache

Memory = MutableMapping[bytes, bytes]
"""What grows with the number of eUICCs; on disk where that matters."""
OBJECT: Final = b"o"
MOST_HELD: Final = 10_000
INSTALLATION: Final = b"\xbf\x27"


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """What of a leaf is beyond doubt."""

    package: EuiccPackageRequest | None = None
    result: EuiccPackageResult | None = None
    notifications: tuple[NotificationMetadata, ...] = ()


class Held(NamedTuple):
    """A key whose chain was accepted, and the microseconds between which its dates allow it."""

    start: int
    end: int
    key: VerifyingKey


class Evidence:
    """Judges signatures; remembers certificates in `memory` and accepted chains in a small cache."""

    def __init__(
        self,
        report: Report,
        memory: Memory,
        trust: TrustStore,
        revocations: Revocations | None = None,
    ) -> None:
        self.report = report
        self.memory = memory
        self.trust = trust
        self.revocations = revocations or Revocations(())
        self._chains = ChainCache()
        self._held: dict[tuple[bytes, ...], Held] = {}
        self._eim_keys: dict[bytes, VerifyingKey] = {}
        self._bare: set[bytes] = set()
        self._uncertified: set[bytes] = set()

    def learn(self, octets: bytes) -> bytes:
        """Keeps a certificate or key; its hash."""
        digest = sha256(octets).digest()
        self.memory[OBJECT + digest] = octets
        return digest

    def judge(self, index: int, leaf: Leaf) -> Proved:
        package = self._judged_package(index, leaf) if leaf.package is not None else None
        if leaf.result is None and not leaf.statements:
            return Proved(package=package)
        if leaf.doubt is not None and leaf.doubt is not Doubt.UNKNOWN_PACKAGE:
            self._doubt(index, leaf)
            return Proved(package=package)
        try:
            result, notifications = self._judged_answer(leaf)
        except PeerError as error:
            self._fault(index, error, "the eUICC's")
            return Proved(package=package)
        if leaf.doubt is not None:
            self._doubt(index, leaf)
            result = None
        return Proved(package=package, result=result, notifications=notifications)

    def _doubt(self, index: int, leaf: Leaf) -> None:
        self.report.doubtful += 1
        word = leaf.doubt.name.lower().replace("_", " ") if leaf.doubt is not None else ""
        self.report.remark(
            "audit.doubt_declared",
            f"the log itself says of the eUICC's answer: {word}; nothing is drawn from it",
            index,
        )

    def _fault(self, index: int, error: KeimError, whose: str) -> None:
        if isinstance(error, BadSignature):
            code = "audit.eim_signature" if whose == "the eIM's" else "audit.euicc_signature"
        elif error.code == "audit.object_missing":
            code = error.code
        elif error.code.startswith("pki."):
            code = "audit.chain_refused"
        else:
            code = "audit.evidence_unreadable"
        self.report.fault(code, f"{whose} evidence: {error}", index)

    # the eIM

    def _judged_package(self, index: int, leaf: Leaf) -> EuiccPackageRequest | None:
        try:
            package = EuiccPackageRequest.decode(leaf.package or b"", TOLERANT)
            signed = package.euicc_package_signed
            octets = signed.raw or b""
            tbs = (
                euicc_package_v1_0_tbs(octets)
                if leaf.without_token
                else euicc_package_tbs(octets, leaf.association_token)
            )
            self._eim_key(index, leaf).verify(package.eim_signature, tbs, accept_der=True)
        except (PeerError, Refused) as error:
            self._fault(index, error, "the eIM's")
            return None
        if signed.eid_value != leaf.eid:
            self.report.fault(
                "audit.result_mismatch", "the package is for another eUICC than the leaf says", index
            )
            return None
        self.report.signatures += 1
        self.report.packages += 1
        return package

    def _eim_key(self, index: int, leaf: Leaf) -> VerifyingKey:
        digest = leaf.package_signer
        if digest is None:
            raise _missing("the leaf names no key of the eIM")
        octets = self._object(digest)
        key = self._eim_keys.get(digest)
        if key is None:
            is_bare = not _is_certificate(octets)
            key = verifying_key_of_spki(octets if is_bare else Certificate(octets).spki)
            if is_bare:
                self._bare.add(digest)
                self._uncertified_key(index, digest, "is bare, without certificate")
            self._eim_keys[digest] = key
        if digest not in self._bare and self._held_key((digest,), leaf.time) is None:
            self._judge_eim_certificate(index, digest, octets, key, leaf.at)
        return key

    def _judge_eim_certificate(
        self, index: int, digest: bytes, octets: bytes, key: VerifyingKey, at: datetime
    ) -> None:
        validation = self._chains.validate(
            octets, (), self.trust, role=Role.EIM_SIGN, now=at, crls=self.revocations
        )
        if validation.ok:
            self._hold((digest,), validation, key)
        else:
            self._uncertified_key(index, digest, f"has a certificate that was refused ({validation.reason})")

    def _uncertified_key(self, index: int, digest: bytes, why: str) -> None:
        """No fault: eUICCs know their eIM by its key, and executed packages prove that they knew this one."""
        if digest not in self._uncertified:
            self._uncertified.add(digest)
            self.report.remark("audit.eim_key_uncertified", f"the eIM's key {digest.hex()} {why}", index)

    # the eUICC

    def _judged_answer(
        self, leaf: Leaf
    ) -> tuple[EuiccPackageResult | None, tuple[NotificationMetadata, ...]]:
        key: VerifyingKey | None = None
        result = None
        if leaf.result is not None:
            result = EuiccPackageResult.decode(leaf.result, TOLERANT)
            if result.euicc_package_error_unsigned is None:
                key = self._euicc_key(leaf)
                self._verify_result(leaf, result, key)
                self.report.signatures += 1
            self.report.results += 1
        notifications = []
        for statement in leaf.statements or ():
            key = key or self._euicc_key(leaf)
            notifications.append(self._verified_statement(statement, key))
            self.report.signatures += 1
            self.report.statements += 1
        return result, tuple(notifications)

    def _verify_result(self, leaf: Leaf, result: EuiccPackageResult, key: VerifyingKey) -> None:
        if (good := result.euicc_package_result_signed) is not None:
            octets, signature = good.euicc_package_result_data_signed.raw or b"", good.euicc_sign_epr
            tbs = euicc_package_result_tbs(octets, leaf.association_token)
        else:
            error = result.euicc_package_error_signed
            if error is None:
                raise BadSignature("the result is of no known form")
            octets, signature = error.euicc_package_error_data_signed.raw or b"", error.euicc_sign_epe
            tbs = euicc_package_error_tbs(octets, leaf.association_token)
        if leaf.without_token:
            tbs = euicc_package_v1_0_tbs(octets)
        key.verify(signature, tbs, accept_der=True)

    def _verified_statement(self, statement: SignedStatement, key: VerifyingKey) -> NotificationMetadata:
        octets = bytes(statement.statement)
        if octets.startswith(INSTALLATION):
            key.verify(statement.signature, profile_installation_result_tbs(octets))
            return ProfileInstallationResultData.decode(octets, TOLERANT).notification_metadata
        key.verify(statement.signature, other_notification_tbs(octets))
        return NotificationMetadata.decode(octets, TOLERANT)

    def _euicc_key(self, leaf: Leaf) -> VerifyingKey:
        if not leaf.euicc_chain or leaf.eid is None:
            raise _missing("the leaf names no certificate of the eUICC")
        name = (leaf.eid, *leaf.euicc_chain)
        held = self._held_key(name, leaf.time)
        if held is not None:
            return held
        certificate, *above = (self._object(digest) for digest in leaf.euicc_chain)
        validation = self._chains.validate(
            certificate,
            above,
            self.trust,
            role=Role.EUICC,
            now=leaf.at,
            crls=self.revocations,
            eid=Eid.from_octets(leaf.eid),
        )
        if not validation.ok:
            raise validation.refusal()
        curve = validation.leaf.curve
        assert curve is not None  # an accepted chain is on a known curve
        key = VerifyingKey.from_point(curve.domain, validation.leaf.point)
        self._hold(name, validation, key)
        return key

    def _held_key(self, name: tuple[bytes, ...], time: int) -> VerifyingKey | None:
        """Spares most leaves a walk along their chain: nothing but the dates can have changed."""
        held = self._held.get(name)
        return held.key if held is not None and held.start <= time <= held.end else None

    def _hold(self, name: tuple[bytes, ...], validation: Validation, key: VerifyingKey) -> None:
        if self.revocations:
            return  # lists have dates of their own
        if len(self._held) >= MOST_HELD:
            del self._held[next(iter(self._held))]
        start = max(microseconds_of(certificate.valid_from) for certificate in validation.path)
        end = min(microseconds_of(certificate.valid_until) for certificate in validation.path)
        self._held[name] = Held(start, end, key)

    def _object(self, digest: bytes) -> bytes:
        octets = self.memory.get(OBJECT + digest)
        if octets is None:
            raise _missing(f"the file has no certificate or key with the SHA-256 {digest.hex()}")
        return octets


def objects_of(octets: bytes) -> Iterable[bytes]:
    """The DER objects of an `objects` member."""
    for element in walk(octets):
        yield octets[element.start : element.end]


def _is_certificate(octets: bytes) -> bool:
    """A certificate begins with the SEQUENCE of its contents, an SPKI with one of an OID."""
    try:
        Certificate(octets)
    except PeerError:
        return False
    return True


def _missing(message: str) -> PeerError:
    return PeerError(message, code="audit.object_missing")
