"""What we picture of a device, and what each happening changes in it: one small class and one function each.

The eIM applies these when it learns something, and the events carry them, so that the picture of any past
instant is the fold of what was told until then by the very same functions. Pure; imports keim.eim.rows only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from keim.eim.rows import Association, Device, DeviceState, Knowledge, ProfileImage


class _Effect(msgspec.Struct, frozen=True, kw_only=True, tag_field="effect", omit_defaults=True):
    is_proved: bool = False
    """An eUICC's signature says so; otherwise it is only believed."""


class ProfileEnabled(_Effect, frozen=True, kw_only=True, tag="profile_enabled"):
    """And every other one disabled."""

    iccid: str
    """In human order."""


class ProfileDisabled(_Effect, frozen=True, kw_only=True, tag="profile_disabled"):
    """The profile is there, and not enabled."""

    iccid: str
    """In human order."""


class ProfileDeleted(_Effect, frozen=True, kw_only=True, tag="profile_deleted"):
    """The profile is there no more."""

    iccid: str
    """In human order."""


class ProfileInstalled(_Effect, frozen=True, kw_only=True, tag="profile_installed"):
    """The profile is there."""

    iccid: str
    """In human order."""


class FallbackSet(_Effect, frozen=True, kw_only=True, tag="fallback_set"):
    """This profile has the fallback attribute, and no other."""

    iccid: str
    """Empty: no profile has the attribute any more."""


class ProfilesListed(_Effect, frozen=True, kw_only=True, tag="profiles_listed"):
    """All of them, by the eUICC."""

    profiles: tuple[ProfileImage, ...]
    """`iccid`, `is_enabled`, `has_fallback_attribute`, and `info`: ProfileInfo as it came."""


class EimsListed(_Effect, frozen=True, kw_only=True, tag="eims_listed"):
    """All eIMs that the eUICC obeys."""

    eims: tuple[str, ...]
    """Their eimIds."""


class EimAdded(_Effect, frozen=True, kw_only=True, tag="eim_added"):
    """The eUICC obeys another eIM too."""

    eim_id: str
    """Its eimId."""
    token: int | None = None
    """The association token that the eUICC made for it."""
    counter: int | None = None
    """The counter that it begins with."""


class EimDeleted(_Effect, frozen=True, kw_only=True, tag="eim_deleted"):
    """The eUICC obeys an eIM no more."""

    eim_id: str
    """Its eimId."""
    is_ours: bool = False
    """Ours: the device is archived."""


class AssociationUpdated(_Effect, frozen=True, kw_only=True, tag="association_updated"):
    """Our own: another counter, another key of ours."""

    counter: int | None = None
    """The last one that counts as used."""
    signer: str | None = None
    """The name of the key."""


class CounterRaised(_Effect, frozen=True, kw_only=True, tag="counter_raised"):
    """Counters were left out: the eUICC may have seen higher ones."""

    counter: int
    """The last one that counts as used."""


class DefaultAddressSet(_Effect, frozen=True, kw_only=True, tag="default_address_set"):
    """The eUICC has another default SM-DP+."""

    address: str
    """Empty: none."""


class TokenTold(_Effect, frozen=True, kw_only=True, tag="token_told"):
    """The device says that this is our association token."""

    token: int
    """It is tried until a signature proves it."""


class TokenProved(_Effect, frozen=True, kw_only=True, tag="token_proved"):
    """A signature covers it; what is only said is not tried any more."""


class KeyProved(_Effect, frozen=True, kw_only=True, tag="key_proved"):
    """A chain to a CI ends in this key of the eUICC."""

    point: bytes
    """Uncompressed."""
    curve: str
    """Its name."""


class Learned(_Effect, frozen=True, kw_only=True, tag="learned"):
    """Out of a data request; members that are absent were not told. Empty addresses: there is none."""

    info1: bytes | None = None
    """EUICCInfo1 as it came."""
    info2: bytes | None = None
    """EUICCInfo2 as it came."""
    device_info: bytes | None = None
    """DeviceInfo as it came."""
    features: int | None = None
    """IpaFeatures, bit 0 of the standard as 1."""
    protocols: int | None = None
    """IpaSupportedProtocols, bit 0 of the standard as 1."""
    default_smdp_address: str | None = None
    """Of the default SM-DP+."""
    root_smds_address: str | None = None
    """Of the root SM-DS."""


class PictureDoubted(_Effect, frozen=True, kw_only=True, tag="picture_doubted"):
    """What we know of its profiles may not be so any more; the next list ends it."""


Effect = (
    ProfileEnabled
    | ProfileDisabled
    | ProfileDeleted
    | ProfileInstalled
    | FallbackSet
    | ProfilesListed
    | EimsListed
    | EimAdded
    | EimDeleted
    | AssociationUpdated
    | CounterRaised
    | DefaultAddressSet
    | TokenTold
    | TokenProved
    | KeyProved
    | Learned
    | PictureDoubted
)


class Picture(NamedTuple):
    device: Device
    knowledge: Knowledge


def applied(picture: Picture, effect: Effect, at: datetime) -> Picture:
    """The picture afterwards; of the two rows, one that does not change is the same object."""
    return _APPLY[type(effect)](picture, effect, at)


def all_applied(picture: Picture, effects: Iterable[Effect], at: datetime) -> Picture:
    for effect in effects:
        picture = applied(picture, effect, at)
    return picture


# profiles

Profiles = tuple[ProfileImage, ...]


def _changed(picture: Picture, edit: Callable[[Profiles], Profiles], *, is_proved: bool) -> Picture:
    """Believed at once; proved only by a signature. `proved` None: nothing differs."""
    device, knowledge = picture
    believed, proved = edit(knowledge.profiles), knowledge.proved
    if is_proved:
        proved = None if proved is None else edit(proved)
    elif proved is None:
        proved = knowledge.profiles
    if proved == believed:
        proved = None
    if believed == knowledge.profiles and proved == knowledge.proved:
        return picture
    return Picture(device, replace(knowledge, profiles=believed, proved=proved))


def _enabled(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at

    def edit(profiles: Profiles) -> Profiles:
        changed = tuple(
            p if p.is_enabled == (p.iccid == effect.iccid) else replace(p, is_enabled=not p.is_enabled)
            for p in profiles
        )
        if all(p.iccid != effect.iccid for p in profiles):
            changed += (ProfileImage(iccid=effect.iccid, is_enabled=True),)
        return changed

    return _changed(picture, edit, is_proved=effect.is_proved)


def _disabled(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    return _changed(
        picture,
        lambda profiles: tuple(
            replace(p, is_enabled=False) if p.iccid == effect.iccid and p.is_enabled else p for p in profiles
        ),
        is_proved=effect.is_proved,
    )


def _deleted(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    return _changed(
        picture,
        lambda profiles: tuple(p for p in profiles if p.iccid != effect.iccid),
        is_proved=effect.is_proved,
    )


def _installed(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at

    def edit(profiles: Profiles) -> Profiles:
        if any(p.iccid == effect.iccid for p in profiles):
            return profiles
        return (*profiles, ProfileImage(iccid=effect.iccid))

    return _changed(picture, edit, is_proved=effect.is_proved)


def _fallback(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    return _changed(
        picture,
        lambda profiles: tuple(replace(p, has_fallback_attribute=p.iccid == effect.iccid) for p in profiles),
        is_proved=effect.is_proved,
    )


def _listed(picture: Picture, effect: Any, at: datetime) -> Picture:
    device, knowledge = _changed(picture, lambda _profiles: effect.profiles, is_proved=effect.is_proved)
    if effect.is_proved:
        knowledge = replace(knowledge, proved=None)
    return Picture(replace(device, is_stale=False), replace(knowledge, profiles_at=at))


# eIMs and what the eUICC keeps beside profiles


def _eims_listed(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    device, knowledge = picture
    kept = {eim: known for eim, known in knowledge.associations.items() if eim in effect.eims}
    return Picture(device, replace(knowledge, eims=effect.eims, associations=kept))


def _eim_added(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    device, knowledge = picture
    eims = knowledge.eims if effect.eim_id in knowledge.eims else (*knowledge.eims, effect.eim_id)
    told = Association(token=effect.token, counter=effect.counter)
    associations = {**knowledge.associations, effect.eim_id: told}
    return Picture(device, replace(knowledge, eims=eims, associations=associations))


def _eim_deleted(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    device, knowledge = picture
    eims = tuple(eim for eim in knowledge.eims if eim != effect.eim_id)
    kept = {eim: known for eim, known in knowledge.associations.items() if eim != effect.eim_id}
    if effect.is_ours:
        device = replace(device, state=DeviceState.ARCHIVED, chores=())
    return Picture(device, replace(knowledge, eims=eims, associations=kept))


def _association(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    device, knowledge = picture
    counter = device.counter if effect.counter is None else effect.counter
    signer = device.signer if effect.signer is None else effect.signer
    return Picture(replace(device, counter=counter, signer=signer), knowledge)


def _counter(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    return Picture(replace(picture.device, counter=effect.counter), picture.knowledge)


def _address(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    device, knowledge = picture
    return Picture(device, replace(knowledge, default_smdp_address=effect.address or None))


def _token(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    return Picture(replace(picture.device, token=effect.token), picture.knowledge)


def _token_proved(picture: Picture, effect: Any, at: datetime) -> Picture:
    del effect, at
    return Picture(replace(picture.device, is_token_proved=True), picture.knowledge)


def _key(picture: Picture, effect: Any, at: datetime) -> Picture:
    del at
    return Picture(replace(picture.device, point=effect.point, curve=effect.curve), picture.knowledge)


_MEMBERS: Final = ("info1", "info2", "device_info", "features", "protocols")
_ADDRESSES: Final = ("default_smdp_address", "root_smds_address")


def _learned(picture: Picture, effect: Any, at: datetime) -> Picture:
    device, knowledge = picture
    told: dict[str, Any] = {
        name: getattr(effect, name) for name in _MEMBERS if getattr(effect, name) is not None
    }
    told |= {name: getattr(effect, name) or None for name in _ADDRESSES if getattr(effect, name) is not None}
    return Picture(device, replace(knowledge, **told, learned_at=at))


def _doubted(picture: Picture, effect: Any, at: datetime) -> Picture:
    del effect, at
    return Picture(replace(picture.device, is_stale=True), picture.knowledge)


# Any: each function takes effects of its own key's class only, which a dict cannot say
_APPLY: Final[dict[type, Callable[[Picture, Any, datetime], Picture]]] = {
    ProfileEnabled: _enabled,
    ProfileDisabled: _disabled,
    ProfileDeleted: _deleted,
    ProfileInstalled: _installed,
    FallbackSet: _fallback,
    ProfilesListed: _listed,
    EimsListed: _eims_listed,
    EimAdded: _eim_added,
    EimDeleted: _eim_deleted,
    AssociationUpdated: _association,
    CounterRaised: _counter,
    DefaultAddressSet: _address,
    TokenTold: _token,
    TokenProved: _token_proved,
    KeyProved: _key,
    Learned: _learned,
    PictureDoubted: _doubted,
}
