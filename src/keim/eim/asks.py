"""What a work asks for: in words for people, and as the change of the picture that its success would bring.

Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from typing import Final

from keim.eim.activation_code import ActivationCode
from keim.eim.compose import commands_of
from keim.eim.picture import (
    DefaultAddressSet,
    Effect,
    EimAdded,
    EimDeleted,
    FallbackSet,
    ProfileDeleted,
    ProfileDisabled,
    ProfileEnabled,
)
from keim.eim.work import DataWork, DownloadWork, PackageWork, Work
from keim.errors import KeimError
from keim.ids import Iccid
from keim.messages.package import Eco, EimConfigurationData, Psmo

Command = Psmo | Eco
_TITLES: Final = {
    "list_profile_info": "list profiles",
    "get_rat": "get the rules authorisation table",
    "configure_immediate_enable": "configure immediate enabling",
    "unset_fallback_attribute": "take the fallback attribute away",
    "list_eim": "list eIMs",
}


def iccid_of(octets: bytes) -> str:
    """Human order; octets that are no ICCID are told as they are."""
    try:
        return str(Iccid.from_octets(octets))
    except KeimError:
        return octets.hex()


def asked_by(command: Command, own_eim_id: str) -> Effect | None:
    """What the command changes where it succeeds; None where only its result can tell."""
    match command:
        case Psmo(enable=enable) if enable is not None:
            return ProfileEnabled(iccid=iccid_of(enable.iccid))
        case Psmo(disable=disable) if disable is not None:
            return ProfileDisabled(iccid=iccid_of(disable.iccid))
        case Psmo(delete=delete) if delete is not None:
            return ProfileDeleted(iccid=iccid_of(delete.iccid))
        case Psmo(set_fallback_attribute=fallback) if fallback is not None:
            return FallbackSet(iccid=iccid_of(fallback.iccid))
        case Psmo(unset_fallback_attribute=unset) if unset is not None:
            return FallbackSet(iccid="")
        case Psmo(set_default_dp_address=address) if address is not None:
            return DefaultAddressSet(address=address.default_dp_address or "")
        case Psmo(configure_immediate_enable=immediate) if immediate is not None:
            told = immediate.default_smdp_address
            return None if told is None else DefaultAddressSet(address=told)
        case Eco(add_eim=EimConfigurationData() as entry):
            return EimAdded(eim_id=entry.eim_id, counter=entry.counter_value)
        case Eco(delete_eim=gone) if gone is not None:
            return EimDeleted(eim_id=gone.eim_id, is_ours=gone.eim_id == own_eim_id)
    return None


def effects_asked(work: Work, own_eim_id: str) -> tuple[Effect, ...]:
    if not isinstance(work, PackageWork):
        return ()
    asked = (asked_by(command, own_eim_id) for command in commands_of(work.commands))
    return tuple(effect for effect in asked if effect is not None)


def may_roll_back(work: Work) -> str:
    """The ICCID whose enabling the IPA may take back by itself; empty: none."""
    if isinstance(work, PackageWork):
        for command in commands_of(work.commands):
            if isinstance(command, Psmo) and command.enable is not None and command.enable.rollback_flag:
                return iccid_of(command.enable.iccid)
    return ""


# words


def words_of(work: Work) -> tuple[str, ...]:
    """One line for each command, without anything that is secret."""
    match work:
        case PackageWork(commands=package):
            return tuple(_line(command) for command in commands_of(package))
        case DataWork(tag_list=tags):
            return (f"ask for data {tags.hex().upper()}",)
        case DownloadWork(activation_code=code) if code is not None:
            # The matching id is left out: whoever has it has the profile.
            return (f"download from {ActivationCode.parse(code).address}",)
        case DownloadWork(smds_address=address) if address is not None:
            return (f"download by the SM-DS {address}".rstrip() if address else "download by the root SM-DS",)
        case DownloadWork():
            return ("download from the default SM-DP+",)
    raise AssertionError(work)


def _line(command: Command) -> str:
    value = command.value
    title = _TITLES.get(command.kind, command.kind.replace("_", " ").replace(" eim", " eIM"))
    iccid = getattr(value, "iccid", None)
    if isinstance(iccid, bytes):
        return f"{title} {iccid_of(iccid)}"
    eim_id = getattr(value, "eim_id", None)
    address = getattr(value, "default_dp_address", None)
    return f"{title} {eim_id or address or ''}".rstrip()
