"""The eIM store (euicc.md section 11): what may be added, and in which form it is kept and shown.

AddInitialEim, the eCOs and GetEimConfigurationData share it. Imports floor 0 and the card's values only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from keim.crypto.faults import BadPublicKey
from keim.crypto.suites import verifying_key_of_spki
from keim.errors import Malformed, PeerError
from keim.euicc.isdr.signing import find_credential
from keim.euicc.isdr_state import Eim
from keim.messages.package import AddEimResultCode, EimConfigurationData, EimPublicKeyData
from keim.pki import Certificate

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState

HIGHEST_COUNTER = 0x7FFFFF
GENERATE_TOKEN = -1


def eim_of(state: CardState, eim_id: str) -> Eim | None:
    return next((eim for eim in state.isdr.eims if eim.eim_id == eim_id), None)


def knows_ci(context: CardContext, ci_pk_id: bytes | None) -> bool:
    """absent means the card's first CI; an empty identifier names none."""
    return ci_pk_id is None or (ci_pk_id != b"" and find_credential(context.identity, ci_pk_id) is not None)


def is_counter(value: int) -> bool:
    return 0 <= value <= HIGHEST_COUNTER


def public_key_of(data: EimPublicKeyData) -> bytes | None:
    """The SubjectPublicKeyInfo that verifies packages; None when no suite of the card takes the key."""
    try:
        if data.eim_certificate is not None:
            spki = Certificate(data.eim_certificate).spki
        else:
            spki = bytes(data.eim_public_key or b"")
        verifying_key_of_spki(spki)
    except (Malformed, BadPublicKey, PeerError):
        return None
    return spki


@lru_cache(maxsize=256)
def shared(octets: bytes) -> bytes:
    """Cards of one fleet hold the same keys and configurations; in one process they hold them once."""
    return octets


def check(
    context: CardContext, data: EimConfigurationData, associated: tuple[Eim, ...]
) -> AddEimResultCode | bytes:
    """In the standard's order 2, 3, 5, 6, 7, 1; the public key when nothing is wrong (section 7)."""
    if any(eim.eim_id == data.eim_id for eim in associated):
        return AddEimResultCode.ASSOCIATED_EIM_ALREADY_EXISTS
    if not knows_ci(context, data.euicc_ci_pk_id):
        return AddEimResultCode.CI_PK_UNKNOWN
    token = data.association_token
    is_chosen = token is not None and token > 0 and context.options.accepts_chosen_tokens
    if token is not None and token != GENERATE_TOKEN and not is_chosen:
        return AddEimResultCode.INVALID_ASSOCIATION_TOKEN
    if data.counter_value is not None and not is_counter(data.counter_value):
        return AddEimResultCode.COUNTER_VALUE_OUT_OF_RANGE
    key = public_key_of(data.eim_public_key_data) if data.eim_public_key_data is not None else None
    if data.counter_value is None or key is None:
        return AddEimResultCode.COMMAND_ERROR
    if len(associated) >= context.options.eims_at_most or context.is_out_of_memory:
        return AddEimResultCode.INSUFFICIENT_MEMORY
    return key


def entry(data: EimConfigurationData, key: bytes, token: int | None) -> Eim:
    """The stored form of a configuration that `check` accepted."""
    return Eim(
        eim_id=data.eim_id,
        counter_value=data.counter_value or 0,
        association_token=token,
        public_key=shared(key),
        ci_pk_id=data.euicc_ci_pk_id or b"",
        configuration=stored_form(data),
    )


def stored_form(data: EimConfigurationData) -> bytes:
    return shared(data.replace(counter_value=None, association_token=None).encode())


def configuration_of(eim: Eim) -> EimConfigurationData:
    return EimConfigurationData.decode(eim.configuration)


def shown(eim: Eim) -> EimConfigurationData:
    """As BF55 shows it: with the counter and the token of now."""
    return configuration_of(eim).replace(
        counter_value=eim.counter_value, association_token=eim.association_token
    )


def added(state: CardState, data: EimConfigurationData, key: bytes) -> tuple[CardState, int | None]:
    """The state with the new association, and the token if one was generated."""
    isdr = state.isdr
    last, token = isdr.last_association_token, data.association_token
    if token == GENERATE_TOKEN:
        last += 1
        token = last
    isdr = msgspec.structs.replace(
        isdr, eims=(*isdr.eims, entry(data, key, token)), last_association_token=last
    )
    return msgspec.structs.replace(state, isdr=isdr), token
