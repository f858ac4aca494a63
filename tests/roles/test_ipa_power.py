"""Power cut at every single step of a scenario: nothing is lost, the device connects.

Where the storms of test_ipa_chaos draw lots, this walks through: each effect of the IPA once, and each write
of the card once. A cut after an effect is the cut before the next one: between them nothing leaves the IPA.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.card_lab import SMDP, metadata
from tests.roles.ipa_lab import OTHER_EIM, IpaLab, entry, iccid
from tests.roles.test_ipa_downloads import SMDS, ScriptedSmds
from tests.roles.test_ipa_local import local, with_fallback

from keim.errors import KeimError
from keim.euicc.faults import Faults
from keim.ids import Iccid
from keim.ipa.configuration import Configuration, Timers
from keim.ipa.effects import Effect, Tell
from keim.ipa.emergency import disable_emergency_profile, enable_emergency_profile
from keim.ipa.fallback import execute_fallback, return_from_fallback
from keim.ipa.memory_reset import reset_euicc_memory
from keim.messages.download_trigger import (
    ContactSmds,
    ProfileDownloadData,
    ProfileDownloadTriggerRequest,
)
from keim.messages.es10b import ResetOptions
from keim.messages.esipa import StateChangeCause
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import Eco, EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest
from keim.smdp.rows import ProfileState

DIRECT = IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION
INDIRECT = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION


class PowerCut(BaseException):
    """Nothing may catch it."""


def enabling(lab: IpaLab) -> Callable[[], None]:
    lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))

    def check() -> None:
        assert list(lab.eim.executed) == [1]
        assert lab.enabled() == iccid(2)

    return check


def rolling_back(lab: IpaLab) -> Callable[[], None]:
    lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    lab.world.has_network = lambda: lab.enabled() == iccid(1)

    def check() -> None:
        assert lab.enabled() == iccid(1)
        signed = lab.eim.executed[1].euicc_package_result_signed
        assert signed is not None
        results = signed.euicc_package_result_data_signed.euicc_result
        assert results[-1].rollback_result == 0

    return check


def downloading(lab: IpaLab) -> Callable[[], None]:
    number, matching_id = lab.smdp.order()
    data = ProfileDownloadData(activation_code=f"1${SMDP}${matching_id}")
    trigger = ProfileDownloadTriggerRequest(profile_download_data=data, eim_transaction_id=b"\x01\x02")
    lab.eim.trigger(trigger)

    def check() -> None:
        told = [result.profile_download_trigger_result for result in lab.eim.results]
        assert any(result is not None and result.eim_transaction_id == b"\x01\x02" for result in told)
        is_installed = Iccid(number).octets in lab.lab.states()
        state = lab.smdp.profile(number).state
        assert (state is ProfileState.INSTALLED) is is_installed, state

    return check


def finding(lab: IpaLab) -> Callable[[], None]:
    """Two events of an SM-DS."""
    numbers, codes = zip(*(lab.smdp.order() for _ in range(2)), strict=True)
    lab.world.servers[SMDS] = ScriptedSmds(*((code, SMDP) for code in codes))
    lab.eim.trigger(
        ProfileDownloadTriggerRequest(
            profile_download_data=ProfileDownloadData(contact_smds=ContactSmds()), eim_transaction_id=b"\x01"
        )
    )

    def check() -> None:
        assert len([result for result in lab.eim.results if result.profile_download_trigger_result]) >= 1
        for number in numbers:
            is_installed = Iccid(number).octets in lab.lab.states()
            assert (lab.smdp.profile(number).state is ProfileState.INSTALLED) is is_installed

    return check


def asking(lab: IpaLab) -> Callable[[], None]:
    lab.eim.package(Psmo(list_profile_info=ProfileInfoListRequest()))
    lab.eim.ask_data("BF20BF22A0A2", eim_transaction_id=b"\x09")

    def check() -> None:
        assert any(result.ipa_euicc_data_response is not None for result in lab.eim.results)
        assert list(lab.eim.executed) == [1]

    return check


def associating(lab: IpaLab) -> Callable[[], None]:
    """The first eIM adds a third one; the second is told."""
    lab.eim.package(Eco(add_eim=entry("third.example.com")))

    def check() -> None:
        assert list(lab.eim.executed) == [1]
        assert len(lab.lab.card.state.isdr.eims) == 3
        assert StateChangeCause.OTHER_EIM in causes(lab)

    return check


def causes(lab: IpaLab) -> set[StateChangeCause | None]:
    return {poll.state_change_cause for poll in lab.eims[OTHER_EIM].polls}


def switching(lab: IpaLab) -> Callable[[], None]:
    enabling(lab)

    def check() -> None:
        assert lab.enabled() == iccid(2)
        assert StateChangeCause.OTHER_EIM in causes(lab)

    return check


def falling_back(lab: IpaLab) -> Callable[[], None]:
    with_fallback(lab)
    lab.world.has_network = lambda: lab.enabled() == iccid(3)
    lab.cycle()
    lab.later(1800)

    def check() -> None:
        assert lab.enabled() == iccid(3)
        assert StateChangeCause.FALLBACK in causes(lab)

    return check


def calling_for_help(lab: IpaLab) -> Callable[[], None]:
    """The emergency profile goes on and off again."""
    lab.lab.power_on()
    lab.lab.download(3, metadata=metadata(3).replace(ecall_indication=True).encode())
    lab.lab.card.power_off()
    lab.world.servers["notify.example.com"] = lambda request: None

    def check() -> None:
        is_on = lab.enabled() == iccid(3)
        assert lab.world.memory.is_emergency_active >= is_on  # refusing too much is safe, too little is not
        assert not is_on or StateChangeCause.EMERGENCY_PROFILE in causes(lab)
        if lab.world.memory.is_emergency_active:
            local(lab, disable_emergency_profile)
        assert lab.enabled() == iccid(1)
        assert not lab.world.memory.is_emergency_active

    return check


def emergency(lab: IpaLab) -> None:
    local(lab, enable_emergency_profile)


def helped(lab: IpaLab) -> Callable[[], None]:
    """The emergency profile is on and is switched off."""
    check = calling_for_help(lab)
    emergency(lab)
    return check


def no_emergency(lab: IpaLab) -> None:
    local(lab, disable_emergency_profile)


def returning(lab: IpaLab) -> Callable[[], None]:
    with_fallback(lab)
    local(lab, execute_fallback)
    assert lab.enabled() == iccid(3)

    def check() -> None:
        assert lab.enabled() in (iccid(1), iccid(3))
        assert StateChangeCause.FALLBACK in causes(lab)

    return check


def coming_back(lab: IpaLab) -> None:
    local(lab, return_from_fallback)


def resetting(lab: IpaLab) -> Callable[[], None]:
    def check() -> None:
        assert lab.enabled() in (iccid(1), None)  # before the reset or after it, nothing between
        assert len(lab.lab.states()) in (0, 2)

    return check


def reset(lab: IpaLab) -> None:
    local(lab, reset_euicc_memory, ResetOptions.DELETE_OPERATIONAL_PROFILES)


@dataclass(frozen=True)
class Scenario:
    begin: Callable[[IpaLab], Callable[[], None]]
    features: IpaFeatures = DIRECT
    act: Callable[[IpaLab], object] = IpaLab.cycle
    eims: int = 1


SCENARIOS = {
    "enable": Scenario(enabling),
    "rollback": Scenario(rolling_back),
    "direct download": Scenario(downloading),
    "indirect download": Scenario(downloading, INDIRECT),
    "events of an SM-DS": Scenario(finding),
    "data request": Scenario(asking),
    "addEim": Scenario(associating, eims=2),
    "enable beside another eIM": Scenario(switching, eims=2),
    "fallback": Scenario(falling_back, eims=2),
    "emergency": Scenario(calling_for_help, act=emergency, eims=2),
    "end of an emergency": Scenario(helped, act=no_emergency, eims=2),
    "return from fallback": Scenario(returning, act=coming_back, eims=2),
    "memory reset": Scenario(resetting, act=reset),
}


class Cutter:
    """Cuts the device's power before the n-th effect is performed, which is after the one before it."""

    def __init__(self, lab: IpaLab, at: int | None) -> None:
        self.calm, self.at, self.count = lab.world.perform, at, 0

    def __call__(self, effect: Effect[object]) -> object:
        if isinstance(effect, Tell):
            return self.calm(effect)
        self.count += 1
        if self.count == self.at:
            raise PowerCut
        return self.calm(effect)


def live(scenario: str, at: int | None, *, faults: Faults | None = None) -> int:
    """The scenario with one cut, then calm cycles; the number of effects of its first cycle."""
    played = SCENARIOS[scenario]
    eims = (entry(), entry(OTHER_EIM))[: played.eims]
    stays = Timers(return_first_s=1e9)  # no returning from a fallback while we look
    lab = IpaLab(configuration=Configuration(features=played.features, timers=stays), eims=eims)
    try:
        check = played.begin(lab)
        cutter = Cutter(lab, at)
        calm = lab.world.perform
        lab.world.perform = cutter  # type: ignore[method-assign]  # the cutter stands before the world
        lab.lab.card.faults = faults
        try:
            played.act(lab)
        except PowerCut:
            lab.lab.card.power_off()
        except KeimError:
            pass  # told to whoever asked; the daemon's next cycle goes on
        lab.world.perform = calm  # type: ignore[method-assign]  # as above
        lab.lab.card.faults = None
        for _ in range(4):
            lab.later(100_000)
            lab.cycle()
        assert lab.eim.queue == []
        assert lab.pending() == []
        assert lab.world.memory.undelivered == ()
        assert lab.world.memory.download is None
        check()
        return cutter.count
    finally:
        lab.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_power_cut_at_every_effect_loses_nothing(scenario: str) -> None:
    effects = live(scenario, None)
    assert effects > 15
    for at in range(1, effects + 1):
        live(scenario, at)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_card_that_loses_power_at_every_apdu_and_write_loses_nothing(scenario: str) -> None:
    counting = Faults()
    live(scenario, None, faults=counting)
    for apdu in range(counting.apdu + 1):
        live(scenario, None, faults=Faults(cut_at_apdu=apdu))
        live(scenario, None, faults=Faults(cut_at_apdu=apdu, cut_at_write=1))
