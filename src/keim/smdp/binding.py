"""Binding a profile for one eUICC, anew or once more with the key of an earlier try (crypto §3, §4).

Pure but for the one-time key that `cryptography` makes; imports floor 0 only.
"""

from __future__ import annotations

import msgspec

from keim.authentication import ServerIdentity
from keim.crypto.agreement import OneTimeKey
from keim.crypto.bpp import ProtectedProfile, binding, profile_protection_keys
from keim.crypto.suites import suite_named
from keim.deciding import Deciding, ask
from keim.ids import Eid
from keim.smdp.rows import Contents, Profile, Protection
from keim.smdp.settings import Smdp

_OTSK = b"keim one-time key "
_PPK = b"keim profile protection keys "
_UPP = b"keim profile package "


class Bound(msgspec.Struct, frozen=True):
    bound_profile_package: bytes
    wrapped_otsk: bytes


def key_context(iccid: str) -> bytes:
    return _PPK + iccid.encode()


def package_context(iccid: str) -> bytes:
    return _UPP + iccid.encode()


def bind_profile(
    smdp: Smdp,
    binder: ServerIdentity,
    profile: Profile,
    contents: Contents,
    body: bytes,
    *,
    transaction_id: bytes,
    eid: str,
    euicc_otpk: bytes,
) -> Deciding[Bound]:
    """Raises `BadPublicKey` for a euicc_otpk that is no point of the curve."""
    context = _OTSK + profile.iccid.encode()
    suite = suite_named(binder.signer.algorithm)
    if profile.wrapped_otsk is not None and profile.euicc_otpk == euicc_otpk and profile.bound_eid == eid:
        wrapped = profile.wrapped_otsk
        one_time_key = OneTimeKey.from_scalar(suite.curve, smdp.key_wrap.unwrap(wrapped, context))
    else:
        one_time_key = yield from ask(suite.new_one_time_key)
        wrapped = smdp.key_wrap.wrap(one_time_key.scalar.reveal(), context)
    package = yield from binding(
        open_contents(smdp, contents, body),
        store_metadata=contents.metadata,
        transaction_id=transaction_id,
        host_id=smdp.host_id,
        eid=Eid(eid).octets,
        euicc_otpk=euicc_otpk,
        signer=binder.signer,
        one_time_key=one_time_key,
    )
    return Bound(package, wrapped)


def open_contents(smdp: Smdp, contents: Contents, body: bytes) -> bytes | ProtectedProfile:
    """What `bind` takes: the package itself, or its protected form with the keys for it."""
    if contents.protection is Protection.PPK:
        keys = smdp.key_wrap.unwrap(contents.wrapped_keys, key_context(contents.iccid))
        return ProtectedProfile(keys=profile_protection_keys(keys), segments=body)
    return smdp.key_wrap.unwrap(body, package_context(contents.iccid))
