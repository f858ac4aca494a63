"""Binding: from an unprotected profile package to a BoundProfilePackage for one eUICC (SGP.22 §2.5.4, §5.5).

Two modes. With session keys everything is made at binding time. With a random key (PPK) the profile elements
are protected in advance, for no eUICC in particular, and only the small rest is made late: prefer it for
fleets. BF36 is written by hand, because its lists hold ready-made TLVs.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Final

import msgspec

from keim.crypto.agreement import OneTimeKey
from keim.crypto.bsp import COMMAND_TAG, METADATA_TAG, PROFILE_ELEMENTS_TAG, Bsp
from keim.crypto.kdf import KEY_LENGTH_AES128, KEY_TYPE_AES, SessionKeys, derive_session_keys
from keim.crypto.signed import (
    ONE_TIME_KEY_TAG,
    REMOTE_OP_ID_INSTALL,
    SIGNATURE_TAG,
    initialise_secure_channel_tbs,
)
from keim.crypto.suites import suite_named
from keim.deciding import Deciding, ask
from keim.der import header, tlv
from keim.errors import Refused, Unencodable
from keim.seams import Signer

PACKAGE_TAG: Final = 0xBF36
INITIALISE_SECURE_CHANNEL_TAG: Final = 0xBF23
CONFIGURE_ISDP_GROUP: Final = 0xA0
STORE_METADATA_GROUP: Final = 0xA1
REPLACE_SESSION_KEYS_GROUP: Final = 0xA2
PROFILE_ELEMENTS_GROUP: Final = 0xA3

EMPTY_CONFIGURE_ISDP: Final = b"\xbf\x24\x00"
PPK_OCTETS: Final = 48


class ProtectedProfile(msgspec.Struct, frozen=True, gc=False):
    """A protected profile package (PPP): its 86 TLVs, and the random keys that open them."""

    keys: SessionKeys
    segments: bytes

    def __repr__(self) -> str:
        return f"ProtectedProfile({len(self.segments)} octets, ***)"


def profile_protection_keys(random_octets: bytes) -> SessionKeys:
    """The three values of ReplaceSessionKeys from 48 octets of the caller's entropy."""
    if len(random_octets) != PPK_OCTETS:
        raise Unencodable(f"{PPK_OCTETS} random octets are needed, not {len(random_octets)}")
    return SessionKeys(
        initial_mac_chaining_value=random_octets[:16], s_enc=random_octets[16:32], s_mac=random_octets[32:]
    )


def protect_profile(upp: bytes, keys: SessionKeys) -> ProtectedProfile:
    """Step one of PPK mode: once per profile, for whichever eUICC will load it."""
    return ProtectedProfile(keys=keys, segments=Bsp.from_keys(keys).protect_all(PROFILE_ELEMENTS_TAG, upp))


def replace_session_keys(keys: SessionKeys) -> bytes:
    """ReplaceSessionKeysRequest."""
    return tlv(
        0xBF26,
        tlv(0x80, keys.initial_mac_chaining_value),
        tlv(0x81, keys.s_enc),
        tlv(0x82, keys.s_mac),
    )


@lru_cache(maxsize=64)
def control_ref_template(host_id: bytes) -> bytes:
    """The CRT: key type AES, 16 octets, hostId. Remembered: a server has one hostId."""
    return tlv(
        0xA6, tlv(0x80, bytes((KEY_TYPE_AES,))), tlv(0x81, bytes((KEY_LENGTH_AES128,))), tlv(0x84, host_id)
    )


def initialise_secure_channel(
    *, transaction_id: bytes, host_id: bytes, smdp_otpk: bytes, euicc_otpk: bytes, signer: Signer
) -> Deciding[bytes]:
    """InitialiseSecureChannelRequest, signed by DPpb. It alone is made anew when a retry re-uses the keys."""
    transaction = tlv(0x80, transaction_id)
    template = control_ref_template(host_id)
    own_key = tlv(ONE_TIME_KEY_TAG, smdp_otpk)
    covered = initialise_secure_channel_tbs(
        transaction_id=transaction,
        control_ref_template=template,
        smdp_otpk=own_key,
        euicc_otpk=tlv(ONE_TIME_KEY_TAG, euicc_otpk),
    )
    signature = yield from ask(partial(signer.sign, covered))
    return tlv(
        INITIALISE_SECURE_CHANNEL_TAG,
        REMOTE_OP_ID_INSTALL,
        transaction,
        template,
        own_key,
        tlv(SIGNATURE_TAG, signature),
    )


def binding(
    profile: bytes | ProtectedProfile,
    *,
    store_metadata: bytes,
    transaction_id: bytes,
    host_id: bytes,
    eid: bytes,
    euicc_otpk: bytes,
    signer: Signer,
    one_time_key: OneTimeKey | None = None,
    configure_isdp: bytes = EMPTY_CONFIGURE_ISDP,
) -> Deciding[bytes]:
    """A BoundProfilePackage. Plain bytes are bound with session keys, a `ProtectedProfile` in PPK mode.

    `signer` is DPpb's. Without `one_time_key` a pair is made and forgotten; a server that may have to bind
    again for the same otPK.EUICC keeps its pair and gives it back: then all but BF23 comes out the same.
    """
    suite = suite_named(signer.algorithm)
    if one_time_key is None:
        one_time_key = suite.new_one_time_key()
    elif one_time_key.curve is not suite.curve:
        raise Refused("the one-time key is not on the curve of DPpb", code="crypto.mixed_curves")
    secret = yield from ask(partial(one_time_key.agree, euicc_otpk))
    keys = derive_session_keys(secret, host_id=host_id, eid=eid)
    bsp = Bsp.from_keys(keys)
    channel = initialise_secure_channel(
        transaction_id=transaction_id,
        host_id=host_id,
        smdp_otpk=one_time_key.public_point,
        euicc_otpk=euicc_otpk,
        signer=signer,
    )
    parts = [
        (yield from channel),
        tlv(CONFIGURE_ISDP_GROUP, bsp.protect_all(COMMAND_TAG, configure_isdp)),
        tlv(STORE_METADATA_GROUP, bsp.protect_all(METADATA_TAG, store_metadata)),
    ]
    if isinstance(profile, ProtectedProfile):
        replacement = replace_session_keys(profile.keys)
        parts.append(tlv(REPLACE_SESSION_KEYS_GROUP, bsp.protect_all(COMMAND_TAG, replacement)))
        elements = profile.segments
    else:
        elements = bsp.protect_all(PROFILE_ELEMENTS_TAG, profile)
    # Joined once: the elements are long.
    parts += [header(PROFILE_ELEMENTS_GROUP, len(elements)), elements]
    return b"".join((header(PACKAGE_TAG, sum(map(len, parts))), *parts))
