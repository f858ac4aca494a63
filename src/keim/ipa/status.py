"""What the card and the IPA know right now, as one document. Reads only.

Imports keim.ids, keim.messages and keim.ipa only.
"""

from __future__ import annotations

from typing import Any

from keim.ids import Iccid
from keim.ipa.card import CARD_ERRORS, close_isdr
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import (
    address_of,
    get_addresses,
    get_eid,
    get_eim_configuration_data,
    get_profiles,
    retrieve_notifications,
    retrieve_results,
    sequence_number_of,
)
from keim.ipa.results import eim_id_of
from keim.ipa.results import sequence_number_of as result_number
from keim.ipa.trust import address_of as eim_address
from keim.messages.profile import ProfileInfo, ProfileState


def status_of(ipa: Ipa) -> Procedure[dict[str, Any]]:
    """What the card does not know is left out."""
    eid = yield from get_eid(ipa)
    ipa.eid = eid
    document: dict[str, Any] = {"eid": ipa.eid_text}
    eims = yield from get_eim_configuration_data(ipa)
    document["eims"] = [
        {
            "eim_id": eim.eim_id,
            "address": eim_address(eim, ipa.configuration.eim_addresses.get(eim.eim_id)),
            "counter_value": eim.counter_value,
            "association_token": eim.association_token,
            "relays_downloads": eim.indirect_profile_download,
            "pending_cause": ipa.memory.note(eim.eim_id).pending_cause,
            "failures": ipa.memory.note(eim.eim_id).failures,
        }
        for eim in eims
    ]
    document["profiles"] = [_profile(one) for one in (yield from get_profiles(ipa))]
    try:
        addresses = yield from get_addresses(ipa)
        document["default_smdp"] = addresses.default_dp_address
        document["root_smds"] = addresses.root_ds_address
        notifications = yield from retrieve_notifications(ipa)
        results = yield from retrieve_results(ipa)
    except CARD_ERRORS as failure:
        document["incomplete"] = str(failure)
    else:
        document["notifications"] = [
            {"sequence_number": sequence_number_of(one), "address": address_of(one)} for one in notifications
        ]
        document["results"] = [
            {"sequence_number": result_number(one), "eim_id": eim_id_of(one)} for one in results
        ]
    document["undelivered"] = [item.eim_id for item in ipa.memory.undelivered]
    document["emergency"] = ipa.memory.is_emergency_active
    yield from close_isdr(ipa)
    return document


def _profile(profile: ProfileInfo) -> dict[str, Any]:
    return {
        "iccid": None if profile.iccid is None else str(Iccid.from_octets(profile.iccid)),
        "enabled": profile.profile_state == ProfileState.ENABLED,
        "name": profile.profile_name,
        "provider": profile.service_provider_name,
        "fallback": profile.fallback_attribute,
    }
