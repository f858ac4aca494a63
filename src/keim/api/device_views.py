"""How a device is shown: as a line of a list, and as its twin in three layers. Mirrors `keim.eim.twin`."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from keim.api.models import Moment, Shown
from keim.api.shapes import EXAMPLE_EID, EXAMPLE_ICCID
from keim.eim.rows import DeviceState, Knowledge
from keim.eim.twin import freshness
from keim.io.eim_store.listing import Listed


class ShownFreshness(Shown):
    last_poll: Moment | None
    next_contact_expected: Moment | None = Field(description="By the device's own habit.")
    is_overdue: bool = Field(description="It has missed more than two of its usual visits.")
    last_proof: Moment | None = Field(description="When the eUICC last signed something that was verified.")
    profiles_listed_at: Moment | None
    learned_at: Moment | None = Field(description="When memory and capabilities were told last.")
    is_stale: bool = Field(
        description="Something has happened that the picture of the profiles may not show yet."
    )


class DeviceLine(Shown):
    """A device in a list."""

    eid: str = Field(examples=[EXAMPLE_EID])
    state: DeviceState
    tags: list[str] = Field(examples=[["site=berlin"]])
    alarm: str | None
    enabled: str | None = Field(examples=[EXAMPLE_ICCID], description="ICCID, as believed.")
    profiles: int
    network: str | None
    address: str | None = Field(description="Where it takes packages that are pushed.")
    enrolled_at: Moment
    freshness: ShownFreshness


class ShownProfile(Shown):
    iccid: str = Field(examples=[EXAMPLE_ICCID])
    state: str = Field(description="`enabled` or `disabled`.", examples=["enabled"])
    has_fallback_attribute: bool
    fallback_allowed: bool | None
    name: str | None
    provider: str | None
    nickname: str | None
    profile_class: str | None
    policy_rules: list[str] = Field(
        description="`ppr1`: may not be disabled. `ppr2`: may not be deleted.", examples=[["ppr1"]]
    )
    is_emergency_profile: bool


class ShownLayer(Shown):
    enabled: str | None
    fallback: str | None
    profiles: list[ShownProfile]
    default_smdp_address: str | None
    eims: list[str]


class ShownDifference(Shown):
    what: str = Field(examples=[f"profile {EXAMPLE_ICCID}"])
    asked: str | None = Field(examples=["enabled"])
    believed: str | None = Field(examples=["disabled"])
    proved: str | None = Field(examples=["disabled"])


class StandingOperation(Shown):
    id: str
    what: list[str]
    state: str
    since: Moment
    is_of_many: bool
    actor: str
    not_before: Moment | None
    expires_at: Moment | None
    rollback_armed: str = Field(
        description="The ICCID whose enabling the IPA may still take back by itself; empty: none."
    )


class ShownAssociation(Shown):
    eim_id: str
    counter: int = Field(description="The last one used.")
    token: int | None
    is_token_proved: bool
    signing_key: str = Field(description="Empty: the oldest.")
    is_key_proved: bool = Field(description="The eUICC's own key is known by a chain to a CI.")


class ShownEim(Shown):
    eim_id: str
    is_ours: bool
    counter: int | None
    token: int | None


class ShownMemory(Shown):
    free_non_volatile: int | None
    free_volatile: int | None
    applications: int | None


class ShownCapabilities(Shown):
    iot_versions: list[str]
    svn: str | None
    profile_version: str | None
    firmware: str | None
    uicc: list[str]
    rsp: list[str]
    fallback_supported: bool | None
    emergency_profile_supported: bool | None
    forbidden_policy_rules: list[str]
    trusted_cis: list[str]
    ipa_mode: str | None
    ipa_features: list[str] | None
    ipa_protocols: list[str] | None
    imei: str | None
    tac: str | None


class ShownTwin(Shown):
    """A device in three layers: what is asked, what is believed, what its eUICC has proved by signature."""

    eid: str = Field(examples=[EXAMPLE_EID])
    as_of: Moment
    state: DeviceState
    enrolled_at: Moment
    tags: list[str]
    alarm: str | None
    network: str | None = Field(description="Where it was registered last, as it said.")
    address: str | None = Field(description="Where it takes packages that are pushed.")
    asked: ShownLayer
    believed: ShownLayer
    proved: ShownLayer
    differences: list[ShownDifference]
    operations: list[StandingOperation] = Field(description="What is not done yet, in turn.")
    freshness: ShownFreshness
    association: ShownAssociation
    eims: list[ShownEim]
    root_smds_address: str | None
    memory: ShownMemory | None
    capabilities: ShownCapabilities | None


def line_of(listed: Listed, now: datetime) -> DeviceLine:
    device = listed.device
    known = listed.knowledge or Knowledge(eid=device.eid)
    return DeviceLine(
        eid=device.eid,
        state=device.state,
        tags=list(listed.tags),
        alarm=device.alarm or None,
        enabled=next((profile.iccid for profile in known.profiles if profile.is_enabled), None),
        profiles=len(known.profiles),
        network=device.plmn or None,
        address=None if device.reach is None else device.reach.address,
        enrolled_at=device.enrolled_at,
        freshness=ShownFreshness.model_validate(freshness(device, known, listed.contact, now)),
    )
