"""Failures that a world can be asked for: what strikes, what is predicted, and what it teaches.

A mishap strikes one device, when its order waits at the eIM. Afterwards it tells whether all ended as it had
predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from keim.sim.device import SimulatedDevice
from keim.sim.operator import Operator, reference_of
from keim.sim.plan import PlannedDevice
from keim.sim.processes import ServerProcess


class Mishap:
    """Nothing goes wrong: also the base of those that do."""

    name = ""
    chapter = ""
    """In which chapter it strikes."""
    ends_chapter = False
    """True where the chapter fails; the device is then where `check` says."""
    is_repaired = False
    """True where the chapter is tried once more afterwards."""
    prediction = ""
    lesson = ""
    who = ""
    """Must act."""
    next = ""

    def __init__(self, victim: str = "") -> None:
        self.victim = victim

    def strikes(self, chapter: str, device: SimulatedDevice) -> bool:
        return bool(self.name) and chapter == self.chapter and device.planned.name == self.victim

    def begin(self, device: SimulatedDevice) -> None:
        """The order waits; the device is about to call."""

    def end(self, device: SimulatedDevice) -> None:
        """The chapter is over."""

    def check(self, device: SimulatedDevice, operator: Operator) -> list[str]:
        """What is not as it was predicted; nothing if all is."""
        return []


class NoCoverage(Mishap):
    """The new profile finds no network where the device stands."""

    name, chapter, ends_chapter = "no-coverage", "enable", True
    prediction = "the card goes back to its bootstrap by itself, and the eIM hears `rolled_back`"
    lesson = (
        "The package enabled the new profile and armed the rollback. Its network took nobody in, so no "
        "result could be delivered. The IPA called ProfileRollback (ES10b), the card enabled the bootstrap "
        "again, and the result that says so, signed by the eUICC, was delivered there. No visit is needed."
    )
    who = "the operator of the new network (coverage, roaming), or whoever chose the profile"
    next = "order the enable again once there is coverage; the profile is still in the card"

    def __init__(self, victim: str, uncovered: set[str]) -> None:
        super().__init__(victim)
        self._uncovered = uncovered

    def begin(self, device: SimulatedDevice) -> None:
        self._uncovered.add(device.planned.home.imsi)

    def end(self, device: SimulatedDevice) -> None:
        self._uncovered.discard(device.planned.home.imsi)

    def check(self, device: SimulatedDevice, operator: Operator) -> list[str]:
        outcome = operator.outcome(str(device.planned.eid), reference_of(device.planned.name, "enable"))
        faults = _expect_enabled(device, device.planned.bootstrap.full_iccid)
        if outcome is None or outcome.state != "rolled_back" or not outcome.is_verified:
            faults.append(f"the eIM says {outcome}, not a proved rolled_back")
        return faults


class PowerCut(Mishap):
    """The battery goes while the card writes down that it has switched."""

    name, chapter = "power-cut", "enable"
    prediction = "after power-up the same package is carried out once, and nothing is lost"
    lesson = (
        "Power went in the middle of the card's write. A card's memory is a journal of sealed transactions: "
        "what was not sealed never happened. After power-up the IPA asked again, the eIM offered the same "
        "octets with the same counter, and the card carried them out once: the counter had not moved."
    )
    who = "nobody"
    next = "none; the report above is an ordinary one"

    def __init__(self, victim: str) -> None:
        super().__init__(victim)
        self.cuts = 0

    def begin(self, device: SimulatedDevice) -> None:
        device.faults.cut_at_write = 1

    def end(self, device: SimulatedDevice) -> None:
        self.cuts = device.dark_times

    def check(self, device: SimulatedDevice, operator: Operator) -> list[str]:
        faults = _expect_enabled(device, device.planned.home.full_iccid)
        if not self.cuts:
            faults.append("power was not cut: the card wrote nothing")
        return faults


class BadResult(Mishap):
    """One bit of the eUICC's signed result is turned over on its way."""

    name, chapter = "bad-result", "enable"
    prediction = "the eIM refuses it, believes nothing, and takes the true one when it comes"
    lesson = (
        "The result's signature did not verify, so the eIM kept the octets as evidence, changed nothing and "
        "answered with an error. The IPA keeps a result in the card until it is acknowledged: with the next "
        "call it delivered the same result unharmed, and only this one counted."
    )
    who = "if it happens again and again: whoever runs the path between device and eIM"
    next = "look at the device's events (result_refused) and at its alarm"

    def begin(self, device: SimulatedDevice) -> None:
        device.tampers = True

    def end(self, device: SimulatedDevice) -> None:
        device.tampers = False

    def check(self, device: SimulatedDevice, operator: Operator) -> list[str]:
        faults = _expect_enabled(device, device.planned.home.full_iccid)
        if "result_refused" not in operator.events(str(device.planned.eid)):
            faults.append("the eIM has refused nothing")
        return faults


class SmdpDown(Mishap):
    """The SM-DP+ dies when a device is about to download."""

    name, chapter, ends_chapter, is_repaired = "smdp-down", "download", True, True
    prediction = "the download fails by name, the device stays on its bootstrap, a second order succeeds"
    lesson = (
        "The SM-DP+ did not answer. That is never an error of the device: the trigger was answered with a "
        "failure, the activation code was not used up, and the device goes on polling its eIM."
    )
    who = "the operator of the SM-DP+"
    next = "order the download again, as happened here"

    def __init__(self, victim: str, smdp: ServerProcess) -> None:
        super().__init__(victim)
        self._smdp = smdp

    def begin(self, device: SimulatedDevice) -> None:
        self._smdp.kill()

    def end(self, device: SimulatedDevice) -> None:
        if not self._smdp.is_running:
            self._smdp.start_again()

    def check(self, device: SimulatedDevice, operator: Operator) -> list[str]:
        outcome = operator.outcome(str(device.planned.eid), reference_of(device.planned.name, "download"))
        faults = _expect_enabled(device, device.planned.home.full_iccid)
        if outcome is None or outcome.state != "failed":
            faults.append(f"the eIM says {outcome} of the first download, not failed")
        return faults


def _expect_enabled(device: SimulatedDevice, iccid: str) -> list[str]:
    return [] if device.enabled == iccid else [f"the card has {device.enabled} enabled, not {iccid}"]


NAMES: Final = (NoCoverage.name, PowerCut.name, BadResult.name, SmdpDown.name)


def mishap_of(
    name: str,
    plan: Sequence[PlannedDevice],
    choose: Callable[[Sequence[PlannedDevice]], PlannedDevice],
    *,
    uncovered: set[str],
    smdp: ServerProcess,
) -> Mishap:
    """One of `NAMES`; the seed chooses who is struck."""
    outside = [planned for planned in plan if not planned.kind.is_inside]
    match name:
        case NoCoverage.name:
            return NoCoverage(choose(plan).name, uncovered)
        case PowerCut.name:
            return PowerCut(choose(plan).name)
        case BadResult.name:
            return BadResult(choose(outside).name)
        case SmdpDown.name:
            return SmdpDown(choose(plan).name, smdp)
    return Mishap()
