"""What each command changes in our picture of a device, once its success is proved (procedures §5.1 step 13).

One function per kind of result, found by a table. Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keim.crypto.suites import verifying_key_of_spki
from keim.der import Code
from keim.eim.asks import Command, asked_by, iccid_of
from keim.eim.change import Change
from keim.eim.chores import without_chores
from keim.eim.compose import STATE_CHANGES, tags_in
from keim.eim.picture import AssociationUpdated, Effect, EimAdded, EimsListed, ProfileEnabled, ProfilesListed
from keim.eim.results import in_order
from keim.eim.rows import Chore, ProfileImage
from keim.eim.settings import key_name
from keim.eim.words import name_of
from keim.messages.common import SetDefaultDpAddressResponse
from keim.messages.package import (
    AddEimResult,
    DeleteEimResult,
    EimConfigurationData,
    EuiccResultData,
    ListEimResult,
    ProcessingTerminated,
)
from keim.messages.profile import ProfileInfo, ProfileInfoListRequest, ProfileInfoListResponse, ProfileState
from keim.pki import Certificate

Told = tuple[str, bool]
_TAGS_OF_AN_IMAGE: Final = frozenset({0x5A, 0x9F70, 0x9F26})
"""ICCID, state, fallback attribute."""
_CHANGE_PROFILES: Final = STATE_CHANGES | {"set_fallback_attribute", "unset_fallback_attribute"}
_CHANGE_EIMS: Final = frozenset({"add_eim", "delete_eim"})


def told(entry: EuiccResultData) -> Told:
    """(`enable: ok`, whether that is a success)."""
    kind = entry.kind
    value = getattr(entry, kind)
    tell = _TOLD.get(type(value)) or (_code if isinstance(value, Code) else _ok)
    return tell(kind.removesuffix("_result"), value)


def _ok(name: str, value: object) -> Told:
    """getRAT, which has no error."""
    del value
    return f"{name}: ok", True


def _code(name: str, code: Code) -> Told:
    return f"{name}: {name_of(code)}", code == 0


def _profiles_told(name: str, value: ProfileInfoListResponse) -> Told:
    error = value.profile_info_list_error
    return (f"{name}: ok", True) if error is None else (f"{name}: {name_of(error)}", False)


def _eims_told(name: str, value: ListEimResult) -> Told:
    error = value.list_eim_error
    return (f"{name}: ok", True) if error is None else (f"{name}: {name_of(error)}", False)


def _add_eim_told(name: str, value: AddEimResult) -> Told:
    code = value.add_eim_result_code
    return (f"{name}: ok", True) if code is None or value.association_token is not None else _code(name, code)


def _delete_eim_told(name: str, value: DeleteEimResult) -> Told:
    is_success = value in (DeleteEimResult.OK, DeleteEimResult.LAST_EIM_DELETED)
    return f"{name}: {name_of(value)}", is_success


def _terminated(name: str, value: ProcessingTerminated) -> Told:
    del name
    return f"processing terminated: {name_of(value)}", False


def _address_told(name: str, value: SetDefaultDpAddressResponse) -> Told:
    return _code(name, value.set_default_dp_address_result)


_TOLD: Final[dict[type, Callable[[str, Any], Told]]] = {
    ProfileInfoListResponse: _profiles_told,
    ListEimResult: _eims_told,
    AddEimResult: _add_eim_told,
    DeleteEimResult: _delete_eim_told,
    ProcessingTerminated: _terminated,
    SetDefaultDpAddressResponse: _address_told,
}


# what the success of each command means for the picture


def _asked(change: Change, command: Any, entry: EuiccResultData) -> Effect | None:
    """Just what was asked for."""
    del entry
    return asked_by(command, change.eim.eim_id)


def _list_profiles(change: Change, command: Any, entry: EuiccResultData) -> Effect | None:
    listed = entry.list_profile_info_result
    if listed is None or listed.profile_info_list_ok is None:
        return None
    if not _is_whole(command.list_profile_info):
        return None  # a part of the truth must not replace the whole
    change.device = without_chores(change.device, Chore.LIST_PROFILES)
    return ProfilesListed(
        profiles=tuple(_image(info) for info in listed.profile_info_list_ok if info.iccid is not None)
    )


def _is_whole(asked: ProfileInfoListRequest) -> bool:
    """All profiles, each with what makes its image."""
    if asked.search_criteria is not None:
        return False
    return asked.tag_list is None or set(tags_in(asked.tag_list)) >= _TAGS_OF_AN_IMAGE


def _image(info: ProfileInfo) -> ProfileImage:
    return ProfileImage(
        iccid=iccid_of(info.iccid or b""),
        is_enabled=info.profile_state == ProfileState.ENABLED,
        has_fallback_attribute=info.fallback_attribute,
        info=info.encode(),
    )


def _add_eim(change: Change, command: Any, entry: EuiccResultData) -> Effect | None:
    del change
    told = entry.add_eim_result
    return EimAdded(
        eim_id=command.add_eim.eim_id,
        counter=command.add_eim.counter_value,
        token=None if told is None else told.association_token,
    )


def _update_eim(change: Change, command: Any, entry: EuiccResultData) -> Effect | None:
    """Our own new key is proved here; the old one is needed no more for this eUICC."""
    del entry
    data: EimConfigurationData = command.update_eim
    if data.eim_id != change.eim.eim_id:
        return None
    key = data.eim_public_key_data
    if key is None:
        return AssociationUpdated(counter=data.counter_value)
    point = (
        Certificate(key.eim_certificate).point
        if key.eim_certificate is not None
        else verifying_key_of_spki(key.eim_public_key or b"").point
    )
    for name, signer in change.eim.signers.items():
        if signer.public_point == point:
            return AssociationUpdated(counter=data.counter_value, signer=name)
    # Another process has made it, or nobody: nothing is signed for this eUICC until it is here.
    return AssociationUpdated(counter=data.counter_value, signer=key_name(point))


def _list_eims(change: Change, command: Any, entry: EuiccResultData) -> Effect | None:
    del change, command
    listed = entry.list_eim_result
    if listed is None or listed.eim_id_list is None:
        return None
    return EimsListed(eims=tuple(info.eim_id for info in listed.eim_id_list))


def _rules(change: Change, command: Any, entry: EuiccResultData) -> Effect | None:
    """getRAT: kept for the check of downloads; the picture does not change."""
    del command
    if entry.get_rat_result is not None:
        change.know(rules=entry.encode())
    return None


EFFECTS: Final[dict[str, tuple[str, Callable[[Change, Any, EuiccResultData], Effect | None]]]] = {
    "enable": ("enable_result", _asked),
    "disable": ("disable_result", _asked),
    "delete": ("delete_result", _asked),
    "list_profile_info": ("list_profile_info_result", _list_profiles),
    "get_rat": ("get_rat_result", _rules),
    "configure_immediate_enable": ("configure_immediate_enable_result", _asked),
    "set_fallback_attribute": ("set_fallback_attribute_result", _asked),
    "unset_fallback_attribute": ("unset_fallback_attribute_result", _asked),
    "set_default_dp_address": ("set_default_dp_address_result", _asked),
    "add_eim": ("add_eim_result", _add_eim),
    "delete_eim": ("delete_eim_result", _asked),
    "update_eim": ("update_eim_result", _update_eim),
    "list_eim": ("list_eim_result", _list_eims),
}
"""Kind of command -> the kind of its result, and what its success changes."""


def apply(change: Change, number: int, command: Command, entry: EuiccResultData, *, is_proved: bool) -> None:
    """`number`: the eUICC's own, of the result."""
    effect = EFFECTS[command.kind][1](change, command, entry)
    if effect is None:
        return
    if isinstance(effect, ProfileEnabled) and not change.knows(effect.iccid):
        change.want(Chore.LIST_PROFILES)
    in_order.take(change, number, effect, is_proved=is_proved)


def doubt(change: Change, command: Command, why: ProcessingTerminated) -> None:
    """An interruption, or a result that did not fit, does not tell whether the command was carried out."""
    if why == ProcessingTerminated.UNKNOWN_OR_DAMAGED_COMMAND:
        return
    if command.kind in _CHANGE_PROFILES:
        change.doubt()
        change.want(Chore.LIST_PROFILES)
    elif command.kind in _CHANGE_EIMS:
        change.want(Chore.LIST_EIMS)


def fits(command: Command, entry: EuiccResultData) -> bool:
    """Whether the entry can be the result of this command."""
    expected = EFFECTS[command.kind][0]
    return getattr(entry, expected) is not None or entry.processing_terminated is not None
