"""An injected package, from the listener to the procedures: whose it is, and what follows its answer."""

from __future__ import annotations

from hashlib import sha256

from keim.app.ipa import Assistant, closing
from keim.der import RELAY
from keim.errors import Malformed
from keim.io.ipa_listener import Injected
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.initialise import initialise
from keim.ipa.injection import accept, follow_up
from keim.messages.esipa import TransferEimPackageError, TransferEimPackageRequest, TransferEimPackageResponse
from keim.messages.package import EimConfigurationData
from keim.pki import Certificate


def take_injected(assistant: Assistant, injected: Injected) -> None:
    """Answers the eIM, then does what had to wait for the answer to be out."""

    def procedure(ipa: Ipa) -> Procedure[None]:
        yield from initialise(ipa)
        authenticated = _authenticated(ipa, injected)
        entry = authenticated or _named(ipa, injected.octets)
        if entry is None:
            error = TransferEimPackageResponse(eim_package_error=TransferEimPackageError.UNDEFINED_ERROR)
            injected.answer(error.encode())
            return
        accepted = yield from accept(ipa, entry, injected.octets, is_authenticated=authenticated is not None)
        was_sent = injected.answer(accepted.response.encode())
        yield from follow_up(ipa, entry, accepted, was_sent=was_sent)

    assistant.run(closing(procedure))


def _authenticated(ipa: Ipa, injected: Injected) -> EimConfigurationData | None:
    """The eIM whose carrier this is, or whose trustedPublicKeyDataTls is the client's certificate or key
    (bindings §4.4)."""
    if injected.eim_id is not None:
        return next((eim for eim in ipa.eims if eim.eim_id == injected.eim_id), None)
    client = injected.client
    key = injected.key if client is None else sha256(Certificate(client).spki).digest()
    if not key:
        return None
    return next((eim for eim in ipa.eims if key in _keys_of(eim)), None)


def _keys_of(eim: EimConfigurationData) -> list[bytes]:
    """The SHA-256 of the key that proves this eIM in TLS, if its entry pins one."""
    data = eim.trusted_public_key_data_tls
    if data is None:
        return []
    found = [] if data.trusted_eim_pk_tls is None else [bytes(data.trusted_eim_pk_tls)]
    if data.trusted_certificate_tls is not None:
        found.append(Certificate(data.trusted_certificate_tls).spki)
    return [sha256(spki).digest() for spki in found]


def _named(ipa: Ipa, octets: bytes) -> EimConfigurationData | None:
    """A signed package says whose it is; the card checks the signature."""
    try:
        request = TransferEimPackageRequest.decode(octets, RELAY).euicc_package_request
    except Malformed:
        request = None
    if request is not None:
        return ipa.entry(request.euicc_package_signed.eim_id)
    return ipa.eims[0] if len(ipa.eims) == 1 else None
