"""UpdateMetadata (ES6, BF2A): the operator changes what the card tells of its enabled profile.

What is given replaces, what is absent stays. Policy rules can only be taken back: whoever could set them
later would get round the rules authorisation table [I]. Imports floor 0 and the card's values only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.isdr import memory
from keim.euicc.isdr.fields import read
from keim.euicc.isdr.profiles import metadata_of
from keim.euicc.status import NOT_ENOUGH_MEMORY, REFERENCE_NOT_FOUND, WRONG_DATA, StatusError
from keim.messages.profile import PprIds, StoreMetadataRequest, UpdateMetadataRequest

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

FIELDS = (
    "service_provider_name",
    "profile_name",
    "icon_type",
    "icon",
    "profile_policy_rules",
    "service_specific_data_stored_in_euicc",
)


def update_metadata(context: CardContext, request: bytes) -> None:
    profile = context.state.enabled_profile
    if profile is None:
        raise StatusError(REFERENCE_NOT_FOUND)
    metadata = _updated(metadata_of(profile), read(UpdateMetadataRequest, request)).encode()
    growth = len(metadata) - len(profile.record.metadata)
    if growth > memory.free(context):
        raise StatusError(NOT_ENOUGH_MEMORY)
    updated = replace(
        profile, record=replace(profile.record, metadata=metadata), charge=profile.charge + growth
    )
    context.commit("update metadata", context.state.with_profile(updated))


def _updated(metadata: StoreMetadataRequest, asked: UpdateMetadataRequest) -> StoreMetadataRequest:
    """6A80 for new policy rules, and for an icon of no type; an empty icon removes the one there is."""
    held, wanted = metadata.profile_policy_rules or PprIds(0), asked.profile_policy_rules or PprIds(0)
    if any(wanted & rule and not held & rule for rule in (PprIds.PPR1, PprIds.PPR2)):
        raise StatusError(WRONG_DATA)
    given = {name: value for name in FIELDS if (value := getattr(asked, name)) is not None}
    if asked.icon == b"":
        given |= {"icon": None, "icon_type": None}
    updated = metadata.replace(**given)
    if updated.icon is not None and updated.icon_type is None:
        raise StatusError(WRONG_DATA)
    return updated
