"""Signing keys in a PKCS#11 token (HSM, smart card, SoftHSM2): the key never leaves it.

Needs the extra `keim[pkcs11]`. The token signs a SHA-256 digest with CKM_ECDSA, which gives r || s.
"""

from __future__ import annotations

import hashlib
from threading import Lock
from types import ModuleType
from typing import Any

from keim.crypto.curves import CURVES, POINT_OCTETS, Curve
from keim.crypto.ecdsa import SIGNATURE_OCTETS
from keim.crypto.secrets import Secret
from keim.crypto.suites import Suite, suite_of_curve
from keim.der import read_tlv, tlv
from keim.errors import Malformed, Refused, WorldError
from keim.ids import Oid


def _library() -> ModuleType:
    try:
        import pkcs11
        import pkcs11.exceptions
    except ImportError:
        raise WorldError(
            "the library python-pkcs11 is not installed; install keim[pkcs11]", code="crypto.hsm_unavailable"
        ) from None
    return pkcs11


def _unavailable(what: str, fault: Exception) -> WorldError:
    """The library's own words are kept to the kind of the fault: they never repeat a PIN."""
    return WorldError(f"{what}: {type(fault).__name__}", code="crypto.hsm_unavailable")


class Pkcs11Token:
    """A logged-in session with one token. Close it when the process ends its work."""

    def __init__(self, module: str, token_label: str, pin: Secret, *, writes: bool = False) -> None:
        library = _library()
        self._library = library
        self._fault: type[Exception] = library.exceptions.PKCS11Error
        try:
            user_pin = pin.reveal().decode()
        except UnicodeDecodeError:  # its words repeat the octets
            raise Refused("the PIN of the token is no UTF-8 text", code="crypto.hsm_pin_form") from None
        # python-pkcs11 runs one operation per session at a time.
        self._lock = Lock()
        try:
            token = library.lib(module).get_token(token_label=token_label)
            self._session: Any = token.open(user_pin=user_pin, rw=writes)
        except (self._fault, RuntimeError) as fault:  # RuntimeError: the module cannot be loaded
            raise _unavailable(f"PKCS#11 token {token_label!r}", fault) from None

    def close(self) -> None:
        self._session.close()

    def __repr__(self) -> str:
        return "Pkcs11Token(***)"

    def signer(self, label: str) -> Pkcs11Signer:
        """The `Signer` of the one key pair with that label."""
        classes, attributes = self._library.ObjectClass, self._library.Attribute
        try:
            private = self._session.get_key(object_class=classes.PRIVATE_KEY, label=label)
            public = self._session.get_key(object_class=classes.PUBLIC_KEY, label=label)
            parameters, point = public[attributes.EC_PARAMS], public[attributes.EC_POINT]
        except (self._library.exceptions.NoSuchKey, self._library.exceptions.MultipleObjectsReturned):
            raise Refused(
                f"the token has not exactly one key pair {label!r}", code="crypto.hsm_key_missing"
            ) from None
        except self._fault as fault:
            raise _unavailable(f"key {label!r}", fault) from None
        suite = suite_of_curve(_curve_of(parameters, label))
        return Pkcs11Signer(self, private, suite, _point_of(point, label), label)

    def create_key(self, label: str, suite: Suite) -> Pkcs11Signer:
        """A new key pair inside of the token, not extractable; a label that is taken is refused."""
        attributes = self._library.Attribute
        try:
            if list(self._session.get_objects({attributes.LABEL: label})):
                raise Refused(f"the token holds {label!r} already", code="crypto.key_exists")
            parameters = self._session.create_domain_parameters(
                self._library.KeyType.EC,
                {attributes.EC_PARAMS: tlv(0x06, Oid(suite.curve.oid).content)},
                local=True,
            )
            parameters.generate_keypair(label=label, store=True)
        except self._fault as fault:
            raise _unavailable(f"key {label!r}", fault) from None
        return self.signer(label)

    def sign_digest(self, private_key: Any, digest: bytes, label: str) -> bytes:
        try:
            with self._lock:
                signature: bytes = private_key.sign(digest, mechanism=self._library.Mechanism.ECDSA)
        except self._fault as fault:
            raise _unavailable(f"signing with key {label!r}", fault) from None
        if len(signature) != SIGNATURE_OCTETS:
            raise WorldError(
                f"the token made a signature of {len(signature)} octets", code="crypto.hsm_unavailable"
            )
        return signature


class Pkcs11Signer:
    """The `Signer` of a key pair in a token."""

    __slots__ = ("_label", "_point", "_private_key", "_suite", "_token")

    def __init__(self, token: Pkcs11Token, private_key: Any, suite: Suite, point: bytes, label: str) -> None:
        self._token = token
        self._private_key = private_key
        self._suite = suite
        self._point = suite.verifying_key(point).point
        self._label = label

    @property
    def algorithm(self) -> str:
        return self._suite.name

    @property
    def public_point(self) -> bytes:
        return self._point

    def sign(self, message: bytes) -> bytes:
        return self._token.sign_digest(self._private_key, hashlib.sha256(message).digest(), self._label)

    def __repr__(self) -> str:
        return f"Pkcs11Signer({self._label!r}, {self.algorithm})"


def _curve_of(parameters: bytes, label: str) -> Curve:
    for curve in CURVES:
        if parameters == tlv(0x06, Oid(curve.oid).content):
            return curve
    raise Refused(f"the key {label!r} is on another curve", code="crypto.wrong_curve")


def _point_of(point: bytes, label: str) -> bytes:
    """CKA_EC_POINT: an OCTET STRING with the point; some tokens give the bare point."""
    if len(point) == POINT_OCTETS:
        return point
    try:
        element = read_tlv(point)
    except Malformed:
        raise Refused(f"the key {label!r} has no readable point", code="crypto.point_form") from None
    return point[element.content : element.end]
