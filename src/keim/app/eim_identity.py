"""Who an eIM is: its name, the keys it signs with and whom it trusts, out of PKI and configuration."""

from __future__ import annotations

from typing import Final

from keim.app.eim_config import EimConfig
from keim.app.identity import intermediates_of
from keim.crypto.ecdsa import MemorySigner
from keim.crypto.suites import suite_named, suite_of_curve
from keim.der import PublicKeyInfo
from keim.eim.addresses import AddressPolicy
from keim.eim.settings import Eim, key_name
from keim.errors import Refused
from keim.io.pkcs11_uri import signer_of_uri
from keim.messages.package import (
    EimConfigurationData,
    EimIdType,
    EimPublicKeyData,
    EimSupportedProtocol,
    TrustedPublicKeyDataTls,
)
from keim.pki import Role
from keim.pki.world import Credential, World
from keim.seams import Signer

SIGNING: Final = "eim-sign"
IN_PKI: Final = "pki"
"""Among the previous signing keys: those of the PKI."""


def eim_of(world: World, config: EimConfig) -> Eim:
    return Eim(
        eim_id=eim_id_of(config, world),
        signers=signers_of(world, config),
        current_signer=current_signer_of(world, config),
        signing_certificates=signing_certificates_of(world),
        trust=world.trust,
        intermediates=intermediates_of(world),
        revocations=world.revocations,
        rules=config.rules.rules(),
        switches=config.switches,
        addresses=AddressPolicy(frozenset(config.addresses.allowed), config.addresses.allow_private),
    )


def eim_id_of(config: EimConfig, world: World) -> str:
    return config.eim_id or name_in(world.get("eim-tls"))


def name_in(credential: Credential) -> str:
    names = credential.certificate.alternative_names.dns_names
    return next((name for name in names if name != "localhost"), names[0])


def signers_of(world: World, config: EimConfig) -> dict[str, Signer]:
    """Every signing key that is still here, oldest first: a key is kept until every eUICC knows the next."""
    if not config.signing_key:
        return signers_in(world)
    found: dict[str, Signer] = {}
    for place in (*config.previous_signing_keys, config.signing_key):
        if place == IN_PKI:
            found |= signers_in(world)
        else:
            signer = signer_of_uri(place)
            found[key_name(signer.public_point)] = signer
    return found


def signers_in(world: World) -> dict[str, Signer]:
    found: dict[str, Signer] = {}
    for credential in (*world.previous, *world.credentials):
        if credential.role is Role.EIM_SIGN and credential.key is not None:
            curve = credential.curve.domain
            signer = MemorySigner(suite_of_curve(curve).name, curve, credential.key)
            found[key_name(signer.public_point)] = signer
    if not found:
        raise Refused("this PKI has no eIM signing key", code="pki.credential_not_found")
    return found


def signing_certificates_of(world: World) -> dict[str, bytes]:
    """By the same names: what the audit log names the keys by."""
    return {
        key_name(credential.certificate.point): credential.certificate.der
        for credential in (*world.previous, *world.credentials)
        if credential.role is Role.EIM_SIGN
    }


def current_signer_of(world: World, config: EimConfig) -> str:
    """The name of the key that new associations are made with."""
    if config.signing_key:
        return key_name(signer_of_uri(config.signing_key).public_point)
    return key_name(world.get(SIGNING).certificate.point)


def signing_spki_of(world: World, config: EimConfig) -> bytes:
    if not config.signing_key:
        return world.get(SIGNING).certificate.spki
    signer = signer_of_uri(config.signing_key)
    return suite_named(signer.algorithm).curve.spki(signer.public_point)


def configuration_data(world: World, config: EimConfig, *, counter: int = 0) -> EimConfigurationData:
    """What a card's maker stores, or another eIM adds: everything that makes this eIM known to an eUICC."""
    eim_id = eim_id_of(config, world)
    tls = world.get("eim-tls")
    pinned = TrustedPublicKeyDataTls(trusted_eim_pk_tls=PublicKeyInfo(tls.certificate.spki))
    return EimConfigurationData(
        eim_id=eim_id,
        eim_fqdn=name_in(tls),
        eim_id_type=EimIdType.EIM_ID_TYPE_FQDN,
        counter_value=counter,
        association_token=-1,
        eim_public_key_data=EimPublicKeyData(eim_public_key=PublicKeyInfo(signing_spki_of(world, config))),
        trusted_public_key_data_tls=pinned if config.pin_tls_key else None,
        eim_supported_protocol=protocols_of(config),
        indirect_profile_download=True,
    )


def protocols_of(config: EimConfig) -> EimSupportedProtocol:
    found = EimSupportedProtocol.EIM_RETRIEVE_HTTPS
    if config.coap.listen:
        found |= EimSupportedProtocol.EIM_RETRIEVE_COAPS
    if config.injection.calls_devices:
        found |= EimSupportedProtocol.EIM_INJECT_HTTPS | EimSupportedProtocol.EIM_INJECT_COAPS
    if config.mqtt is not None or config.lwm2m is not None:
        found |= EimSupportedProtocol.EIM_PROPRIETARY
    return found
