"""What each command changes in our picture of a device, once its success is proved (procedures §5.1 step 13).

One function per kind of result, found by a table. Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from keim.crypto.suites import verifying_key_of_spki
from keim.der import Code
from keim.eim.change import Change
from keim.eim.chores import without_chores
from keim.eim.rows import Chore, DeviceState, ProfileImage
from keim.eim.words import name_of
from keim.errors import KeimError
from keim.ids import Iccid
from keim.messages.package import (
    AddEimResult,
    DeleteEimResult,
    Eco,
    EimConfigurationData,
    EuiccResultData,
    ListEimResult,
    ProcessingTerminated,
    Psmo,
)
from keim.messages.profile import ProfileInfo, ProfileInfoListResponse, ProfileState
from keim.pki import Certificate

Command = Psmo | Eco


def iccid_of(octets: bytes) -> str:
    """Human order; octets that are no ICCID are told as they are."""
    try:
        return str(Iccid.from_octets(octets))
    except KeimError:
        return octets.hex()


def told(entry: EuiccResultData) -> tuple[str, bool]:
    """(`enable: ok`, whether that is a success)."""
    kind, value = entry.kind, entry.value
    name = kind.removesuffix("_result")
    match value:
        case ProfileInfoListResponse(profile_info_list_error=code) if code is not None:
            return f"{name}: {name_of(code)}", False
        case ListEimResult(list_eim_error=code) if code is not None:
            return f"{name}: {name_of(code)}", False
        case ProfileInfoListResponse() | ListEimResult() | AddEimResult(association_token=int()):
            return f"{name}: ok", True
        case AddEimResult(add_eim_result_code=code) if code is not None:
            return f"{name}: {name_of(code)}", code == 0
        case DeleteEimResult():
            return f"{name}: {name_of(value)}", value in (
                DeleteEimResult.OK,
                DeleteEimResult.LAST_EIM_DELETED,
            )
        case ProcessingTerminated():
            return f"processing terminated: {name_of(value)}", False
        case Code():
            return f"{name}: {name_of(value)}", value == 0
    nested = getattr(value, "set_default_dp_address_result", None)
    if nested is not None:
        return f"{name}: {name_of(nested)}", nested == 0
    return f"{name}: ok", True  # getRAT, which has no error


# PSMOs


def set_enabled(change: Change, iccid: str) -> None:
    profiles = change.knowledge.profiles
    changed = tuple(msgspec.structs.replace(p, is_enabled=p.iccid == iccid) for p in profiles)
    if all(p.iccid != iccid for p in profiles):
        changed += (ProfileImage(iccid=iccid, is_enabled=True),)
        change.want(Chore.LIST_PROFILES)
    change.know(profiles=changed)


def set_disabled(change: Change, iccid: str) -> None:
    profiles = change.knowledge.profiles
    change.know(
        profiles=tuple(
            msgspec.structs.replace(p, is_enabled=False) if p.iccid == iccid else p for p in profiles
        )
    )


def set_deleted(change: Change, iccid: str) -> None:
    change.know(profiles=tuple(p for p in change.knowledge.profiles if p.iccid != iccid))


def set_installed(change: Change, iccid: str) -> None:
    if all(p.iccid != iccid for p in change.knowledge.profiles):
        change.know(profiles=(*change.knowledge.profiles, ProfileImage(iccid=iccid)))


def _enable(change: Change, command: Any, entry: EuiccResultData) -> None:
    del entry
    set_enabled(change, iccid_of(command.enable.iccid))


def _disable(change: Change, command: Any, entry: EuiccResultData) -> None:
    del entry
    set_disabled(change, iccid_of(command.disable.iccid))


def _delete(change: Change, command: Any, entry: EuiccResultData) -> None:
    del entry
    set_deleted(change, iccid_of(command.delete.iccid))


def _list_profiles(change: Change, command: Any, entry: EuiccResultData) -> None:
    listed = entry.list_profile_info_result
    if listed is None or listed.profile_info_list_ok is None:
        return
    if command.list_profile_info.search_criteria is not None:
        return  # a part of the truth must not replace the whole
    change.know(
        profiles=tuple(_image(info) for info in listed.profile_info_list_ok if info.iccid is not None),
        profiles_at=change.now,
    )
    change.device = without_chores(change.device, Chore.LIST_PROFILES)
    change.set(is_stale=False)


def _image(info: ProfileInfo) -> ProfileImage:
    return ProfileImage(
        iccid=iccid_of(info.iccid or b""),
        is_enabled=info.profile_state == ProfileState.ENABLED,
        has_fallback_attribute=info.fallback_attribute,
        info=info.encode(),
    )


def _set_fallback(change: Change, command: Any, entry: EuiccResultData) -> None:
    del entry
    _mark_fallback(change, iccid_of(command.set_fallback_attribute.iccid))


def _unset_fallback(change: Change, command: Any, entry: EuiccResultData) -> None:
    del command, entry
    _mark_fallback(change, "")


def _mark_fallback(change: Change, iccid: str) -> None:
    profiles = change.knowledge.profiles
    change.know(
        profiles=tuple(msgspec.structs.replace(p, has_fallback_attribute=p.iccid == iccid) for p in profiles)
    )


def _immediate_enable(change: Change, command: Any, entry: EuiccResultData) -> None:
    del entry
    address = command.configure_immediate_enable.default_smdp_address
    if address is not None:
        change.know(default_smdp_address=address or None)


def _default_address(change: Change, command: Any, entry: EuiccResultData) -> None:
    del entry
    change.know(default_smdp_address=command.set_default_dp_address.default_dp_address or None)


# eCOs


def _add_eim(change: Change, command: Any, entry: EuiccResultData) -> None:
    del entry
    if command.add_eim.eim_id not in change.knowledge.eims:
        change.know(eims=(*change.knowledge.eims, command.add_eim.eim_id))


def _delete_eim(change: Change, command: Any, entry: EuiccResultData) -> None:
    del entry
    gone = command.delete_eim.eim_id
    change.know(eims=tuple(eim for eim in change.knowledge.eims if eim != gone))
    if gone == change.eim.eim_id:
        change.set(state=DeviceState.ARCHIVED, chores=())


def _update_eim(change: Change, command: Any, entry: EuiccResultData) -> None:
    """Our own new key is proved here; the old one is needed no more for this eUICC."""
    del entry
    data: EimConfigurationData = command.update_eim
    if data.eim_id != change.eim.eim_id:
        return
    if data.counter_value is not None:
        change.set(counter=data.counter_value)
    key = data.eim_public_key_data
    if key is None:
        return
    point = (
        Certificate(key.eim_certificate).point
        if key.eim_certificate is not None
        else verifying_key_of_spki(key.eim_public_key or b"").point
    )
    for name, signer in change.eim.signers.items():
        if signer.public_point == point:
            change.set(signer=name)
            return
    change.alarm("this eUICC was given a key for this eIM that this eIM does not have")


def _list_eims(change: Change, command: Any, entry: EuiccResultData) -> None:
    del command
    listed = entry.list_eim_result
    if listed is not None and listed.eim_id_list is not None:
        change.know(eims=tuple(info.eim_id for info in listed.eim_id_list))


def _nothing(change: Change, command: Any, entry: EuiccResultData) -> None:
    """getRAT: its rules stay in the receipt."""
    del change, command, entry


EFFECTS: Final[dict[str, tuple[str, Callable[[Change, Any, EuiccResultData], None]]]] = {
    "enable": ("enable_result", _enable),
    "disable": ("disable_result", _disable),
    "delete": ("delete_result", _delete),
    "list_profile_info": ("list_profile_info_result", _list_profiles),
    "get_rat": ("get_rat_result", _nothing),
    "configure_immediate_enable": ("configure_immediate_enable_result", _immediate_enable),
    "set_fallback_attribute": ("set_fallback_attribute_result", _set_fallback),
    "unset_fallback_attribute": ("unset_fallback_attribute_result", _unset_fallback),
    "set_default_dp_address": ("set_default_dp_address_result", _default_address),
    "add_eim": ("add_eim_result", _add_eim),
    "delete_eim": ("delete_eim_result", _delete_eim),
    "update_eim": ("update_eim_result", _update_eim),
    "list_eim": ("list_eim_result", _list_eims),
}
"""Kind of command -> the kind of its result, and what its success changes."""


def apply(change: Change, command: Command, entry: EuiccResultData) -> None:
    EFFECTS[command.kind][1](change, command, entry)


def fits(command: Command, entry: EuiccResultData) -> bool:
    """Whether the entry can be the result of this command."""
    return entry.kind in (EFFECTS[command.kind][0], "processing_terminated")
