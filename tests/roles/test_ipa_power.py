"""Power cut at every single step of a scenario: nothing is lost, the device connects.

Where the storms of test_ipa_chaos draw lots, this walks through: each effect of the IPA once, and each write
of the card once. A cut after an effect is the cut before the next one: between them nothing leaves the IPA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.card_lab import SMDP
from tests.roles.ipa_lab import IpaLab, iccid

from keim.euicc.faults import Faults
from keim.ids import Iccid
from keim.ipa.configuration import Configuration
from keim.ipa.effects import Effect, Tell
from keim.messages.download_trigger import ProfileDownloadData, ProfileDownloadTriggerRequest
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EnablePsmo, Psmo
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


SCENARIOS: dict[str, tuple[Any, IpaFeatures]] = {
    "enable": (enabling, DIRECT),
    "rollback": (rolling_back, DIRECT),
    "direct download": (downloading, DIRECT),
    "indirect download": (downloading, INDIRECT),
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
    begin, features = SCENARIOS[scenario]
    lab = IpaLab(configuration=Configuration(features=features))
    try:
        check = begin(lab)
        cutter = Cutter(lab, at)
        calm = lab.world.perform
        lab.world.perform = cutter  # type: ignore[method-assign]  # the cutter stands before the world
        lab.lab.card.faults = faults
        try:
            lab.cycle()
        except PowerCut:
            lab.lab.card.power_off()
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
    assert effects > 20
    for at in range(1, effects + 1):
        live(scenario, at)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_card_that_loses_power_at_every_apdu_and_write_loses_nothing(scenario: str) -> None:
    counting = Faults()
    live(scenario, None, faults=counting)
    for apdu in range(counting.apdu + 1):
        live(scenario, None, faults=Faults(cut_at_apdu=apdu))
        live(scenario, None, faults=Faults(cut_at_apdu=apdu, cut_at_write=1))
