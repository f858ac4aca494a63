"""Capability bit 4: the eIM checks metadata and policy rules for an IPA that does not (procedures §11.6)."""

from __future__ import annotations

import pytest
from tests.card_lab import EID, EIM, SMDP, iccid
from tests.roles.eim_lab import EimLab
from tests.scripted_euicc import ScriptedEuicc

from keim.eim import compose
from keim.eim.relay.metadata import refusal
from keim.eim.rows import Knowledge, State
from keim.ipa.configuration import Configuration
from keim.messages import es9p
from keim.messages.authentication import CancelSessionReason
from keim.messages.common import OperatorId
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import GetRatPsmo, Psmo
from keim.messages.profile import (
    GetRatResponse,
    PprFlags,
    PprIds,
    ProfileInfoListRequest,
    ProfilePolicyAuthorisationRule,
    StoreMetadataRequest,
)
from keim.smdp.rows import ProfileState

F = IpaFeatures
BITS = F.INDIRECT_RSP_SERVER_COMMUNICATION | F.EIM_PROFILE_METADATA_VERIFICATION
EVERYBODY = OperatorId(mcc_mnc=bytes.fromhex("EEEEEE"))


def rat(*rules: PprIds) -> bytes:
    entry = ProfilePolicyAuthorisationRule(
        ppr_ids=PprIds.PPR1 | PprIds.PPR2, allowed_operators=(EVERYBODY,), ppr_flags=PprFlags(0)
    )
    return GetRatResponse(rat=(entry,) if rules else ()).encode()


def made(*, is_compact: bool = False, **card: object) -> EimLab:
    configuration = Configuration(
        features=BITS | (F.MINIMIZE_ESIPA_BYTES if is_compact else F(0)),
        compact_eims=frozenset({EIM}) if is_compact else frozenset(),
        is_metadata_checked=False,
    )
    lab = EimLab(configuration=configuration, **card)  # type: ignore[arg-type]  # of several kinds
    lab.ask_for(compose.data_request_of(compose.EVERYTHING))
    lab.order(Psmo(list_profile_info=ProfileInfoListRequest()), Psmo(get_rat=GetRatPsmo()))
    lab.cycle()
    assert lab.knowledge().rules is not None
    return lab


def replies(lab: EimLab, function: bytes) -> list[bytes]:
    return [answer for request, answer in lab.world.esipa if request[:2] == function and answer is not None]


CASES: dict[str, tuple[PprIds, dict[str, object]]] = {
    "PPR1 beside an operational profile": (PprIds.PPR1, {"rat": rat(PprIds.PPR1)}),
    "a rule that no entry of the table allows": (PprIds.PPR2, {"rat": rat()}),
}


@pytest.mark.parametrize("is_compact", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_rule_that_is_not_allowed_is_refused_and_the_session_cancelled(name: str, is_compact: bool) -> None:
    rules, card = CASES[name]
    lab = made(is_compact=is_compact, **card)
    try:
        number, matching_id = lab.smdp.order(policy_rules=rules)
        order = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
        lab.cycle()
        assert replies(lab, b"\xbf\x3b") == [bytes.fromhex("BF3B03820132")]
        assert lab.operation(order).outcome == ("cancelled: ppr_not_allowed",)
        assert lab.smdp.profile(number).state is ProfileState.ERROR
    finally:
        lab.close()


def test_a_rule_that_the_euicc_forbids_is_refused_also_if_the_server_offers_it() -> None:
    info2 = ScriptedEuicc(forbidden=PprIds.PPR2).info2().encode()
    offered = StoreMetadataRequest(
        iccid=iccid(7), service_provider_name="", profile_name="", profile_policy_rules=PprIds.PPR2
    )
    assert refusal(Knowledge(eid=EID, info2=info2), offered) == 50
    assert refusal(Knowledge(eid=EID), offered) is None, "the eUICC itself knows its rules"


def test_a_rule_that_is_allowed_passes() -> None:
    lab = made(rat=rat(PprIds.PPR2))
    try:
        number, matching_id = lab.smdp.order(policy_rules=PprIds.PPR2)
        order = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
        lab.cycle()
        assert lab.operation(order).state is State.SUCCEEDED
        assert number in lab.images()
    finally:
        lab.close()


@pytest.mark.parametrize("is_compact", [False, True])
def test_other_metadata_in_the_package_than_were_offered_are_refused(is_compact: bool) -> None:
    lab = made(is_compact=is_compact)
    try:
        number, matching_id = lab.smdp.order()
        lab.servers[SMDP] = Lying(lab)  # type: ignore[assignment]  # it answers like a laboratory
        order = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
        lab.cycle()
        assert replies(lab, b"\xbf\x3a") == [bytes.fromhex("BF3A03810132")]
        reason = CancelSessionReason.METADATA_MISMATCH.name.lower()
        assert lab.operation(order).outcome == (f"cancelled: {reason}",)
        assert lab.smdp.profile(number).state is ProfileState.ERROR
    finally:
        lab.close()


class Lying:
    """An SM-DP+ whose offer has another name than its package."""

    def __init__(self, lab: EimLab) -> None:
        self.smdp = lab.smdp

    async def answer(self, request: object) -> object:
        reply = await self.smdp.answer(request)
        if isinstance(reply, es9p.AuthenticateClientOk):
            return reply.replace(profile_meta_data=reply.profile_meta_data.replace(profile_name="Other"))
        return reply
