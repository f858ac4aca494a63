"""Commands for an eUICC as JSON names them, and the works that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal

from pydantic import Field

from keim.api.models import Asked
from keim.api.shapes import IccidText
from keim.eim import compose
from keim.eim.work import PackageWork
from keim.errors import Refused
from keim.ids import Iccid
from keim.messages.common import SetDefaultDpAddressRequest
from keim.messages.package import (
    ConfigureImmediateEnablePsmo,
    DeleteEimEco,
    DeletePsmo,
    DisablePsmo,
    Eco,
    EimConfigurationData,
    EnablePsmo,
    GetRatPsmo,
    ListEimEco,
    Psmo,
    SetFallbackAttributePsmo,
    UnsetFallbackAttributePsmo,
)
from keim.messages.profile import ProfileInfoListRequest

MOST_COMMANDS: Final = 50
Address = Annotated[
    str, Field(max_length=253, pattern=r"^[A-Za-z0-9.:-]*$", examples=["smdpplus.example.com"])
]


class Enable(Asked):
    command: Literal["enable"]
    iccid: IccidText
    rollback: bool = Field(
        default=True, description="The IPA may go back to the profile before when it cannot report."
    )


class Disable(Asked):
    command: Literal["disable"]
    iccid: IccidText


class Delete(Asked):
    command: Literal["delete"]
    iccid: IccidText


class ListProfiles(Asked):
    command: Literal["list_profiles"]


class GetRat(Asked):
    """The rules authorisation table."""

    command: Literal["get_rat"]


class SetFallback(Asked):
    command: Literal["set_fallback_attribute"]
    iccid: IccidText


class UnsetFallback(Asked):
    command: Literal["unset_fallback_attribute"]


class SetDefaultAddress(Asked):
    command: Literal["set_default_smdp_address"]
    address: Address = Field(description="Empty: none.")


class ImmediateEnable(Asked):
    """Whether the IPA may enable a profile right after its download."""

    command: Literal["configure_immediate_enable"]
    is_allowed: bool = True
    address: Address | None = Field(default=None, description="Also becomes the default SM-DP+'s.")


ProfileCommand = Annotated[
    Enable
    | Disable
    | Delete
    | ListProfiles
    | GetRat
    | SetFallback
    | UnsetFallback
    | SetDefaultAddress
    | ImmediateEnable,
    Field(discriminator="command"),
]


class AddEim(Asked):
    command: Literal["add_eim"]
    configuration: str = Field(
        pattern="^([0-9A-Fa-f]{2})+$",
        min_length=4,
        max_length=20_000,
        description="EimConfigurationData in hexadecimal, as `keim eim init` of the other eIM prints it.",
        examples=["30158010656D2E6578616D706C652E636F6D830100"],
    )


class UpdateEim(Asked):
    command: Literal["update_eim"]
    configuration: str = Field(
        pattern="^([0-9A-Fa-f]{2})+$",
        min_length=4,
        max_length=20_000,
        description="EimConfigurationData in hexadecimal: the fields that it has replace those there.",
        examples=["30158010656D2E6578616D706C652E636F6D830100"],
    )


class DeleteEim(Asked):
    command: Literal["delete_eim"]
    eim_id: str = Field(
        min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["eim.example.com"]
    )
    is_own: bool = Field(
        default=False, description="Must be said for this eIM itself: the device is lost to it afterwards."
    )


class ListEims(Asked):
    command: Literal["list_eims"]


EimCommand = Annotated[AddEim | UpdateEim | DeleteEim | ListEims, Field(discriminator="command")]


def _iccid(text: str) -> bytes:
    return Iccid(text).octets


_PSMOS: Final[dict[type, Callable[..., Psmo]]] = {
    Enable: lambda c: Psmo(enable=EnablePsmo(iccid=_iccid(c.iccid), rollback_flag=c.rollback)),
    Disable: lambda c: Psmo(disable=DisablePsmo(iccid=_iccid(c.iccid))),
    Delete: lambda c: Psmo(delete=DeletePsmo(iccid=_iccid(c.iccid))),
    ListProfiles: lambda _: Psmo(list_profile_info=ProfileInfoListRequest()),
    GetRat: lambda _: Psmo(get_rat=GetRatPsmo()),
    SetFallback: lambda c: Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=_iccid(c.iccid))),
    UnsetFallback: lambda _: Psmo(unset_fallback_attribute=UnsetFallbackAttributePsmo()),
    SetDefaultAddress: lambda c: Psmo(
        set_default_dp_address=SetDefaultDpAddressRequest(default_dp_address=c.address)
    ),
    ImmediateEnable: lambda c: Psmo(
        configure_immediate_enable=ConfigureImmediateEnablePsmo(
            immediate_enable_flag=c.is_allowed, default_smdp_address=c.address
        )
    ),
}
_ECOS: Final[dict[type, Callable[..., Eco]]] = {
    AddEim: lambda c: Eco(add_eim=EimConfigurationData.decode(bytes.fromhex(c.configuration))),
    UpdateEim: lambda c: Eco(update_eim=EimConfigurationData.decode(bytes.fromhex(c.configuration))),
    DeleteEim: lambda c: Eco(delete_eim=DeleteEimEco(eim_id=c.eim_id)),
    ListEims: lambda _: Eco(list_eim=ListEimEco()),
}


def work_of_profiles(commands: list[ProfileCommand]) -> PackageWork:
    return compose.package_of([_PSMOS[type(command)](command) for command in commands])


def work_of_eims(commands: list[EimCommand], own_eim_id: str) -> PackageWork:
    may_delete_own = any(isinstance(command, DeleteEim) and command.is_own for command in commands)
    return compose.package_of(
        [_ECOS[type(command)](command) for command in commands],
        own_eim_id=own_eim_id,
        may_delete_own=may_delete_own,
    )


TAGS: Final = {
    "notifications": "a0",
    "results": "a2",
    "euicc_info1": "bf20",
    "euicc_info2": "bf22",
    "default_smdp_address": "81",
    "root_smds_address": "83",
    "association_token": "84",
    "eum_certificate": "a5",
    "euicc_certificate": "a6",
    "ipa_capabilities": "a8",
    "device_info": "a9",
}
"""What can be asked of a device, and the tag that asks for it (procedures §14)."""
DataName = Literal[
    "notifications",
    "results",
    "euicc_info1",
    "euicc_info2",
    "default_smdp_address",
    "root_smds_address",
    "association_token",
    "eum_certificate",
    "euicc_certificate",
    "ipa_capabilities",
    "device_info",
]


def tag_list_of(names: list[DataName]) -> bytes:
    if len(set(names)) != len(names):
        raise Refused("each kind of data is named once", code="eim.bad_order")
    return bytes.fromhex("".join(TAGS[name] for name in names)) if names else compose.EVERYTHING
