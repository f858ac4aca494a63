"""The twin's words: what people and programs are shown of a device, made from what the eUICC and device told.

Values only; `keim.eim.twin` puts them together. Pure; imports floor 0 and keim.eim.rows only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from keim.der import TOLERANT, walk
from keim.eim.rows import Knowledge, ProfileImage
from keim.errors import KeimError
from keim.messages.info import DeviceInfo, EUICCInfo2
from keim.messages.ipa_data import IpaFeatures, IpaSupportedProtocols
from keim.messages.profile import ProfileInfo

_MEMORY: Final = {0x81: "applications", 0x82: "free_non_volatile", 0x83: "free_volatile"}


class ProfileView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    iccid: str
    state: str
    """`enabled` or `disabled`."""
    has_fallback_attribute: bool = False
    fallback_allowed: bool | None = None
    name: str | None = None
    provider: str | None = None
    nickname: str | None = None
    profile_class: str | None = None
    policy_rules: tuple[str, ...] = ()
    """`ppr1` (may not be disabled), `ppr2` (may not be deleted)."""
    is_emergency_profile: bool = False


class EimView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    eim_id: str
    is_ours: bool = False
    counter: int | None = None
    """Ours: the last one used. Another's: as it was when it was added through us."""
    token: int | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Octets, and installed applications, as of `learned_at`."""

    free_non_volatile: int | None = None
    free_volatile: int | None = None
    applications: int | None = None


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the eUICC and of the IPA before it, as of `learned_at`."""

    iot_versions: tuple[str, ...] = ()
    """Of SGP.32."""
    svn: str | None = None
    """Of SGP.22."""
    profile_version: str | None = None
    firmware: str | None = None
    uicc: tuple[str, ...] = ()
    rsp: tuple[str, ...] = ()
    fallback_supported: bool | None = None
    emergency_profile_supported: bool | None = None
    forbidden_policy_rules: tuple[str, ...] = ()
    trusted_cis: tuple[str, ...] = ()
    """Key identifiers of the CIs whose profiles it takes."""
    ipa_mode: str | None = None
    ipa_features: tuple[str, ...] | None = None
    ipa_protocols: tuple[str, ...] | None = None
    imei: str | None = None
    tac: str | None = None


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How old each kind of what is shown is."""

    last_poll: datetime | None
    next_contact_expected: datetime | None
    """By the device's own habit."""
    is_overdue: bool
    """It has missed more than two of its usual visits."""
    last_proof: datetime | None
    """When the eUICC last signed something that was verified."""
    profiles_listed_at: datetime | None
    learned_at: datetime | None
    is_stale: bool
    """Something has happened that the picture of the profiles may not show yet."""


def profile_view(image: ProfileImage) -> ProfileView:
    state = "enabled" if image.is_enabled else "disabled"
    info = _profile_info(image.info)
    if info is None:
        return ProfileView(
            iccid=image.iccid, state=state, has_fallback_attribute=image.has_fallback_attribute
        )
    rules, kind = info.profile_policy_rules, info.profile_class
    return ProfileView(
        iccid=image.iccid,
        state=state,
        has_fallback_attribute=image.has_fallback_attribute,
        fallback_allowed=info.fallback_allowed,
        name=info.profile_name,
        provider=info.service_provider_name,
        nickname=info.profile_nickname,
        profile_class=None if kind is None else kind.name.lower(),
        policy_rules=() if rules is None else _lower(rules.names),
        is_emergency_profile=bool(info.ecall_indication),
    )


def _profile_info(octets: bytes) -> ProfileInfo | None:
    try:
        return ProfileInfo.decode(octets, TOLERANT) if octets else None
    except KeimError:
        return None  # kept as it came; what can be shown without it is shown


def _lower(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _version(octets: bytes | None) -> str | None:
    return None if octets is None else ".".join(str(octet) for octet in octets)


def info2_of(knowledge: Knowledge) -> EUICCInfo2 | None:
    try:
        return None if knowledge.info2 is None else EUICCInfo2.decode(knowledge.info2, TOLERANT)
    except KeimError:
        return None


def memory_in(info: EUICCInfo2 | None) -> Memory | None:
    if info is None:
        return None
    resource = info.ext_card_resource
    try:
        found = {
            _MEMORY[part.tag]: int.from_bytes(resource[part.content : part.end], "big")
            for part in walk(resource)
            if part.tag in _MEMORY
        }
    except KeimError:
        return None
    return Memory(**found)


def capabilities_in(knowledge: Knowledge, info: EUICCInfo2 | None) -> Capabilities | None:
    features, protocols = knowledge.features, knowledge.protocols
    told: dict[str, object] = _device_facts(knowledge.device_info)
    if features is not None:
        told["ipa_features"] = _lower(IpaFeatures(features).names)
    if protocols is not None:
        told["ipa_protocols"] = _lower(IpaSupportedProtocols(protocols).names)
    if info is not None:
        told |= _euicc_facts(info)
    return msgspec.convert(told, Capabilities) if told else None


def _euicc_facts(info: EUICCInfo2) -> dict[str, object]:
    iot, rules = info.iot_specific_info, info.forbidden_profile_policy_rules
    facts: dict[str, object] = {
        "svn": _version(info.svn),
        "profile_version": _version(info.profile_version),
        "firmware": _version(info.euicc_firmware_ver),
        "uicc": _lower(info.uicc_capability.names),
        "rsp": _lower(info.rsp_capability.names),
        "forbidden_policy_rules": () if rules is None else _lower(rules.names),
        "trusted_cis": tuple(ci.hex().upper() for ci in info.euicc_ci_pk_id_list_for_verification),
        "ipa_mode": None if info.ipa_mode is None else info.ipa_mode.name.lower(),
    }
    if iot is not None:
        facts["iot_versions"] = tuple(_version(version) for version in iot.iot_version)
        facts["fallback_supported"] = iot.fallback_supported
        facts["emergency_profile_supported"] = iot.ecall_supported
    return facts


def _device_facts(octets: bytes | None) -> dict[str, object]:
    try:
        info = None if octets is None else DeviceInfo.decode(octets, TOLERANT)
    except KeimError:
        return {}
    if info is None:
        return {}
    imei = None if info.imei is None else _swapped(info.imei).rstrip("f")
    return {"imei": imei, "tac": _swapped(info.tac)}


def _swapped(octets: bytes) -> str:
    return "".join(f"{octet & 0xF:x}{octet >> 4:x}" for octet in octets)
