"""Taking a profile package into stock: its metadata, its protected form, its row.

Pure: random octets come as an argument. Imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from keim.crypto.bpp import PPK_OCTETS, profile_protection_keys, protect_profile
from keim.errors import Refused
from keim.ids import Iccid
from keim.messages.common import OperatorId
from keim.messages.profile import PprIds, ProfileClass
from keim.saip.elements import ProfileHeader
from keim.saip.package import Package
from keim.saip.store_metadata import metadata
from keim.seams import Entropy, KeyWrap
from keim.smdp.binding import key_context, package_context
from keim.smdp.events import ProfileStocked
from keim.smdp.facts import Decision
from keim.smdp.rows import Contents, Profile, ProfileState, Protection, StoredBody


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """What the metadata say beside the package itself."""

    profile_type: str
    service_provider: str | None = None
    profile_name: str | None = None
    """None: what the package itself says."""
    profile_class: ProfileClass = ProfileClass.OPERATIONAL
    owner: str = ""
    operator: OperatorId | None = None
    policy_rules: PprIds = PprIds(0)
    notification_addresses: tuple[str, ...] = ()
    """Where the eUICC reports every later change of the profile; usually this SM-DP+."""
    fallback_allowed: bool | None = None
    icon: bytes | None = None


def admit(
    upp: bytes,
    label: Label,
    *,
    protection: Protection,
    key_wrap: KeyWrap,
    now: datetime,
    entropy: Entropy,
) -> Decision:
    """The rows of a new profile; the reply is its ICCID. `BrokenPackage` for octets that are no package."""
    package = Package.decode(upp)
    header = package.elements[0].value if package.elements else None
    if not isinstance(header, ProfileHeader):
        raise Refused("a profile package begins with its header", code="smdp.package_without_header")
    iccid = str(Iccid.from_header_octets(header.iccid))
    told = metadata(
        package,
        service_provider_name=label.service_provider,
        profile_name=label.profile_name,
        profile_class=label.profile_class,
        owner=label.operator,
        notification_addresses=label.notification_addresses,
        policy_rules=label.policy_rules or None,
        fallback_allowed=label.fallback_allowed,
        icon=label.icon,
    )
    wrapped_keys = b""
    if protection is Protection.PPK:
        random = entropy.bytes(PPK_OCTETS)
        body = protect_profile(upp, profile_protection_keys(random)).segments
        wrapped_keys = key_wrap.wrap(random, key_context(iccid))
    else:
        body = key_wrap.wrap(upp, package_context(iccid))
    contents = Contents(
        iccid=iccid,
        metadata=told.encode(),
        protection=protection,
        wrapped_keys=wrapped_keys,
        octets=len(upp),
        package_version=(header.major_version, header.minor_version),
        policy_rules=int(label.policy_rules),
    )
    profile = Profile(
        iccid=iccid, profile_type=label.profile_type, owner=label.owner, state=ProfileState.AVAILABLE
    )
    event = ProfileStocked(at=now, iccid=iccid, profile_type=label.profile_type)
    return Decision(reply=iccid, rows=(profile, contents, StoredBody(iccid, body)), events=(event,))
