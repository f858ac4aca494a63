"""StoreMetadataRequest for a package: what the SM-DP+ tells the eUICC and the operator about the profile.

Must never import anything above floor 0.
"""

from __future__ import annotations

from keim.ids import Plmn
from keim.messages.common import NotificationEvent, OperatorId
from keim.messages.profile import (
    IconType,
    NotificationConfigurationInformation,
    PprIds,
    ProfileClass,
    StoreMetadataRequest,
)
from keim.saip.codings import imsi_of, name_of
from keim.saip.edit import iccid_of
from keim.saip.file_element import FileSystemElement
from keim.saip.package import Package
from keim.saip.refusals import BadRecipe

ALL_EVENTS = (
    NotificationEvent.NOTIFICATION_INSTALL
    | NotificationEvent.NOTIFICATION_ENABLE
    | NotificationEvent.NOTIFICATION_DISABLE
    | NotificationEvent.NOTIFICATION_DELETE
)


def metadata(
    package: Package,
    *,
    service_provider_name: str | None = None,
    profile_name: str | None = None,
    profile_class: ProfileClass = ProfileClass.OPERATIONAL,
    owner: OperatorId | Plmn | str | None = None,
    notification_addresses: tuple[str, ...] = (),
    notifications: tuple[NotificationConfigurationInformation, ...] = (),
    policy_rules: PprIds | None = None,
    fallback_allowed: bool | None = None,
    emergency: bool | None = None,
    icon: bytes | None = None,
) -> StoreMetadataRequest:
    """The metadata; names, owner and ICCID come from the package where they are not given.

    Each address of `notification_addresses` hears of all four events; `notifications` says it in detail.
    """
    configured = notifications + tuple(
        NotificationConfigurationInformation(
            profile_management_operation=ALL_EVENTS, notification_address=address
        )
        for address in notification_addresses
    )
    header = package.header
    provider = service_provider_name if service_provider_name is not None else provider_name(package) or ""
    name = (
        profile_name
        if profile_name is not None
        else (header.profile_type if header is not None else "") or ""
    )
    return StoreMetadataRequest(
        iccid=iccid_of(package).octets,
        service_provider_name=provider[:32],
        profile_name=name[:64],
        icon_type=None if icon is None else _icon_type(icon),
        icon=icon,
        profile_class=profile_class,
        notification_configuration_info=configured or None,
        profile_owner=_operator(owner) if owner is not None else owner_of(package),
        profile_policy_rules=policy_rules,
        ecall_indication=emergency,
        fallback_allowed=fallback_allowed,
    )


def _operator(owner: OperatorId | Plmn | str) -> OperatorId:
    return owner if isinstance(owner, OperatorId) else OperatorId(mcc_mnc=Plmn(owner).octets)


def _icon_type(icon: bytes) -> IconType:
    if icon.startswith(b"\x89PNG"):
        return IconType.PNG
    if icon.startswith(b"\xff\xd8\xff"):
        return IconType.JPG
    raise BadRecipe("the icon is neither PNG nor JPEG", key="icon")


def _first_content(package: Package, field: str) -> bytes | None:
    for _, value in package.values(FileSystemElement):
        if value.template is None or not any(row.field == field for row in value.template.files):
            continue
        found = value.get(field)
        for item in (found.items or ()) if found is not None else ():
            if item.fill_file_content is not None:
                return item.fill_file_content
    return None


def provider_name(package: Package) -> str | None:
    """The name of EF.SPN, else the header's profileType."""
    spn = _first_content(package, "ef-spn")
    name = name_of(spn[1:]) if spn else None
    header = package.header
    return name or (header.profile_type if header is not None else None)


def owner_of(package: Package) -> OperatorId | None:
    """Country and network of the IMSI (length of the network from EF.AD), GID1 and GID2 where the package
    has them.
    """
    content = _first_content(package, "ef-imsi")
    imsi = imsi_of(content) if content is not None else None
    if imsi is None:
        return None
    administrative = _first_content(package, "ef-ad") or b"\x00\x00\x00\x02"
    length = administrative[3] & 0x0F if len(administrative) > 3 else 2
    plmn = Plmn(imsi[: 3 + (3 if length == 3 else 2)])
    return OperatorId(
        mcc_mnc=plmn.octets,
        gid1=_group(package, "ef-gid1"),
        gid2=_group(package, "ef-gid2"),
    )


def _group(package: Package, field: str) -> bytes | None:
    """A group identifier; one of nothing but FF is none."""
    content = _first_content(package, field)
    return content if content is not None and content.strip(b"\xff") else None
